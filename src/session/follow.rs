//! Which updates belong to a resource that somebody follows.

/// True when the update of `uri` is one of `followed`: of the resource itself, or of one below it,
/// which a server may name instead (subscriptions, `resources/updated`). `…/a` does not follow
/// `…/ab`.
#[must_use]
pub fn covers(followed: &str, uri: &str) -> bool {
    uri.strip_prefix(followed).is_some_and(|rest| {
        rest.is_empty() || followed.ends_with('/') || rest.starts_with(['/', '?', '#'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_resource_belongs_to_it_and_its_namesakes_do_not() {
        for own in ["file:///a", "file:///a/b", "file:///a#x", "file:///a?v=2"] {
            assert!(covers("file:///a", own), "{own}");
        }
        assert!(covers("file:///a/", "file:///a/b"));
        for other in ["file:///ab", "file:///a-1", "file://", "file:///b/a"] {
            assert!(!covers("file:///a", other), "{other}");
        }
    }
}
