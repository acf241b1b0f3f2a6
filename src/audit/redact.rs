//! What of names and URIs may stand in a record: bounded, printable, and without the parts of a
//! URI in which people put secrets.

use std::borrow::Cow;

/// Longest name or URI.
pub(super) const NAME: usize = 200;
/// Longest of everything else.
pub(super) const SHORT: usize = 80;

/// A text of at most `most` bytes in which nothing moves a cursor or ends a line.
pub(super) fn plain(text: &str, most: usize) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(most)];
    let printable = |byte: u8| (b' '..0x7f).contains(&byte);
    if !text.bytes().all(printable) && text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name, or a URI without user, query and fragment.
pub(super) fn name(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b':', text.as_bytes()).is_none() {
        return plain(text, NAME);
    }
    let Some(scheme) = text.find("://") else {
        // `data:` and the like carry whole documents.
        return match text.split_once(',') {
            Some((head, _)) if text.starts_with("data:") => {
                Cow::Owned(format!("{},…", plain(head, SHORT)))
            }
            _ => plain(text, NAME),
        };
    };
    let start = scheme + 3;
    let end = text[start..].find(['?', '#']).map_or(text.len(), |at| start + at);
    let authority = text[start..end].find('/').map_or(end, |at| start + at);
    let user = text[start..authority].rfind('@').map_or(start, |at| start + at + 1);
    if user == start && end == text.len() {
        return plain(text, NAME);
    }
    let more = if end < text.len() { "?…" } else { "" };
    let clean = format!("{}{}{more}", &text[..start], &text[user..end]);
    Cow::Owned(plain(&clean, NAME).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_loses_what_may_be_secret() {
        for (given, kept) in [
            ("gh__create_issue", "gh__create_issue"),
            ("up+https://a.example/x/y", "up+https://a.example/x/y"),
            ("https://user:pass@a.example:1/x@y?token=t#f", "https://a.example:1/x@y?…"),
            ("https://a.example#f", "https://a.example?…"),
            ("file:///etc/a@b", "file:///etc/a@b"),
            ("data:text/plain;base64,c2VjcmV0", "data:text/plain;base64,…"),
            ("a\nb\u{1b}[2J", "a b [2J"),
        ] {
            assert_eq!(name(given), kept, "{given}");
        }
        assert!(name(&"ü".repeat(1_000)).len() <= NAME);
        assert!(name(&format!("x://{}?q", "ü".repeat(1_000))).len() <= NAME);
    }
}
