//! A record in its lasting form: a few numbers and texts, each text with its length before it.
//! What is read back is checked; a form that a newer program writes is not guessed at.

use super::event::{Event, Outcome, Ran};
use super::redact::{self, plain};
use super::text::{self, Memory, Told};
use crate::base::{KeyId, TenantId};
use crate::seal::MacKey;

const FORM: u8 = 1;

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its place among the records of everybody.
    pub id: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the chain of its tenant.
    pub seq: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What it says.
    pub record: Record,
}

/// What a record says. No arguments, no results, no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the request came, in milliseconds since the Unix epoch.
    pub started: u64,
    /// The public id of the key.
    pub key: Option<KeyId>,
    /// What else is known of who acted.
    pub actor: String,
    /// Name and version by which the client calls itself.
    pub client: (String, String),
    /// The path by which it came.
    pub door: String,
    /// The method.
    pub method: String,
    /// The name or URI that was asked for, as the client knows it.
    pub target: String,
    /// The upstream.
    pub upstream: String,
    /// The name or URI as the upstream knows it.
    pub original: String,
    /// Keyed digest of the arguments as they came: the same ones of the same tenant have the same.
    pub digest: Option<[u8; 16]>,
    /// The rules that held.
    pub policy: [u8; 8],
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it has run.
    pub ran: Ran,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// Milliseconds from the request to the end of the answer.
    pub ms: u64,
    /// The trace id of W3C Trace Context.
    pub trace: Option<[u8; 16]>,
    /// How many requests it stands for.
    pub count: u64,
}

/// The lasting form of an event. `digests` is the key for arguments.
pub(super) fn encode<'a>(event: &'a Event, digests: &MacKey, memory: &mut Memory<'a>) -> Vec<u8> {
    let posted = &event.posted;
    let Told { client, trace } = text::told(event, memory);
    let digest = posted.bytes(posted.arguments.as_ref()).map(|arguments| {
        let code = digests.code(&[event.tenant.as_bytes(), arguments]);
        code.first_chunk::<16>().copied().unwrap_or_default()
    });
    let asked = match &event.target {
        Some(target) => redact::name(target).into_owned(),
        None => text::string(posted.text(posted.name.as_ref()))
            .map_or_else(String::new, |asked| redact::name(&asked).into_owned()),
    };
    let mut out = Vec::with_capacity(256);
    out.push(FORM);
    put_number(&mut out, event.at);
    out.push(place(&Outcome::ALL, &event.outcome));
    out.push(place(&Ran::ALL, &event.ran));
    for number in [event.bytes_in, event.bytes_out, event.ms, event.count] {
        put_number(&mut out, number);
    }
    out.extend_from_slice(&event.policy);
    put_code(&mut out, digest);
    put_code(&mut out, trace);
    let key = event.key.as_ref().map_or("", KeyId::as_str);
    let original = event.original.as_deref().map(redact::name).unwrap_or_default();
    for text in [
        key,
        &plain(event.actor.as_deref().unwrap_or_default(), redact::SHORT),
        &client.name,
        &client.version,
        &plain(&event.door, redact::SHORT),
        &plain(&event.method, redact::SHORT),
        &asked,
        event.upstream.as_ref().map_or("", |name| name.as_str()),
        &original,
    ] {
        put_number(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter()
        .position(|other| other == one)
        .and_then(|at| u8::try_from(at).ok())
        .unwrap_or(u8::MAX)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    // Seven bits at a time, the lowest first.
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_code(out: &mut Vec<u8>, code: Option<[u8; 16]>) {
    out.push(u8::from(code.is_some()));
    out.extend_from_slice(code.as_ref().map_or(&[], |code| &code[..]));
}

impl Record {
    /// Reads the lasting form; `None` for what is none, or of a newer program.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest)? != [FORM] {
            return None;
        }
        let started = number(&mut rest)?;
        let [outcome, ran] = take(&mut rest)?;
        let [bytes_in, bytes_out, ms, count] =
            [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        let policy = take(&mut rest)?;
        let digest = code(&mut rest)?;
        let trace = code(&mut rest)?;
        let key = text_of(&mut rest)?;
        let record = Self {
            started,
            key: if key.is_empty() { None } else { Some(key.parse().ok()?) },
            actor: text_of(&mut rest)?,
            client: (text_of(&mut rest)?, text_of(&mut rest)?),
            door: text_of(&mut rest)?,
            method: text_of(&mut rest)?,
            target: text_of(&mut rest)?,
            upstream: text_of(&mut rest)?,
            original: text_of(&mut rest)?,
            digest,
            policy,
            outcome: *Outcome::ALL.get(usize::from(outcome))?,
            ran: *Ran::ALL.get(usize::from(ran))?,
            bytes_in,
            bytes_out,
            ms,
            trace,
            count,
        };
        rest.is_empty().then_some(record)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*part)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn code(rest: &mut &[u8]) -> Option<Option<[u8; 16]>> {
    match take(rest)? {
        [0] => Some(None),
        [1] => take(rest).map(Some),
        _ => None,
    }
}

fn text_of(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::event::{Client, Posted};
    use crate::base::Name;
    use crate::seal::{Ring, RootKey};

    fn key() -> MacKey {
        Ring::new(&RootKey::for_test(1)).mac_key("audit arguments")
    }

    fn event(body: &str, arguments: &str) -> Event {
        let tenant = TenantId::from_bytes([7; 16]);
        let mut event = Event::new(
            1_700_000_000_123,
            tenant,
            Name::new("acme").unwrap(),
            "abcdefghij".parse().ok(),
        );
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        let at =
            |text: &str| memchr::memmem::find(&body, text.as_bytes()).map(|at| at..at + text.len());
        event.posted = Posted::keep(&body);
        event.posted.arguments = at(arguments);
        event.posted.name = at("\"gh__a\\u0062\"");
        event.client = Client::Info("{\"name\":\"c\",\"version\":\"1\\n\"}".into());
        event.method = "tools/call".into();
        event.upstream = Name::new("gh").ok();
        event.original = Some("ab".into());
        event.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        event
    }

    fn written(event: &Event) -> Vec<u8> {
        encode(event, &key(), &mut Memory::default())
    }

    #[test]
    fn a_record_says_what_happened_and_no_argument() {
        let body = r#"{"name":"gh__a\u0062","arguments":{"pin":"4711"}}"#;
        let bytes = written(&event(body, "{\"pin\":\"4711\"}"));
        assert!(memchr::memmem::find(&bytes, b"4711").is_none());
        let record = Record::decode(&bytes).unwrap();
        assert_eq!((&*record.target, &*record.upstream, &*record.original), ("gh__ab", "gh", "ab"));
        assert_eq!(record.client, ("c".to_owned(), "1 ".to_owned()));
        assert_eq!(record.trace.unwrap()[..2], [0x4b, 0xf9]);
        assert_eq!((record.started, record.count), (1_700_000_000_123, 1));
        let again = Record::decode(&written(&event(body, "{\"pin\":\"4711\"}"))).unwrap();
        assert_eq!(again.digest, record.digest);
        let mut other = event(body, "{\"pin\":\"4711\"}");
        other.tenant = TenantId::from_bytes([8; 16]);
        assert_ne!(Record::decode(&written(&other)).unwrap().digest, record.digest);
    }

    proptest! {
        #[test]
        fn numbers_and_texts_come_back(
            numbers: [u64; 4], door in ".{0,40}", actor in "[ -~]{0,60}", outcome in 0..Outcome::ALL.len(),
        ) {
            let mut given = event("{}", "{}");
            [given.bytes_in, given.bytes_out, given.ms, given.count] = numbers;
            given.door = (*door).into();
            given.actor = Some((*actor).into());
            given.outcome = Outcome::ALL[outcome];
            let record = Record::decode(&written(&given)).unwrap();
            prop_assert_eq!([record.bytes_in, record.bytes_out, record.ms, record.count], numbers);
            prop_assert_eq!(record.actor, actor);
            prop_assert_eq!(record.outcome, given.outcome);
            prop_assert!(!record.door.contains(char::is_control));
        }

        #[test]
        fn no_bytes_make_the_reader_stumble(bytes: Vec<u8>, cut in 0..300_usize) {
            let _ = Record::decode(&bytes);
            let mut whole = written(&event("{}", "{}"));
            whole.truncate(cut);
            let length = written(&event("{}", "{}")).len();
            prop_assert_eq!(Record::decode(&whole).is_some(), cut >= length);
        }
    }
}
