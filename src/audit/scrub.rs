//! What of a JSON text may be kept: members whose key names a credential lose their texts, also in
//! JSON that stands in a text. It takes a text that was cut somewhere, too.

use std::borrow::Cow;

use crate::wire::json::quote;

const MASK: &str = "[redacted]";
/// Texts in texts are looked into so deep.
const DEEPEST: usize = 4;
/// What stands before a token in a header.
const BEARER: &str = "bearer ";

/// Parts of keys that name a credential, without case and separators.
const PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "authorization",
    "credential",
    "bearer",
    "cookie",
    "jwt",
];
/// Whole keys, and endings of keys.
const WHOLE: [&str; 8] = ["auth", "pwd", "pass", "pin", "otp", "sessionid", "signature", "tokens"];
const ENDING: &str = "token";

/// Whether a key looks like that of a credential.
fn names_credential(key: &str) -> bool {
    let plain: String =
        key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    plain.ends_with(ENDING)
        || WHOLE.contains(&&*plain)
        || PARTS.iter().any(|part| plain.contains(part))
}

/// The text with what names a credential masked. `mask` takes other secrets out of each text in it
/// that is looked into.
pub(super) fn scrub(text: &str, mask: &dyn Fn(&str) -> String) -> String {
    let mut scrubber = Scrubber { mask, out: String::with_capacity(text.len()) };
    scrubber.json(text, 0);
    scrubber.out
}

struct Scrubber<'a> {
    mask: &'a dyn Fn(&str) -> String,
    out: String,
}

/// An object or array that is open.
struct Open {
    is_object: bool,
    /// Texts in it are masked.
    hot: bool,
}

impl Scrubber<'_> {
    fn json(&mut self, text: &str, depth: usize) {
        let mut open: Vec<Open> = Vec::new();
        // The next text is a key; the next value is that of a credential.
        let (mut key, mut hot) = (false, false);
        let (mut rest, bytes) = (0, text.as_bytes());
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let inherited = open.last().is_some_and(|open| open.hot);
            match byte {
                b'{' | b'[' => {
                    let is_object = *byte == b'{';
                    open.push(Open { is_object, hot: hot || inherited });
                    (key, hot) = (is_object, false);
                }
                b'}' | b']' => {
                    open.pop();
                    (key, hot) = (false, false);
                }
                b',' => (key, hot) = (open.last().is_some_and(|open| open.is_object), false),
                b':' => key = false,
                b'"' => {
                    let end = end_of_text(bytes, at + 1);
                    let content = &text[at + 1..end.unwrap_or(text.len())];
                    self.out.push_str(&text[rest..at]);
                    if key {
                        hot = decode(content).is_some_and(|key| names_credential(&key));
                        self.raw(content, end.is_some());
                    } else if hot || inherited {
                        self.raw(MASK, true);
                    } else {
                        self.value(content, end.is_some(), depth);
                    }
                    rest = end.map_or(text.len(), |end| end + 1);
                    at = rest;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.out.push_str(&text[rest..]);
    }

    fn raw(&mut self, content: &str, closed: bool) {
        self.out.push('"');
        self.out.push_str(content);
        if closed {
            self.out.push('"');
        }
    }

    fn value(&mut self, content: &str, closed: bool, depth: usize) {
        let begins = |start: &str| start.trim_start().starts_with(['{', '[']);
        if depth < DEEPEST
            && begins(content)
            && let Some(inner) = decode(content)
        {
            let mut within = Scrubber { mask: self.mask, out: String::with_capacity(inner.len()) };
            within.json(&(self.mask)(&inner), depth + 1);
            // What holds nothing stays as it was written.
            if within.out != inner {
                let quoted = quote(&within.out);
                self.out.push_str(if closed { &quoted } else { &quoted[..quoted.len() - 1] });
                return;
            }
        }
        self.raw(&without_bearer(content), closed);
    }
}

/// Where the text that begins at `at` has its closing quote.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The meaning of what stands between quotes; an escape that is cut off at the end is left out.
fn decode(content: &str) -> Option<String> {
    if !content.contains('\\') {
        return Some(content.to_owned());
    }
    let mut end = content.len();
    for _ in 0..12 {
        if let Ok(text) = serde_json::from_str(&format!("\"{}\"", &content[..end])) {
            return Some(text);
        }
        end = content.floor_char_boundary(end.checked_sub(1)?);
    }
    None
}

/// The text without the tokens that follow the word `Bearer` (RFC 6750, section 2.1).
fn without_bearer(text: &str) -> Cow<'_, str> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let lower = text.to_ascii_lowercase();
    let (mut out, mut rest) = (String::new(), 0);
    for (found, _) in lower.match_indices(BEARER) {
        let start = found + BEARER.len();
        let token = text[start..].find(|c| !is_token(c)).unwrap_or(text.len() - start);
        // Prose speaks of bearer tokens, too.
        if start < rest || token < 8 {
            continue;
        }
        out.push_str(&text[rest..start]);
        out.push_str(MASK);
        rest = start + token;
    }
    if rest == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[rest..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrubbed(text: &str) -> String {
        scrub(text, &|text| text.replace("4711", "****"))
    }

    #[test]
    fn members_that_name_a_credential_lose_their_texts_and_nothing_else_changes() {
        let same = r#"{"a": 1.50, "b":[true,null,"x\u0041\n"],"max_tokens":5,"author":"me"}"#;
        assert_eq!(scrubbed(same), same);
        for (given, kept) in [
            (r#"{"password":"p","q":"p"}"#, r#"{"password":"[redacted]","q":"p"}"#),
            (r#"{"API-Key" : "k"}"#, r#"{"API-Key" : "[redacted]"}"#),
            (r#"{"to\u006ben":"k","n":1}"#, r#"{"to\u006ben":"[redacted]","n":1}"#),
            (r#"{"accessToken":"a\"b"}"#, r#"{"accessToken":"[redacted]"}"#),
            (
                r#"{"secrets":{"a":"x","n":7,"l":["y"]},"b":"z"}"#,
                r#"{"secrets":{"a":"[redacted]","n":7,"l":["[redacted]"]},"b":"z"}"#,
            ),
            (r#"[{"secret":"a"},"secret","b"]"#, r#"[{"secret":"[redacted]"},"secret","b"]"#),
            // JSON in a text, as most tools answer.
            (
                r#"{"text":"{\"password\":\"p\",\"q\":\"4711\"}"}"#,
                r#"{"text":"{\"password\":\"[redacted]\",\"q\":\"****\"}"}"#,
            ),
            (
                r#"{"text":"GET / Authorization: Bearer abcdefgh.123 x"}"#,
                r#"{"text":"GET / Authorization: Bearer [redacted] x"}"#,
            ),
            // Cut somewhere.
            (r#"{"a":"b","password":"p4"#, r#"{"a":"b","password":"[redacted]""#),
            (r#"{"text":"{\"token\":\"p"#, r#"{"text":"{\"token\":\"[redacted]\""#),
        ] {
            assert_eq!(scrubbed(given), kept, "{given}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let key =
            prop_oneof![Just("password".to_owned()), Just("api_key".to_owned()), "[a-c\"é]{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-z\"\\\\{\\[é]{0,6}".prop_map(Value::from),
            Just(Value::from("canary")),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner.clone(), 0..4)
                    .prop_map(|members| members.into_iter().collect()),
                inner.prop_map(|inner| Value::from(inner.to_string())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_below_a_credential_survives_wherever_it_is_cut(value in json(), cut in 0..400_usize) {
            let whole = serde_json::json!({ "password": value, "q": 1 }).to_string();
            let kept = scrub(&whole, &str::to_owned);
            prop_assert!(!kept.contains("canary"), "{kept}");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&kept).is_ok(), "{kept}");
            let part = &whole[..whole.floor_char_boundary(cut)];
            let kept = scrub(part, &str::to_owned);
            prop_assert!(!kept.contains("canary"), "{part} {kept}");
        }

        #[test]
        fn what_names_nothing_stays_the_same_json(value in json()) {
            let text = value.to_string();
            prop_assume!(!text.contains("pass") && !text.contains("api_key"));
            let kept = scrub(&text, &str::to_owned);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).ok(), Some(value));
        }

        #[test]
        fn any_text_is_taken(text in "\\PC{0,60}") {
            let _ = scrub(&text, &str::to_owned);
        }
    }
}
