//! Public URIs of resources and templates, both directions (protocol.md 4.3).
//!
//! `file:///x` of `gh` becomes `gh+file:///x`: `+` is legal in schemes, and relative
//! resolution and templates keep working. `ui://` and `skill://` keep their scheme, because
//! hosts look for it, and take the upstream as first segment. `https://` stays, because it says
//! that the client can fetch it. What has no scheme is wrapped as `mux://gh/…`.

use std::borrow::Cow;

/// Schemes that clients recognise and that therefore stay in front.
const KEPT: [&str; 2] = ["ui://", "skill://"];
/// Wraps what has no scheme of its own.
const WRAP: &str = "mux://";

fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let mut bytes = scheme.bytes();
    (bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.')))
    .then_some(scheme)
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// The public form of an upstream's URI.
#[must_use]
pub fn join_uri<'a>(upstream: &str, uri: &'a str) -> Cow<'a, str> {
    for kept in KEPT {
        if let Some(rest) = uri.strip_prefix(kept) {
            return Cow::Owned(format!("{kept}{upstream}/{rest}"));
        }
    }
    match scheme(uri) {
        Some(scheme) if is_web(scheme) => Cow::Borrowed(uri),
        // A scheme begins with a letter, a name need not; `.` cannot stand in a name.
        Some(_) if upstream.as_bytes()[0].is_ascii_alphabetic() => {
            Cow::Owned(format!("{upstream}+{uri}"))
        }
        Some(_) => Cow::Owned(format!("mcp.{upstream}+{uri}")),
        None => Cow::Owned(format!("{WRAP}{upstream}/{uri}")),
    }
}

/// The public form of an upstream's URI template (RFC 6570): the same, and one that begins with
/// a variable is wrapped, since its scheme is not known.
#[must_use]
pub fn join_template<'a>(upstream: &str, template: &'a str) -> Cow<'a, str> {
    let fixed = template.find('{').map_or(template, |brace| &template[..brace]);
    if fixed.contains(':') {
        join_uri(upstream, template)
    } else {
        Cow::Owned(format!("{WRAP}{upstream}/{template}"))
    }
}

/// The upstream's part of a public URI or template and the original. `None` for a URI that
/// carries no prefix (`https://…` or a bare one): then only the catalogues can tell.
#[must_use]
pub fn split_uri(uri: &str) -> Option<(&str, Cow<'_, str>)> {
    for kept in KEPT {
        if let Some(rest) = uri.strip_prefix(kept) {
            let (upstream, rest) = rest.split_once('/')?;
            return Some((upstream, Cow::Owned(format!("{kept}{rest}"))));
        }
    }
    if let Some(rest) = uri.strip_prefix(WRAP) {
        return rest
            .split_once('/')
            .map(|(upstream, original)| (upstream, Cow::Borrowed(original)));
    }
    let prefixed = uri.strip_prefix("mcp.").unwrap_or(uri);
    let (upstream, original) = prefixed.split_once('+')?;
    if upstream.contains([':', '/']) {
        return None;
    }
    Some((upstream, Cow::Borrowed(original)))
}

/// Whether a template (RFC 6570) can give this URI, as far as its fixed parts tell: they stand in
/// the URI in their order, the first one in front. A template that begins with a variable says
/// nothing, so it owns nothing.
#[must_use]
pub(super) fn expands_to(template: &str, uri: &str) -> bool {
    let mut parts = template.split('{');
    let first = parts.next().unwrap_or_default();
    let fixed: Option<Vec<&str>> =
        parts.map(|part| part.split_once('}').map(|(_, fixed)| fixed)).collect();
    let (Some(mut fixed), Some(mut rest)) = (fixed, uri.strip_prefix(first)) else { return false };
    let last = fixed.pop();
    if !first.contains(':') {
        return false;
    }
    for part in fixed {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn schemes_that_clients_know_stay() {
        assert_eq!(join_uri("gh", "file:///a"), "gh+file:///a");
        assert_eq!(join_uri("gh", "ui://view/x.html"), "ui://gh/view/x.html");
        assert_eq!(join_uri("gh", "skill://a/b/SKILL.md"), "skill://gh/a/b/SKILL.md");
        assert_eq!(join_uri("gh", "https://x.example/a"), "https://x.example/a");
        assert_eq!(join_uri("gh", "plain text"), "mux://gh/plain text");
        assert_eq!(join_uri("1up", "test://a"), "mcp.1up+test://a");
        assert_eq!(join_template("gh", "test://t/{id}/data"), "gh+test://t/{id}/data");
        assert_eq!(join_template("gh", "{+uri}"), "mux://gh/{+uri}");
        assert_eq!(split_uri("https://x.example/a+b"), None);
        assert_eq!(split_uri("file:///a"), None);
    }

    #[test]
    fn templates_own_what_they_expand_to() {
        for uri in ["videos://a", "videos://", "videos://a/b"] {
            assert!(expands_to("videos://{id}", uri), "{uri}");
        }
        assert!(expands_to("test://t/{id}/data", "test://t/7/data"));
        assert!(!expands_to("test://t/{id}/data", "test://t/7/date"));
        assert!(!expands_to("test://t/{id}/data", "test://u/7/data"));
        assert!(!expands_to("{+uri}", "a:b"));
        assert!(!expands_to("test://a", "test://a/b"));
        assert!(expands_to("test://a", "test://a"));
    }

    proptest! {
        #[test]
        fn a_simple_expansion_is_owned(prefix in "[a-z]{1,5}://[a-z]{0,5}", value in "[a-z0-9]{0,8}", tail in "(/[a-z]{1,5})?") {
            let (template, uri) = (format!("{prefix}{{v}}{tail}"), format!("{prefix}{value}{tail}"));
            prop_assert!(expands_to(&template, &uri));
        }

        #[test]
        fn every_prefixed_uri_leads_back(
            upstream in "[a-z0-9-]{1,10}",
            uri in "([a-z][a-z0-9.-]{0,5}:)?[a-z/:{}?#%._~ -]{0,20}",
        ) {
            let public = join_uri(&upstream, &uri);
            if let Cow::Owned(public) = public {
                prop_assert_eq!(split_uri(&public), Some((upstream.as_str(), Cow::Borrowed(uri.as_str()))));
            }
        }

        #[test]
        fn every_prefixed_template_leads_back(
            upstream in "[a-z0-9-]{1,10}",
            template in "(test://|ui://|\\{\\+u\\})[a-z/{}]{0,20}",
        ) {
            let public = join_template(&upstream, &template);
            prop_assert_eq!(split_uri(&public), Some((upstream.as_str(), Cow::Borrowed(template.as_str()))));
        }
    }
}
