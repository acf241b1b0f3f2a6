//! The opt-in log of bodies: what a call was given and what it was answered, masked, bounded,
//! sealed, and only for a while. Without `[bodies]` in the file a call costs one look at a flag.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use super::event::Event;
use super::redact::{self, plain};
use super::scrub::scrub;
use crate::base::TenantId;
use crate::config::Bodies;
use crate::seal::Handles;
use crate::store::{BodyEntry, BodyRow};
use crate::telemetry::meters;

/// Bytes of answers that may wait to be written; beyond them bodies are dropped, and counted.
const WAITING: usize = 8 << 20;

/// Takes the tenant's secrets out of a text.
pub trait Mask: Send + Sync {
    /// The text without them; of a text that was cut at its end, also without the beginning of
    /// one there.
    fn mask<'t>(&self, text: &'t str, is_cut: bool) -> Cow<'t, str>;
}

/// The body of one call, as the call path gathers it.
pub struct Heard {
    rules: Arc<Bodies>,
    answer: Vec<u8>,
    /// Without it no answer is kept: nobody could take secrets out of it.
    mask: Option<Arc<dyn Mask>>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("answer", &self.answer.len()).finish_non_exhaustive()
    }
}

impl Heard {
    /// The secrets that its upstream was given.
    pub fn mask_with(&mut self, mask: Arc<dyn Mask>) {
        self.mask = Some(mask);
    }

    /// More of the answer; what is too long is cut off.
    pub fn hear(&mut self, bytes: &[u8]) {
        let room = self.rules.max_body.saturating_sub(self.answer.len());
        self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn weight(&self) -> usize {
        self.answer.len()
    }
}

/// Whose bodies are kept now, and what waits to be written.
pub(super) struct BodyLog {
    on: AtomicBool,
    rules: ArcSwapOption<Bodies>,
    waiting: AtomicUsize,
    seals: Arc<Handles>,
}

impl BodyLog {
    pub(super) fn new(seals: Arc<Handles>) -> Self {
        let (on, waiting) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { on, rules: ArcSwapOption::empty(), waiting, seals }
    }

    pub(super) fn set(&self, rules: Option<Arc<Bodies>>) {
        self.on.store(rules.is_some(), Ordering::Relaxed);
        self.rules.store(rules);
    }

    pub(super) fn rules(&self) -> Option<Arc<Bodies>> {
        self.rules.load_full()
    }

    /// Where the body of this call is gathered, if it is one of those that are kept.
    pub(super) fn wants(&self, event: &Event) -> Option<Box<Heard>> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        let rules = self.rules.load_full()?;
        let tool = event.original.as_deref().filter(|_| event.is_tool);
        let upstream = event.upstream.as_ref().map_or("", |upstream| upstream.as_str());
        let taken = rules.take(event.tenant_name.as_str(), upstream, tool);
        taken.then(|| Box::new(Heard { rules, answer: Vec::new(), mask: None }))
    }

    /// Takes the body out of an event when too much waits already.
    pub(super) fn admit(&self, event: &mut Event) {
        let Some(heard) = &event.heard else { return };
        let weight = heard.weight();
        if self.waiting.fetch_add(weight, Ordering::Relaxed) + weight > WAITING {
            self.waiting.fetch_sub(weight, Ordering::Relaxed);
            event.heard = None;
            meters().bodies_dropped.one();
        }
    }

    /// What is written of an event that is the `entry`th of its batch.
    pub(super) fn entry(&self, event: &mut Event, entry: usize) -> Option<BodyEntry> {
        let heard = event.heard.take()?;
        self.waiting.fetch_sub(heard.weight(), Ordering::Relaxed);
        let most = heard.rules.max_body;
        let mask = heard.mask.as_deref();
        let arguments = event.posted.bytes(event.posted.arguments.as_ref());
        let arguments = arguments.map(|text| {
            let cut = &text[..text.len().min(most)];
            (kept(cut, text.len() as u64, mask, most), text.len() as u64)
        });
        let answer = Some(event.bytes_out).filter(|bytes| *bytes > 0 && mask.is_some());
        let answer = answer.map(|bytes| (kept(&heard.answer, bytes, mask, most), bytes));
        let text = |body: &Option<(Value, u64)>| body.as_ref().map(|(text, _)| text.clone());
        let body = json!({ "arguments": text(&arguments), "answer": text(&answer) }).to_string();
        let sealed = self.seals.seal(&about(event.tenant, event.at), body.as_bytes());
        let Ok(sealed) = sealed else {
            // The system gives no random bytes.
            meters().bodies_dropped.one();
            return None;
        };
        meters().bodies_kept.one();
        let retention = u64::try_from(heard.rules.retention.as_millis()).unwrap_or(u64::MAX);
        Some(BodyEntry {
            entry,
            at: event.at,
            expires: event.at.saturating_add(retention),
            upstream: event.upstream.as_ref().map_or_else(String::new, ToString::to_string),
            method: plain(&event.method, redact::SHORT).into_owned(),
            name: redact::name(event.original.as_deref().unwrap_or_default()).into_owned(),
            arguments: arguments.map(|(_, bytes)| bytes),
            answer: answer.map(|(_, bytes)| bytes),
            sealed,
        })
    }
}

/// What a sealed body belongs to.
fn about(tenant: TenantId, at: u64) -> [u8; 24] {
    let mut about = [0; 24];
    about[..16].copy_from_slice(tenant.as_bytes());
    about[16..].copy_from_slice(&at.to_le_bytes());
    about
}

/// What is kept of a body of `bytes` bytes, of which this is the beginning.
fn kept(start: &[u8], bytes: u64, mask: Option<&dyn Mask>, most: usize) -> Value {
    let is_cut = (start.len() as u64) < bytes;
    // Cut within a character at the worst.
    let valid = match std::str::from_utf8(start) {
        Err(error) if is_cut && error.error_len().is_none() => &start[..error.valid_up_to()],
        _ => start,
    };
    let text = String::from_utf8_lossy(valid);
    let masked = match mask {
        Some(mask) => mask.mask(&text, is_cut),
        None => Cow::Borrowed(&*text),
    };
    let within = |text: &str| match mask {
        Some(mask) => mask.mask(text, is_cut).into_owned(),
        None => text.to_owned(),
    };
    let mut text = scrub(&masked, &within);
    // What takes the place of a secret may be longer.
    let is_long = text.len() > most;
    text.truncate(text.floor_char_boundary(most));
    json!({ "text": text, "complete": !is_cut && !is_long })
}

/// One body, as it is read.
#[derive(Debug, Clone)]
pub struct Body {
    /// Where it lies, whose it is, and what is known of it without opening it.
    pub row: BodyRow,
    /// `{"text", "complete"}` of the arguments, or null.
    pub arguments: Value,
    /// The same of the answer.
    pub answer: Value,
}

/// Opens a body; `None` for what was changed.
pub(super) fn open(seals: &Handles, row: BodyRow) -> Option<Body> {
    let text = seals.open(&about(row.tenant, row.at), &row.sealed).ok()?;
    let mut body: Value = serde_json::from_slice(&text).ok()?;
    let (arguments, answer) = (body["arguments"].take(), body["answer"].take());
    Some(Body { row, arguments, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hides;

    impl Mask for Hides {
        fn mask<'t>(&self, text: &'t str, _: bool) -> Cow<'t, str> {
            Cow::Owned(text.replace("s3cret", "[redacted]"))
        }
    }

    #[test]
    fn what_is_kept_is_masked_bounded_and_says_whether_it_is_whole() {
        let kept = |text: &str, bytes, most| kept(text.as_bytes(), bytes, Some(&Hides), most);
        let whole = r#"{"a":"s3cret","token":"t"}"#;
        let text = r#"{"a":"[redacted]","token":"[redacted]"}"#;
        assert_eq!(kept(whole, 26, 99), json!({ "text": text, "complete": true }));
        assert_eq!(kept(whole, 27, 99)["complete"], json!(false));
        let short = kept(whole, 26, 30);
        assert_eq!(
            (short["text"].as_str(), &short["complete"]),
            (Some(&text[..30]), &json!(false))
        );
        // Within a character.
        let cut = super::kept(&"é".as_bytes()[..1], 2, None, 9);
        assert_eq!(cut, json!({ "text": "", "complete": false }));
    }
}
