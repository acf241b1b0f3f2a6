//! The repeated request, made once and patched for each call, and the check of its answer.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::options::{Era, Method, Names, Options};

/// Ids begin here, so that all have the same number of digits.
const FIRST_ID: u64 = 1_000_000_000;
/// Digits of an id, and of the number that begins each text.
const DIGITS: usize = 10;

/// A request with a place for the id and one for the text.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    body: Vec<u8>,
    id: usize,
    text: Option<usize>,
    size: usize,
    /// Where the name of the tool stands, and how it changes.
    name: Option<(usize, String, Names)>,
    modern: bool,
    keys: Vec<HeaderValue>,
    /// An answer with a result is at least so long.
    least: usize,
    get: bool,
}

/// A request as it is sent.
pub(crate) struct Sent {
    /// The whole body.
    pub(crate) body: Bytes,
    /// Headers of this request alone.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    id: usize,
    text: Option<(usize, usize)>,
    least: usize,
    /// Whether it is a file that is asked for.
    pub(crate) get: bool,
}

/// What `_meta` holds in every request of 2026-07-28.
pub(crate) fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

impl Template {
    /// The request that the options describe.
    pub(crate) fn new(options: &Options) -> Self {
        // Texts differ from the first byte on, and cannot be mistaken for other parts.
        let text = format!("{}{}", "0".repeat(DIGITS), "x".repeat(options.size - DIGITS));
        let mut params = match options.method {
            Method::Call => json!({"name": options.tool, "arguments": {"text": text}}),
            Method::List | Method::Get => json!({}),
        };
        if let Some(bytes) = options.result {
            params["arguments"]["bytes"] = json!(bytes);
        }
        if options.era == Era::Modern {
            params["_meta"] = meta();
        }
        let method = match options.method {
            Method::Call => "tools/call",
            Method::List | Method::Get => "tools/list",
        };
        let head = format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"{method}","params":"#);
        let body = format!("{head}{params}}}").into_bytes();
        let id = r#"{"jsonrpc":"2.0","id":"#.len();
        let text = match options.method {
            Method::Call => memmem::find(&body, text.as_bytes()),
            Method::List | Method::Get => None,
        };
        let name = options.names.and_then(|names| {
            let place = memmem::find(&body, options.tool.as_bytes())? + names.place;
            Some((place, options.tool.clone(), names))
        });
        Self {
            body,
            id,
            text,
            size: options.size,
            name,
            modern: options.era == Era::Modern,
            keys: options.keys.clone(),
            least: options.result.unwrap_or(0),
            get: options.method == Method::Get,
        }
    }

    /// The id of the call with this number.
    pub(crate) const fn id(number: u64) -> u64 {
        FIRST_ID + number
    }

    /// The request for the call with this number.
    pub(crate) fn fill(&self, number: u64) -> Sent {
        let mut headers = Vec::new();
        let mut body = self.body.clone();
        if let Some((place, tool, names)) = &self.name {
            let digits = names.digits(number);
            body[*place..place + names.digits].copy_from_slice(digits.as_bytes());
            let name = tool.replacen(&"#".repeat(names.digits), &digits, 1);
            if let (true, Ok(name)) = (self.modern, HeaderValue::try_from(name)) {
                headers.push((HeaderName::from_static("mcp-name"), name));
            }
        }
        if !self.keys.is_empty() {
            let key = self.keys[number as usize % self.keys.len()].clone();
            headers.push((header::AUTHORIZATION, key));
        }
        let id = format!("{:0width$}", FIRST_ID + number, width = DIGITS);
        body[self.id..self.id + DIGITS].copy_from_slice(&id.as_bytes()[..DIGITS]);
        let text = self.text.map(|start| {
            // Another order of digits than in the id, so that neither hides a mistake in the other.
            for (place, digit) in body[start..start + DIGITS].iter_mut().zip(id.bytes().rev()) {
                *place = digit;
            }
            (start, start + self.size)
        });
        let (least, get) = (self.least, self.get);
        Sent { body: Bytes::from(body), headers, id: self.id, text, least, get }
    }
}

/// A JSON-RPC response.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// The result of echo.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Echoed {
    content: Vec<Block>,
    #[serde(default)]
    is_error: bool,
}

#[derive(Deserialize)]
struct Block {
    text: String,
}

impl Sent {
    /// Whether a reply body answers this request rightly.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with its beginning.
    pub(crate) fn check(&self, reply: &[u8], stream: bool) -> Result<(), String> {
        if self.get {
            let empty = || Err("an empty file".to_owned());
            return if reply.is_empty() { empty() } else { Ok(()) };
        }
        if !stream {
            return self.check_message(reply);
        }
        let mut last = Err("no response in the event stream".to_owned());
        for line in reply.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else {
                continue;
            };
            let data = data.trim_ascii();
            // The first event of a resumable stream carries no message.
            if !data.is_empty() {
                last = self.check_message(data);
                if last.is_ok() {
                    return Ok(());
                }
            }
        }
        last
    }

    fn check_message(&self, reply: &[u8]) -> Result<(), String> {
        if reply.len() < self.least {
            return Err(format!("{} bytes in the place of {}", reply.len(), self.least));
        }
        if self.is_plainly_right(reply) || self.is_right(reply) == Some(true) {
            return Ok(());
        }
        let start = String::from_utf8_lossy(&reply[..reply.len().min(300)]).into_owned();
        Err(format!("not the answer to id {}: {start}", String::from_utf8_lossy(self.id())))
    }

    fn id(&self) -> &[u8] {
        &self.body[self.id..self.id + DIGITS]
    }

    /// The check that costs little: the id and the text stand there in compact form.
    fn is_plainly_right(&self, reply: &[u8]) -> bool {
        let mut key = [0; 5 + DIGITS];
        key[..5].copy_from_slice(b"\"id\":");
        key[5..].copy_from_slice(self.id());
        // The envelope's id comes first, or last; either way outside of the long text.
        let edge = 200.min(reply.len());
        let has_id = memmem::find(&reply[..edge], &key).is_some()
            || memmem::find(&reply[reply.len() - edge..], &key).is_some();
        let has_result = match self.text {
            Some((start, end)) => {
                memmem::find(reply, &self.body[start - 1..=end]).is_some()
                    && memmem::find(reply, b"\"isError\":true").is_none()
            }
            None => memmem::find(reply, b"\"tools\":[").is_some(),
        };
        has_id && has_result && memmem::find(&reply[..edge], b"\"result\":").is_some()
    }

    /// The check that reads the reply as JSON.
    fn is_right(&self, reply: &[u8]) -> Option<bool> {
        let answer: Answer<'_> = serde_json::from_slice(reply).ok()?;
        if answer.id?.get().as_bytes() != self.id() {
            return Some(false);
        }
        let result = answer.result?.get();
        let Some((start, end)) = self.text else {
            let result: Value = serde_json::from_str(result).ok()?;
            return Some(result.get("tools").is_some_and(Value::is_array));
        };
        let echoed: Echoed = serde_json::from_str(result).ok()?;
        let sent = &self.body[start..end];
        let right = matches!(&echoed.content[..], [block] if block.text.as_bytes() == sent);
        Some(right && !echoed.is_error)
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::options::Options;

    fn template(args: &[&str]) -> Template {
        let args = ["--url", "http://h/mcp"].iter().chain(args).map(ToString::to_string);
        Template::new(&Options::parse(args).unwrap().unwrap())
    }

    fn answer(id: u64, text: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        )
    }

    fn text_of(body: &[u8]) -> String {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["params"]["arguments"]["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn only_the_own_answer_is_right() {
        let template = template(&["--size", "40"]);
        let (first, second) = (template.fill(1), template.fill(2));
        let text = text_of(&first.body);
        assert_eq!(text.len(), 40);
        assert_ne!(text, text_of(&second.body));
        let right = answer(1_000_000_001, &text);
        first.check(right.as_bytes(), false).unwrap();
        first.check(format!("id: 0\ndata: \n\ndata: {right}\n\n").as_bytes(), true).unwrap();
        first.check(right.replace(':', " : ").as_bytes(), false).unwrap();
        assert!(second.check(right.as_bytes(), false).is_err());
        assert!(first.check(answer(1_000_000_002, &text).as_bytes(), false).is_err());
        assert!(first.check(answer(1_000_000_001, &text[1..]).as_bytes(), false).is_err());
        assert!(first.check(answer(1_000_000_001, &format!("{text}x")).as_bytes(), false).is_err());
        let failed = right.replace("\"content\"", "\"isError\":true,\"content\"");
        assert!(first.check(failed.as_bytes(), false).is_err());
    }

    #[test]
    fn names_and_keys_change_from_call_to_call() {
        let template = template(&["--tool", "up__tool_####", "--names", "3"]);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..9 {
            let sent = template.fill(number);
            let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
            let name = body["params"]["name"].as_str().unwrap().to_owned();
            assert_eq!(sent.headers[0].1, name.as_str());
            seen.insert(name);
        }
        let all = ["up__tool_0001", "up__tool_0002", "up__tool_0003"];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_list_is_known_by_its_tools() {
        let sent = template(&["--method", "tools/list"]).fill(7);
        let right = r#"{"id":1000000007,"jsonrpc":"2.0","result":{"tools":[]}}"#;
        sent.check(right.as_bytes(), false).unwrap();
        assert!(sent.check(right.replace("result", "error").as_bytes(), false).is_err());
    }
}
