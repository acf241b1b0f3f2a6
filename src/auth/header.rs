//! The key in a request's headers.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::Denied;

/// The longest text that is looked at as a key.
pub(super) const LONGEST: usize = 512;

/// The text after `Bearer` in the one `Authorization` header (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::NoKey)?;
    if values.next().is_some() {
        return Err(Denied::Malformed);
    }
    let value = value.to_str().map_err(|_| Denied::Malformed)?;
    let (scheme, text) = value.split_once(' ').ok_or(Denied::NoKey)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::NoKey);
    }
    let text = text.trim_matches(' ');
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Denied::Malformed);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_header_counts() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer abc"]).as_deref(), Ok("abc"));
        assert_eq!(read(&["bEaReR  abc "]).as_deref(), Ok("abc"));
        assert_eq!(read(&[]), Err(Denied::NoKey));
        assert_eq!(read(&["Basic abc"]), Err(Denied::NoKey));
        assert_eq!(read(&["Bearer"]), Err(Denied::NoKey));
        assert_eq!(read(&["Bearer "]), Err(Denied::Malformed));
        assert_eq!(read(&["Bearer a b"]), Err(Denied::Malformed));
        assert_eq!(read(&["Bearer abc", "Bearer abc"]), Err(Denied::Malformed));
        assert_eq!(read(&["Bearer é"]), Err(Denied::Malformed));
        assert_eq!(read(&[&format!("Bearer {}", "a".repeat(513))]), Err(Denied::Malformed));
    }
}
