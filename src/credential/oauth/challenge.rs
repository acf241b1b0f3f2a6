//! `WWW-Authenticate: Bearer …` (RFC 9110, section 11.6.1; RFC 6750, section 3).

/// What a challenge says, as far as a login needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) error: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) resource_metadata: Option<String>,
}

impl Challenge {
    /// The Bearer challenge among these headers, if there is one.
    pub(super) fn read<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers.into_iter().find_map(Self::of)
    }

    fn of(header: &str) -> Option<Self> {
        let mut rest = header;
        let mut found: Option<Self> = None;
        while let Some((word, value, after)) = part(rest) {
            rest = after;
            match value {
                // A scheme: the parameters of another one are none of ours.
                None if word.eq_ignore_ascii_case("bearer") => found = Some(Self::default()),
                None if found.is_some() => break,
                None => {}
                Some(value) => {
                    let Some(found) = &mut found else { continue };
                    let place = match word.to_ascii_lowercase().as_str() {
                        "error" => &mut found.error,
                        "scope" => &mut found.scope,
                        "resource_metadata" => &mut found.resource_metadata,
                        _ => continue,
                    };
                    place.get_or_insert(value);
                }
            }
        }
        found
    }

    /// The scopes that it names.
    pub(super) fn scopes(&self) -> Vec<String> {
        self.scope
            .iter()
            .flat_map(|text| text.split_ascii_whitespace())
            .map(str::to_owned)
            .collect()
    }
}

/// The first word, its value if it has one, and what follows.
fn part(text: &str) -> Option<(&str, Option<String>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let end = text.find([' ', '\t', ',', '=']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() && rest.is_empty() {
        return None;
    }
    let Some(value) = rest.trim_start().strip_prefix('=') else { return Some((word, None, rest)) };
    let value = value.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find([' ', '\t', ',']).unwrap_or(value.len());
        return Some((word, Some(value[..end].to_owned()), &value[end..]));
    };
    let (mut out, mut escaped) = (String::new(), false);
    for (at, char) in quoted.char_indices() {
        match char {
            _ if std::mem::take(&mut escaped) => out.push(char),
            '\\' => escaped = true,
            '"' => return Some((word, Some(out), &quoted[at + 1..])),
            _ => out.push(char),
        }
    }
    Some((word, Some(out), ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let read = |text: &str| Challenge::read([text]);
        let found = read(
            r#"Basic realm="a, Bearer scope=x", Bearer realm="r" , error=invalid_token, scope="a \"b\" c", resource_metadata="https://h/x", Digest scope="no""#,
        )
        .unwrap();
        assert_eq!(found.error.as_deref(), Some("invalid_token"));
        assert_eq!(found.scope.as_deref(), Some("a \"b\" c"));
        assert_eq!(found.resource_metadata.as_deref(), Some("https://h/x"));
        assert_eq!(found.scopes().len(), 3);
        assert_eq!(read("Bearer"), Some(Challenge::default()));
        assert_eq!(read("bearer scope=one").unwrap().scopes(), ["one"]);
        assert_eq!(read("Basic realm=\"x\""), None);
        assert_eq!(read(""), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = Challenge::read([text.as_str()]);
        }
    }
}
