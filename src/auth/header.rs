//! What a request shows of its sender: a key or token, and for whom it acts.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::Denied;

/// The longest text that is looked at as a key.
pub(super) const LONGEST: usize = 512;
/// The longest text that is looked at as a token.
const LONGEST_TOKEN: usize = 8 * 1024;
/// In the place of `Authorization`, for programs that cannot set that.
const API_KEY: &str = "x-api-key";
/// The tenant for which a key of the operator acts.
const TENANT: &str = "x-tenant";

/// True for the outer shape of a signed token (RFC 7515, section 3.1): three parts, the first of
/// which is a JSON object in base64url.
pub(super) fn looks_like_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|c| *c == b'.').count() == 2
}

/// The text after `Bearer` in the one `Authorization` header (RFC 6750, section 2.1); where there
/// is none, that of the one `X-API-Key`.
pub(super) fn shown(headers: &HeaderMap) -> Result<&str, Denied> {
    if headers.contains_key(AUTHORIZATION) { bearer(headers) } else { api_key(headers) }
}

/// The text after `Bearer` in the one `Authorization` header, and nothing else.
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
    bounded(text.trim_matches(' '))
}

fn api_key(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(API_KEY).iter();
    let value = values.next().ok_or(Denied::NoKey)?;
    if values.next().is_some() {
        return Err(Denied::Malformed);
    }
    bounded(value.to_str().map_err(|_| Denied::Malformed)?)
}

fn bounded(text: &str) -> Result<&str, Denied> {
    let fits = text.len() <= LONGEST || (text.len() <= LONGEST_TOKEN && looks_like_token(text));
    if text.is_empty() || !fits || !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Denied::Malformed);
    }
    Ok(text)
}

/// The one `X-Tenant` header.
pub(super) fn tenant(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(TENANT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Denied::UnknownTenant),
        (Some(_), Some(_)) => Err(Denied::UnknownTenant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, values: &[&str]) -> Result<String, Denied> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        shown(&headers).map(str::to_owned)
    }

    #[test]
    fn exactly_one_bearer_header_counts() {
        let read = |values: &[&str]| read("authorization", values);
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
        let token = format!("eyJ.{}.a", "a".repeat(2_000));
        assert_eq!(read(&[&format!("Bearer {token}")]), Ok(token));
    }

    #[test]
    fn an_api_key_counts_where_there_is_no_authorization() {
        let read = |values: &[&str]| read("x-api-key", values);
        assert_eq!(read(&["abc"]).as_deref(), Ok("abc"));
        assert_eq!(read(&["a b"]), Err(Denied::Malformed));
        assert_eq!(read(&["abc", "abc"]), Err(Denied::Malformed));
        let mut both = HeaderMap::new();
        both.insert("x-api-key", "abc".parse().unwrap());
        both.insert("authorization", "Bearer def".parse().unwrap());
        assert_eq!(shown(&both), Ok("def"));
        both.insert("authorization", "Basic def".parse().unwrap());
        assert_eq!(shown(&both), Err(Denied::NoKey));
    }
}
