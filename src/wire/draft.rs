//! A message whose id the next hop chooses.

use std::fmt::Write;

use bytes::Bytes;

#[derive(Debug, Clone)]
enum Segment {
    Bytes(Bytes),
    Id,
}

/// A JSON-RPC request with holes where the hop's own request id and progress token go: both are
/// the same number, minted by the link that sends it, so ids of different callers never meet on
/// one connection (R87).
#[derive(Debug, Clone, Default)]
pub struct Draft {
    segments: Vec<Segment>,
    length: usize,
}

impl Draft {
    /// A request made by the proxy itself. `params` is a JSON object.
    #[must_use]
    pub fn request(method: &str, params: &str) -> Self {
        let mut draft = Self::default();
        draft.push_bytes(Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":"));
        draft.push_id();
        let mut rest = String::with_capacity(method.len() + params.len() + 24);
        // Writing to a String cannot fail.
        let _ = write!(rest, ",\"method\":\"{method}\",\"params\":{params}}}");
        draft.push_bytes(Bytes::from(rest));
        draft
    }

    /// Adds text.
    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.length += bytes.len();
            self.segments.push(Segment::Bytes(bytes));
        }
    }

    /// Adds a hole.
    pub(crate) fn push_id(&mut self) {
        self.segments.push(Segment::Id);
    }

    /// The message with `id` in its holes, without a line break at its end.
    #[must_use]
    pub fn render(&self, id: u64) -> Bytes {
        let mut out = Vec::with_capacity(self.length + 2 * 20);
        self.render_into(id, &mut out);
        Bytes::from(out)
    }

    /// Appends the message to `out`.
    pub fn render_into(&self, id: u64, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        let digits = decimal(id, &mut digits);
        for segment in &self.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::Id => out.extend_from_slice(digits),
            }
        }
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_ours_is_one_json_object() {
        let draft = Draft::request("tools/list", "{\"cursor\":\"x\"}");
        for id in [0, 9, 10, u64::MAX] {
            let value: serde_json::Value = serde_json::from_slice(&draft.render(id)).unwrap();
            assert_eq!(value["id"], id);
            assert_eq!(value["method"], "tools/list");
        }
    }
}
