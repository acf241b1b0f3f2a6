//! Passing over a JSON value that arrives in pieces.
//!
//! Where a value goes through to its reader as it comes, nobody here has to know what it says,
//! only where it ends. Strings and brackets are judged (RFC 8259: which bracket closes which, no
//! bare control character, no backslash outside of a string); numbers, literals, commas and colons
//! are left to the reader of the value. A block at a time, several times faster than
//! [`Reader`](super::json::Reader), and without memory.

use super::block::{BLOCK, between, has_rare, has_stop, marks, string_stop};

/// The value is broken, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON, or nested too deep")]
pub struct Malformed;

/// Where in a value its reader stands.
#[derive(Debug, Clone)]
pub struct Skip {
    /// One bit for each open container: 1 is an object.
    objects: u128,
    open: u32,
    limit: u32,
    in_string: bool,
    /// The next byte belongs to an escape.
    escaped: bool,
}

impl Skip {
    /// Before a string, an object or an array, which holds at most so many containers one in the
    /// other (at most 127), itself among them.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let limit = limit.min(127);
        Self { objects: 0, open: 0, limit, in_string: false, escaped: false }
    }

    /// Takes more of the value. Gives the number of bytes that belong to it when it ends among
    /// them.
    ///
    /// # Errors
    /// When it is no such value.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        if self.open == 0 && !self.in_string {
            match bytes.first() {
                None => return Ok(None),
                Some(b'"') => (self.in_string, at) = (true, 1),
                Some(b'{' | b'[') => {}
                Some(_) => return Err(Malformed),
            }
        }
        if self.open == 0 && self.in_string {
            return self.string(bytes, at);
        }
        while at < bytes.len() {
            let rest = &bytes[at..];
            let (end, length) = match rest.first_chunk::<BLOCK>() {
                Some(block) => (self.block(block, BLOCK)?, BLOCK),
                None => {
                    let mut block = [b' '; BLOCK];
                    block[..rest.len()].copy_from_slice(rest);
                    (self.block(&block, rest.len())?, rest.len())
                }
            };
            if let Some(end) = end {
                return Ok(Some(at + end));
            }
            at += length;
        }
        Ok(None)
    }

    /// The value is a string, and its first quote has gone.
    fn string(&mut self, bytes: &[u8], mut at: usize) -> Result<Option<usize>, Malformed> {
        loop {
            if std::mem::take(&mut self.escaped) {
                match bytes.get(at) {
                    None => {
                        self.escaped = true;
                        return Ok(None);
                    }
                    Some(..0x20) => return Err(Malformed),
                    Some(_) => at += 1,
                }
            }
            let Some(stop) = string_stop(bytes, at) else { return Ok(None) };
            match bytes[stop] {
                b'"' => return Ok(Some(stop + 1)),
                b'\\' => (self.escaped, at) = (true, stop + 1),
                _ => return Err(Malformed),
            }
        }
    }

    /// Takes the first `length` bytes of a block; spaces stand behind them.
    fn block(&mut self, block: &[u8; BLOCK], length: usize) -> Result<Option<usize>, Malformed> {
        if self.in_string && !has_stop(block) {
            self.escaped = false;
            return Ok(None);
        }
        let rare = has_rare(block);
        let mut escaped = u64::from(self.escaped);
        let backslashes = if rare { marks(block, |byte| byte == b'\\') } else { 0 };
        let mut left = backslashes & !escaped;
        self.escaped = false;
        while left != 0 {
            let next = left & left.wrapping_neg();
            // One in the last place escapes what is in the next block.
            self.escaped = next >> 63 == 1;
            escaped |= next << 1;
            left &= !(next | next << 1);
        }
        if length < BLOCK {
            self.escaped = escaped >> length & 1 == 1;
        }
        let quotes = marks(block, |byte| byte == b'"') & !escaped;
        let inside = between(quotes) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string = inside >> 63 == 1;
        // All bits of brackets are set in no other byte, but for the bit that tells the two kinds.
        let bracket = |byte: u8| matches!(byte | 0x20, b'{' | b'}');
        let mut brackets = marks(block, bracket) & !inside;
        while brackets != 0 {
            let place = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            if self.bracket(block[place])? {
                let before = u64::MAX >> (63 - place);
                return self.judge(block, rare, backslashes & before, inside, before, place + 1);
            }
        }
        self.judge(block, rare, backslashes, inside, u64::MAX, 0)
    }

    /// Looks for what stands where it must not, among the bytes of `before`. `end` is given back
    /// when it is not 0.
    fn judge(
        &self,
        block: &[u8; BLOCK],
        rare: bool,
        backslashes: u64,
        inside: u64,
        before: u64,
        end: usize,
    ) -> Result<Option<usize>, Malformed> {
        if rare {
            let control = marks(block, |byte| byte < 0x20);
            if (control & inside | backslashes & !inside) & before != 0 {
                return Err(Malformed);
            }
        }
        Ok((end != 0).then_some(end))
    }

    /// Takes a bracket; true when it closes the value.
    fn bracket(&mut self, bracket: u8) -> Result<bool, Malformed> {
        let object = u128::from(matches!(bracket, b'{' | b'}'));
        if matches!(bracket, b'{' | b'[') {
            self.open += 1;
            self.objects = self.objects << 1 | object;
            return if self.open > self.limit { Err(Malformed) } else { Ok(false) };
        }
        if self.objects & 1 != object {
            return Err(Malformed);
        }
        self.open -= 1;
        self.objects >>= 1;
        Ok(self.open == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::json::{Reader, UPSTREAM_DEPTH};

    /// Takes a text in pieces of these lengths.
    fn cut(text: &[u8], cuts: &[usize]) -> Result<Option<usize>, Malformed> {
        let (mut skip, mut at) = (Skip::new(UPSTREAM_DEPTH), 0);
        for cut in cuts.iter().copied().chain([text.len()]) {
            let end = (at + cut).min(text.len());
            if let Some(length) = skip.take(&text[at..end])? {
                return Ok(Some(at + length));
            }
            at = end;
        }
        Ok(None)
    }

    /// What the reader that judges everything says of the same.
    fn strictly(text: &str) -> Result<usize, ()> {
        Reader::new(text, UPSTREAM_DEPTH).value().map(|value| value.end).map_err(drop)
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["1", "[}", "{]", "\"\n\"", "[\"\t\"]", "[\\\"\"]", "[\"\u{0}\"]"] {
            assert_eq!(cut(text.as_bytes(), &[]), Err(Malformed), "{text:?}");
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(cut(nested(127).as_bytes(), &[]), Ok(Some(254)));
        assert_eq!(cut(nested(128).as_bytes(), &[]), Err(Malformed));
        assert_eq!(cut(b"[1,2", &[]), Ok(None));
        // What stands behind is not its matter.
        assert_eq!(cut(b"[1]\\\n\"", &[]), Ok(Some(3)));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let text = "[a-z\"\\\\{}\\[\\],: \n\t\u{e9}\u{1f600}]{0,90}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_ends_where_the_strict_reader_says(
            value in any_json(),
            pretty in any::<bool>(),
            cuts in prop::collection::vec(0usize..130, 0..20),
            behind in "[\\]}\"\\\\, ]{0,4}",
        ) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            prop_assume!(text.starts_with(['"', '{', '[']));
            let all = text.clone() + &behind;
            prop_assert_eq!(cut(all.as_bytes(), &cuts), Ok(Some(text.len())));
        }

        #[test]
        fn what_the_strict_reader_takes_is_taken_and_cuts_change_nothing(
            parts in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", "\"", "\\", ",", ":", "a", " ", "\n", "\\\\", "\\\"", "\"k\":", "\"v\"", "1",
                "true", "\t", "-------------------------------------------------------------", "\u{e9}",
            ]), 0..40),
            cuts in prop::collection::vec(0usize..70, 0..20),
        ) {
            let text = parts.concat();
            let whole = cut(text.as_bytes(), &[]);
            if text.starts_with(['"', '{', '[']) && let Ok(end) = strictly(&text) {
                prop_assert_eq!(whole, Ok(Some(end)), "{:?}", text);
            }
            let pieces = cut(text.as_bytes(), &cuts);
            // Where it ends is the same; what is broken is seen once it is there.
            prop_assert_eq!(pieces, whole, "{:?}", text);
        }
    }
}
