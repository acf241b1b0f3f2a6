//! The extensions that pass through the proxy from end to end; all others stay hidden (R94).

use super::json::{JsonError, Reader, UPSTREAM_DEPTH};

/// An extension of the protocol that the proxy carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// MCP Apps: user interfaces of tools, declared by clients.
    Apps,
    /// Skills (SEP-2640), announced by servers.
    Skills,
    /// Tasks (SEP-2663), declared by both.
    Tasks,
}

impl Extension {
    /// All that are carried.
    pub const ALL: [Self; 3] = [Self::Apps, Self::Skills, Self::Tasks];

    /// Its key in `capabilities.extensions`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Apps => "io.modelcontextprotocol/ui",
            Self::Skills => "io.modelcontextprotocol/skills",
            Self::Tasks => "io.modelcontextprotocol/tasks",
        }
    }
}

/// What a server says of skills in its `ServerCapabilities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Skills {
    /// Nothing: it has none.
    #[default]
    None,
    /// `skills/list` and `skills/get`.
    Listed,
    /// `resources/directory/read` besides (`directoryRead: true`).
    Directories,
}

impl Skills {
    /// Reads the text of a `ServerCapabilities` object; what cannot be read announces nothing.
    #[must_use]
    pub fn announced(capabilities: &str) -> Self {
        let mut found = Self::None;
        let mut reader = Reader::new(capabilities, UPSTREAM_DEPTH);
        // An error leaves what was found before it.
        let _ = reader.object::<JsonError>(|reader, key| {
            if !key.is("extensions") {
                return reader.value().map(drop);
            }
            reader.object::<JsonError>(|reader, key| {
                if !key.is(Extension::Skills.key()) {
                    return reader.value().map(drop);
                }
                reader.object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    let directories = key.is("directoryRead") && &capabilities[value] == "true";
                    found = if directories { Self::Directories } else { found.max(Self::Listed) };
                    Ok(())
                })?;
                found = found.max(Self::Listed);
                Ok(())
            })?;
            Ok(())
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skills_are_what_the_extension_says() {
        let of = |settings: &str| {
            Skills::announced(&format!(
                r#"{{"tools":{{}},"extensions":{{"x/y":1,"io.modelcontextprotocol/skills":{settings}}}}}"#
            ))
        };
        assert_eq!(of("{}"), Skills::Listed);
        assert_eq!(of(r#"{"directoryRead":true,"more":1}"#), Skills::Directories);
        assert_eq!(of(r#"{"directoryRead":false}"#), Skills::Listed);
        assert_eq!(of("1"), Skills::None);
        assert_eq!(Skills::announced(r#"{"extensions":{}}"#), Skills::None);
        assert_eq!(Skills::announced("nonsense"), Skills::None);
    }
}
