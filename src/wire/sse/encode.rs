//! Writing events.

/// A comment that keeps intermediaries from closing a silent stream. Readers ignore it.
pub const COMMENT: &[u8] = b":\n\n";

/// Appends one `message` event. `data` is split at its line breaks; a reader gets them back as
/// LF, which in JSON means the same. Empty data is an event that only sets the id. `id` holds no
/// line break.
pub fn encode(out: &mut Vec<u8>, id: Option<&str>, data: &[u8]) {
    out.reserve(data.len() + id.map_or(0, str::len) + 16);
    if let Some(id) = id {
        debug_assert!(!id.contains(['\r', '\n', '\0']), "an event id is one line");
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
            out.extend_from_slice(rest);
            break;
        };
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    out.extend_from_slice(b"\n\n");
}
