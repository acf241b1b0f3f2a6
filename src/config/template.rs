//! References in a value: `{secret.NAME}`, `{tenant}`, `{key}`; `{{` and `}}` are braces.
//! Resolved after parsing into single values, never by substituting text in the file.

use crate::base::Slot;

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// The tenant's own value of this slot.
    Secret(Slot),
    /// The tenant's name.
    Tenant,
    /// The caller's public key id.
    Key,
    /// The token that the tenant has for the upstream.
    AccessToken,
}

/// A value with references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// From parts; `check` and tests build templates this way or by [`Template::parse`].
    #[must_use]
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// The parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// True when some part is a secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Secret(_) | Part::AccessToken))
    }

    /// True when some part is the token of a login.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.parts.contains(&Part::AccessToken)
    }

    /// Reads the text of a value.
    ///
    /// # Errors
    /// A sentence about the first brace that opens or closes nothing known, with its byte offset
    /// in `text`.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let offset = text.len() - rest.len() + at;
            let tail = &rest[at..];
            if tail.starts_with("{{") || tail.starts_with("}}") {
                literal.push_str(&tail[..1]);
                rest = &tail[2..];
                continue;
            }
            if tail.starts_with('}') {
                return Err((offset, "a lone `}`; write `}}` for a brace".to_owned()));
            }
            let Some(end) = tail.find('}') else {
                return Err((offset, "`{` is not closed; write `{{` for a brace".to_owned()));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(reference(&tail[1..end]).map_err(|problem| (offset, problem))?);
            rest = &tail[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }
}

fn reference(inner: &str) -> Result<Part, String> {
    match inner {
        "tenant" => Ok(Part::Tenant),
        "key" => Ok(Part::Key),
        "oauth.access_token" => Ok(Part::AccessToken),
        _ => match inner.strip_prefix("secret.") {
            Some(slot) if slot.starts_with("oauth.") => {
                Err(format!("`{{{inner}}}` is the proxy's own; choose another name"))
            }
            Some(slot) => Slot::new(slot).map(Part::Secret).map_err(|error| error.to_string()),
            None => Err(format!(
                "`{{{inner}}}` is no reference; there are {{secret.NAME}}, {{tenant}} and {{key}}"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_braces_are_told_apart() {
        let template = Template::parse("Bearer {secret.token} {{x}} {tenant}").unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Text("Bearer ".into()),
                Part::Secret(Slot::new("token").unwrap()),
                Part::Text(" {x} ".into()),
                Part::Tenant,
            ]
        );
        assert!(template.has_secret());
    }

    #[test]
    fn what_is_no_reference_is_named_with_its_place() {
        assert_eq!(Template::parse("a{nope}").unwrap_err().0, 1);
        assert_eq!(Template::parse("ab}").unwrap_err().0, 2);
        assert_eq!(Template::parse("abc{tenant").unwrap_err().0, 3);
        assert!(Template::parse("{secret.a b}").is_err());
    }
}
