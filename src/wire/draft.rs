//! A message whose id the next hop chooses.

use std::fmt::Write;

use bytes::Bytes;

use super::Edits;

/// A JSON-RPC request with holes where the hop's own request id and progress token go: both are
/// the same number, minted by the link that sends it, so ids of different callers never meet on
/// one connection (R87). It is written once, into the buffer that goes out.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    body: Bytes,
    /// In the order of their places.
    edits: Edits,
    /// Without what goes into the holes.
    length: usize,
    holes: usize,
}

impl Draft {
    /// A request made by the proxy itself. `params` is a JSON object.
    #[must_use]
    pub fn request(method: &str, params: &str) -> Self {
        const START: &str = "{\"jsonrpc\":\"2.0\",\"id\":";
        let mut body = String::with_capacity(START.len() + method.len() + params.len() + 24);
        // Writing to a String cannot fail.
        let _ = write!(body, "{START},\"method\":\"{method}\",\"params\":{params}}}");
        let mut edits = Edits::default();
        edits.insert_id(START.len());
        edits.draft(&Bytes::from(body))
    }

    /// `edits` are in the order of their places.
    pub(super) fn new(body: Bytes, edits: Edits) -> Self {
        let (length, holes) = edits.size(body.len());
        Self { body, edits, length, holes }
    }

    /// The message with `id` in its holes, without a line break at its end.
    #[must_use]
    pub fn render(&self, id: u64) -> Bytes {
        let mut out = Vec::with_capacity(self.len(id));
        self.render_into(id, &mut out);
        Bytes::from(out)
    }

    /// How long the message is with `id` in its holes, in bytes.
    #[must_use]
    pub fn len(&self, id: u64) -> usize {
        self.length + self.holes * decimal(id, &mut [0; 20]).len()
    }

    /// The message in pieces, none of them empty; those that did not change are not copied.
    #[must_use]
    pub fn pieces(&self, id: u64) -> Vec<Bytes> {
        self.edits.pieces(&self.body, decimal(id, &mut [0; 20]))
    }

    /// Appends the message to `out`.
    pub fn render_into(&self, id: u64, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        self.edits.write(&self.body, decimal(id, &mut digits), out);
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
            assert_eq!(draft.len(id), draft.render(id).len());
            assert_eq!(draft.pieces(id).concat(), draft.render(id));
        }
    }
}
