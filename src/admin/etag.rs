//! ETags, and what `If-Match` asks for (RFC 9110, section 13).

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// Names a state: the same parts give the same tag.
pub(super) fn etag(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether a list of tags has this one. `*` has every one.
fn names(headers: &HeaderMap, name: &HeaderName, current: &str) -> Option<bool> {
    let mut given = headers.get_all(name).iter().peekable();
    given.peek()?;
    Some(given.any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').map(str::trim).any(|tag| tag == "*" || tag == current)
    }))
}

/// Judges `If-Match` against the state that a thing has now.
///
/// # Errors
/// When it names another state.
pub(super) fn check(headers: &HeaderMap, current: &str) -> Result<(), Problem> {
    match names(headers, &header::IF_MATCH, current) {
        Some(false) => Err(Problem::Changed(current.to_owned())),
        _ => Ok(()),
    }
}

/// The same where a request without `If-Match` would do harm; `why` says which.
///
/// # Errors
/// When there is none, or it names another state.
pub(super) fn demand(headers: &HeaderMap, current: &str, why: &str) -> Result<(), Problem> {
    if headers.contains_key(header::IF_MATCH) {
        return check(headers, current);
    }
    Err(Problem::MustMatch(format!("{why}; if you mean it, send `If-Match: {current}`")))
}

/// Judges `If-Match` and `If-None-Match: *` where the thing may not be there yet.
///
/// # Errors
/// When the thing is in another state, or there and must not be.
pub(super) fn check_maybe(headers: &HeaderMap, current: Option<&str>) -> Result<(), Problem> {
    let none = headers.contains_key(header::IF_NONE_MATCH);
    match current {
        Some(current) if none && names(headers, &header::IF_NONE_MATCH, current) == Some(true) => {
            Err(Problem::Changed(current.to_owned()))
        }
        Some(current) => check(headers, current),
        None if headers.contains_key(header::IF_MATCH) => {
            Err(Problem::Changed("none, since it is not there".to_owned()))
        }
        None => Ok(()),
    }
}

/// Whether a reader has this state already (`If-None-Match`).
pub(super) fn is_known(headers: &HeaderMap, current: &str) -> bool {
    names(headers, &header::IF_NONE_MATCH, current) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn if_match_is_a_list_of_states() {
        let (one, two) = (etag(&["a", "bc"]), etag(&["ab", "c"]));
        assert_ne!(one, two);
        assert!(check(&HeaderMap::new(), &one).is_ok());
        assert!(check(&headers("if-match", &one), &one).is_ok());
        assert!(check(&headers("if-match", &format!("{two}, {one}")), &one).is_ok());
        assert!(check(&headers("if-match", "*"), &one).is_ok());
        assert!(matches!(check(&headers("if-match", &two), &one), Err(Problem::Changed(_))));
        assert!(matches!(check(&headers("if-match", ""), &one), Err(Problem::Changed(_))));
        assert!(matches!(demand(&HeaderMap::new(), &one, "x"), Err(Problem::MustMatch(_))));
        assert!(demand(&headers("if-match", &one), &one, "x").is_ok());
    }

    #[test]
    fn what_is_not_there_matches_nothing() {
        let one = etag(&["a"]);
        assert!(check_maybe(&headers("if-match", "*"), None).is_err());
        assert!(check_maybe(&headers("if-none-match", "*"), None).is_ok());
        assert!(check_maybe(&headers("if-none-match", "*"), Some(&one)).is_err());
        assert!(check_maybe(&HeaderMap::new(), Some(&one)).is_ok());
        assert!(is_known(&headers("if-none-match", &one), &one));
        assert!(!is_known(&HeaderMap::new(), &one));
    }
}
