//! Taking injected values out of texts that an upstream wrote.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::render::STRICT;
use crate::base::Secret;

const MASK: &str = "[redacted]";
/// A shorter value would mask half of every text, and is no secret either.
const SHORTEST: usize = 3;
/// Encodings of shorter values collide with ordinary words.
const SHORTEST_ENCODED: usize = 6;

/// What `encodeURIComponent` leaves as it is (ECMA-262, 19.2.6.4).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Masks each value wherever it stands: plain, JSON-escaped, base64 (also within a longer
/// encoded text), percent-encoded or hex.
pub(super) fn redact<'t, 's>(
    text: &'t str,
    secrets: impl Iterator<Item = &'s Secret>,
) -> Cow<'t, str> {
    let mut forms: Vec<_> = secrets.flat_map(|secret| forms(secret.expose())).collect();
    // A longer form may contain a shorter one.
    forms.sort_unstable_by_key(|form| std::cmp::Reverse(form.len()));
    let mut text = Cow::Borrowed(text);
    for form in &forms {
        if memmem::find(text.as_bytes(), form.as_bytes()).is_some() {
            text = Cow::Owned(text.replace(form.as_str(), MASK));
        }
    }
    text
}

/// The same for a text that was cut at its end: the beginning of a value there goes, too.
pub(super) fn redact_cut<'t, 's>(
    text: &'t str,
    secrets: impl Iterator<Item = &'s Secret> + Clone,
) -> Cow<'t, str> {
    let begins = |form: &str| {
        let longest = form.len().min(text.len());
        let fits = |length: &usize| text.as_bytes().ends_with(&form.as_bytes()[..*length]);
        (1..=longest).rev().find(fits).unwrap_or(0)
    };
    let forms = secrets.clone().flat_map(|secret| forms(secret.expose()));
    let cut = forms.map(|form| begins(&form)).max().unwrap_or(0);
    redact(&text[..text.floor_char_boundary(text.len() - cut)], secrets)
}

fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![secret.to_owned()];
    let mut add = |form: String| {
        if form.len() >= SHORTEST && !forms.contains(&form) {
            forms.push(form);
        }
    };
    let escaped = serde_json::Value::from(secret).to_string();
    add(escaped[1..escaped.len() - 1].to_owned());
    for set in [STRICT, COMPONENT, NON_ALPHANUMERIC] {
        let encoded = utf8_percent_encode(secret, set).to_string();
        add(lower_escapes(&encoded));
        add(encoded.replace("%20", "+"));
        add(encoded);
    }
    if secret.len() >= SHORTEST_ENCODED {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        add(hex.to_uppercase());
        add(hex);
        add(STANDARD.encode(secret));
        add(URL_SAFE.encode(secret));
        for before in 0..3 {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                add(within(secret, before, engine));
            }
        }
    }
    forms.into_iter().map(Zeroizing::new).collect()
}

/// The characters that only the secret decides when `before` (modulo 3) bytes stand before it in
/// the encoded text.
fn within(
    secret: &str,
    before: usize,
    engine: &base64::engine::general_purpose::GeneralPurpose,
) -> String {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = Zeroizing::new(engine.encode(bytes.as_slice()));
    encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

/// `%2F` as `%2f`, the rest as it stands.
fn lower_escapes(encoded: &str) -> String {
    let mut left = 0;
    encoded
        .chars()
        .map(|c| {
            left = if c == '%' { 3 } else { left - i32::from(left > 0) };
            if left > 0 || c == '%' { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str, secret: &str) -> String {
        redact(text, [&Secret::new(secret.to_owned())].into_iter()).into_owned()
    }

    #[test]
    fn every_written_form_is_masked() {
        let secret = "p/a+s s\"wörd?=";
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            secret.to_owned(),
            "p/a+s s\\\"wörd?=".to_owned(),
            "p%2Fa%2Bs%20s%22w%C3%B6rd%3F%3D".to_owned(),
            "p%2fa%2bs%20s%22w%c3%b6rd%3f%3d".to_owned(),
            "p%2Fa%2Bs+s%22w%C3%B6rd%3F%3D".to_owned(),
            hex.to_uppercase(),
            hex,
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        for form in forms {
            assert_eq!(masked(&format!("<{form}>"), secret), "<[redacted]>", "{form}");
        }
        assert!(matches!(redact("nothing here", std::iter::empty()), Cow::Borrowed(_)));
        assert_eq!(masked("a cat", "a"), "a cat", "one letter is no secret");
    }

    proptest! {
        #[test]
        fn no_beginning_of_a_value_stays_where_a_text_is_cut(
            secret in "[!-~]{8,30}", before in "[a-z ]{0,9}", cut in 1..60_usize,
        ) {
            let whole = format!("{before}{secret}{}", STANDARD.encode(&secret));
            let text = &whole[..cut.min(whole.len())];
            let kept = redact_cut(text, [&Secret::new(secret.clone())].into_iter());
            let known: String = kept.replace(MASK, "\u{0}");
            let start = &secret[..4];
            prop_assert!(!known.ends_with(start) && !known.contains(&secret), "{kept}");
        }

        #[test]
        fn base64_of_a_text_around_the_secret_does_not_give_it_away(
            before in "[a-z:]{0,7}", secret in "[!-~]{8,40}", after in "[a-z]{0,5}",
        ) {
            for engine in [&STANDARD, &URL_SAFE] {
                let encoded = engine.encode(format!("{before}{secret}{after}"));
                let text = masked(&encoded, &secret);
                prop_assert!(text.contains(MASK), "{encoded} {text}");
            }
        }

        #[test]
        fn no_value_survives(secret in "\\PC{3,30}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let text = masked(&format!("{before}{secret}{after}"), &secret);
            let gone = !text.replace(MASK, "\u{0}").contains(&secret);
            prop_assert!(gone || MASK.contains(&secret));
        }
    }
}
