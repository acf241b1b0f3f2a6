//! Looking for secrets where none may be, in every form that they may have taken.

use base64::{Engine, engine::general_purpose};

/// A value that must not be seen, and what it is called in a report.
pub(crate) struct Canary {
    name: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    /// From its bytes.
    pub(crate) fn new(name: &str, value: &[u8]) -> Self {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let url = |safe: fn(&u8) -> bool| {
            let one =
                |b: &u8| if safe(b) { char::from(*b).to_string() } else { format!("%{b:02X}") };
            value.iter().map(one).collect::<String>()
        };
        let strict = url(u8::is_ascii_alphanumeric);
        let usual = url(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(b));
        let mut forms = vec![
            ("plain", value.to_vec()),
            ("hex", hex.to_uppercase().into_bytes()),
            ("hex", hex.into_bytes()),
            ("url", strict.to_lowercase().into_bytes()),
            ("url", strict.into_bytes()),
            ("url", usual.into_bytes()),
        ];
        if let Ok(text) = std::str::from_utf8(value) {
            let quoted = serde_json::Value::from(text).to_string();
            forms.push(("escaped", quoted.trim_matches('"').as_bytes().to_vec()));
        }
        for before in 0..3 {
            // In the middle of other text the same bytes have one of three forms; the characters
            // at both ends also depend on the neighbours.
            let padded = [&vec![0; before][..], value].concat();
            for engine in [&general_purpose::STANDARD_NO_PAD, &general_purpose::URL_SAFE_NO_PAD] {
                let text = engine.encode(&padded);
                let end = padded.len() * 8 / 6;
                forms.push(("base64", text.as_bytes()[(before * 8).div_ceil(6)..end].to_vec()));
            }
        }
        Self { name: name.to_owned(), forms }
    }

    /// The form in which it stands in a place, if it does.
    pub(crate) fn seen_in(&self, place: &str, content: &[u8]) -> Option<String> {
        self.forms.iter().find_map(|(form, bytes)| {
            let found = memchr::memmem::find(content, bytes).is_some();
            found.then(|| format!("{} stands in {place} as {form}", self.name))
        })
    }
}
