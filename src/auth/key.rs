//! The text of a key that we make: `mcpp_<id 10>_<secret 43>_<checksum 6>`, all in base62.
//!
//! The secret has 43 × log2(62) = 256 bits. The checksum (CRC-32 of everything before its
//! underscore) is no security: it turns typing errors and junk away before any look-up.

use zeroize::Zeroizing;

use crate::base::{KeyId, Secret};

/// How each key that we make begins; keys of the file may not.
pub const KEY_PREFIX: &str = "mcpp_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID: usize = 10;
const SECRET: usize = 43;
const CHECKSUM: usize = 6;
const LENGTH: usize = KEY_PREFIX.len() + ID + 1 + SECRET + 1 + CHECKSUM;

/// A new random key: its public id and its text.
pub(super) fn generate() -> Result<(KeyId, Secret), getrandom::Error> {
    let random = base62_random::<{ ID + SECRET }>()?;
    let (id, secret) = random.split_at(ID);
    let mut text = Zeroizing::new(String::with_capacity(LENGTH));
    text.push_str(KEY_PREFIX);
    text.extend(id.iter().map(|c| char::from(*c)));
    text.push('_');
    text.extend(secret.iter().map(|c| char::from(*c)));
    let checksum = checksum(text.as_bytes());
    text.push('_');
    text.extend(checksum.iter().map(|c| char::from(*c)));
    let id = text[KEY_PREFIX.len()..KEY_PREFIX.len() + ID]
        .parse()
        .expect("10 characters of base62 are an id");
    Ok((id, Secret::new(std::mem::take(&mut *text))))
}

/// The public id of a text that has the shape and the checksum of a key of ours.
pub(super) fn parse(text: &str) -> Option<KeyId> {
    let rest = text.strip_prefix(KEY_PREFIX)?;
    if text.len() != LENGTH || !rest.is_ascii() {
        return None;
    }
    let (id, rest) = rest.split_at(ID);
    let (secret, sum) = rest.split_at(1 + SECRET);
    let (secret, sum) = (secret.strip_prefix('_')?, sum.strip_prefix('_')?);
    let alphanumeric = |part: &str| part.bytes().all(|c| c.is_ascii_alphanumeric());
    if !alphanumeric(secret)
        || sum.as_bytes() != checksum(&text.as_bytes()[..LENGTH - CHECKSUM - 1])
    {
        return None;
    }
    id.parse().ok()
}

/// Ten base62 characters from a digest: the public id of a key that the operator wrote.
pub(super) fn id_from(digest: &[u8; 32]) -> KeyId {
    let text: String =
        digest.iter().take(ID).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])).collect();
    text.parse().expect("10 characters of base62 are an id")
}

pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = u64::from(crc32fast::hash(bytes));
    let mut digits = [ALPHABET[0]; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(rest % 62).unwrap_or_default()];
        rest /= 62;
    }
    digits
}

/// `N` characters, each equally likely: bytes of 248 and above are drawn again, since 248 is the
/// largest multiple of 62 below 256.
fn base62_random<const N: usize>() -> Result<Zeroizing<[u8; N]>, getrandom::Error> {
    let mut characters = Zeroizing::new([0; N]);
    let mut filled = 0;
    let mut drawn = Zeroizing::new([0_u8; 64]);
    while filled < N {
        getrandom::fill(drawn.as_mut())?;
        for byte in drawn.iter().filter(|byte| **byte < 248) {
            if filled == N {
                break;
            }
            characters[filled] = ALPHABET[usize::from(*byte % 62)];
            filled += 1;
        }
    }
    Ok(characters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_made_key_reads_back_its_id_and_no_two_are_alike() {
        let (one, text) = generate().unwrap();
        assert_eq!(text.expose().len(), 66);
        assert_eq!(parse(text.expose()), Some(one));
        assert_ne!(generate().unwrap().0, one);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let (_, key) = generate().unwrap();
        for at in 0..LENGTH {
            for other in ["0", "z", "_", "-", " ", "\u{e9}"] {
                let mut text = key.expose().to_owned();
                text.replace_range(at..=at, other);
                assert!(text == key.expose() || parse(&text).is_none(), "{at} {other}");
            }
        }
        assert!(parse(&key.expose()[..LENGTH - 1]).is_none());
        assert!(parse(&format!("{}0", key.expose())).is_none());
    }

    #[test]
    fn every_character_of_the_alphabet_comes_about_equally_often() {
        let mut seen = [0_u32; 256];
        for _ in 0..1_000 {
            for c in base62_random::<62>().unwrap().iter() {
                seen[usize::from(*c)] += 1;
            }
        }
        // 1,000 expected each; eight standard deviations either way.
        assert!(ALPHABET.iter().all(|c| (750..1_250).contains(&seen[usize::from(*c)])), "{seen:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", tail in "mcpp_[0-9A-Za-z_é]{50,70}") {
            prop_assert!(parse(&text).is_none());
            let _ = parse(&tail);
        }
    }
}
