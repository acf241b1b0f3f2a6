//! Looking at many bytes of JSON text at once, in words and blocks that a compiler makes vector
//! instructions of: most of a long message is strings, and most of the rest needs no second look.

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// So many bytes of a string are looked at in words: most strings end before.
const NEAR: usize = 256;

/// The first byte at or after `from` that a string's text cannot have: a quote, a backslash or a
/// control character.
#[inline]
pub(super) fn string_stop(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Bytes below 32, and bytes that equal a given one, get their highest bit; bytes after such a
    // one may get it wrongly, so that only the lowest counts.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let words = bytes[from..].chunks_exact(8);
    let rest = words.remainder();
    let mut at = from;
    for word in words {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let found = (control | quote | backslash) & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
        if at - from >= NEAR {
            return string_stop(bytes, without_stop(bytes, at));
        }
    }
    rest.iter().position(|byte| is_stop(*byte)).map(|place| at + place)
}

/// Where the first block begins, from `at` on, that has a stop or is the last.
#[inline(never)]
fn without_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>()
        && !has_stop(block)
    {
        at += BLOCK;
    }
    at
}

fn is_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..0x20)
}

/// True when any byte of the block is a quote, a backslash or a control character.
pub(super) fn has_stop(block: &[u8; BLOCK]) -> bool {
    // Without a branch for each byte.
    block.iter().fold(0, |found, &byte| {
        found | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
    }) != 0
}

/// True when any byte of the block is a backslash or a control character.
pub(super) fn has_rare(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(0, |found, &byte| found | u8::from(byte == b'\\') | u8::from(byte < 0x20))
        != 0
}

/// One bit for each byte of the block that is such a one, the first byte's the lowest.
#[inline]
pub(super) fn marks(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    // Moves the lowest bit of each of eight bytes into the highest byte, in their order.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut ones = [0u8; BLOCK];
    for (one, byte) in ones.iter_mut().zip(block) {
        *one = u8::from(is(*byte));
    }
    let mut marks = 0;
    for (place, word) in ones.chunks_exact(8).enumerate() {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        marks |= (word.wrapping_mul(GATHER) >> 56) << (8 * place);
    }
    marks
}

/// From marks of quotes: one bit for each byte in a string, its first quote with it and its last
/// one not.
pub(super) fn between(quotes: u64) -> u64 {
    let mut inside = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        inside ^= inside << shift;
    }
    inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_stop_is_found_wherever_it_is(
            mut bytes in prop::collection::vec(prop_oneof![32u8..=33, 35u8..=91, 93u8..=255], 0..300),
            stops in prop::collection::vec((any::<prop::sample::Index>(), "[\"\\\\\t\u{0}\u{1f}]"), 0..3),
            from in any::<prop::sample::Index>(),
        ) {
            for (at, stop) in stops {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = stop.as_bytes()[0];
                }
            }
            let from = from.index(bytes.len() + 1);
            let plain = bytes[from..].iter().position(|byte| is_stop(*byte)).map(|at| at + from);
            prop_assert_eq!(string_stop(&bytes, from), plain);
        }

        #[test]
        fn marks_stand_where_the_bytes_do(bytes in prop::collection::vec(any::<u8>(), BLOCK), wanted in any::<u8>()) {
            let block: [u8; BLOCK] = bytes.try_into().unwrap();
            let found = marks(&block, |byte| byte == wanted || byte < 9);
            for (at, byte) in block.iter().enumerate() {
                prop_assert_eq!(found >> at & 1 == 1, *byte == wanted || *byte < 9);
            }
            let stops = block.iter().any(|byte| is_stop(*byte));
            prop_assert_eq!(has_stop(&block), stops);
            prop_assert_eq!(has_rare(&block), block.iter().any(|byte| is_stop(*byte) && *byte != b'"'));
        }
    }

    #[test]
    fn what_stands_between_quotes_is_inside() {
        assert_eq!(between(0b0100_0010), 0b0011_1110);
        assert_eq!(between(1 << 62), 0b11 << 62);
    }
}
