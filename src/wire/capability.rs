//! What a client says it can do, reduced to what decides which link may serve it.

use super::era::Revision;
use super::json::{JsonError, Reader};

/// A reduced set of client capabilities. Two clients with the same set may share a legacy
/// upstream session; capabilities are fixed at `initialize`, so a session with one set must not
/// serve a request that declares another (protocol.md 3.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CapSet(u8);

impl CapSet {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `elicitation.form` (also a bare `elicitation: {}`).
    pub const ELICIT_FORM: Self = Self(1);
    /// `elicitation.url`
    pub const ELICIT_URL: Self = Self(2);
    /// `sampling`
    pub const SAMPLING: Self = Self(4);
    /// `sampling.tools`
    pub const SAMPLING_TOOLS: Self = Self(8);
    /// `roots`
    pub const ROOTS: Self = Self(16);
    /// `extensions["io.modelcontextprotocol/ui"]` (MCP Apps)
    pub const APPS: Self = Self(32);

    /// `extensions["io.modelcontextprotocol/tasks"]` (SEP-2663)
    pub const TASKS: Self = Self(64);

    /// `roots.listChanged`: it says when its roots change (until 2025-11-25)
    pub const ROOTS_CHANGED: Self = Self(128);

    /// Everything that a client can be asked.
    pub const QUESTIONS: Self = Self(31);

    /// What of this set means questions that a client of `revision` knows: forms came with
    /// 2025-06-18, URLs and sampling with tools with 2025-11-25.
    #[must_use]
    pub const fn questions_of(self, revision: Revision) -> Self {
        let known = match revision {
            Revision::V2024_11_05 | Revision::V2025_03_26 => Self::SAMPLING.with(Self::ROOTS),
            Revision::V2025_06_18 => Self::SAMPLING.with(Self::ROOTS).with(Self::ELICIT_FORM),
            Revision::V2025_11_25 | Revision::V2026_07_28 => Self::QUESTIONS,
        };
        self.and(known)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What this set has and the other has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when all of `other` is in this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set as a number, to be kept outside of the process.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// A set from its number; what this program does not know is left out.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        let known = [
            Self::ELICIT_FORM,
            Self::ELICIT_URL,
            Self::SAMPLING,
            Self::SAMPLING_TOOLS,
            Self::ROOTS,
            Self::APPS,
            Self::TASKS,
            Self::ROOTS_CHANGED,
        ];
        known.into_iter().filter(|one| bits & one.bits() != 0).fold(Self::NONE, Self::with)
    }

    /// Reads the text of a `ClientCapabilities` object.
    ///
    /// # Errors
    /// When it is no object, or a member has a wrong type.
    pub fn read(text: &str) -> Result<Self, JsonError> {
        let mut set = Self::NONE;
        let all = text;
        let mut reader = Reader::new(text, super::json::CLIENT_DEPTH);
        reader.object::<JsonError>(|reader, key| {
            if key.is("elicitation") {
                let (mut form, mut url) = (false, false);
                reader.object::<JsonError>(|reader, key| {
                    form |= key.is("form");
                    url |= key.is("url");
                    reader.value().map(drop)
                })?;
                // Before 2025-11-25 an empty object meant forms.
                if form || !url {
                    set = set.with(Self::ELICIT_FORM);
                }
                if url {
                    set = set.with(Self::ELICIT_URL);
                }
            } else if key.is("sampling") {
                set = set.with(Self::SAMPLING);
                reader.object::<JsonError>(|reader, key| {
                    if key.is("tools") {
                        set = set.with(Self::SAMPLING_TOOLS);
                    }
                    reader.value().map(drop)
                })?;
            } else if key.is("roots") {
                set = set.with(Self::ROOTS);
                if reader.peek()? != b'{' {
                    return reader.value().map(drop);
                }
                let mut text = "";
                reader.object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    if key.is("listChanged") {
                        text = &all[value];
                    }
                    Ok(())
                })?;
                if text == "true" {
                    set = set.with(Self::ROOTS_CHANGED);
                }
            } else if key.is("extensions") {
                reader.object::<JsonError>(|reader, key| {
                    if key.is("io.modelcontextprotocol/ui") {
                        set = set.with(Self::APPS);
                    } else if key.is("io.modelcontextprotocol/tasks") {
                        set = set.with(Self::TASKS);
                    }
                    reader.value().map(drop)
                })?;
            } else {
                reader.value()?;
            }
            Ok(())
        })?;
        Ok(set)
    }

    /// What is in the set, for a person: `elicitation.form, roots`.
    #[must_use]
    pub fn names(self) -> String {
        let all = [
            (Self::ELICIT_FORM, "elicitation.form"),
            (Self::ELICIT_URL, "elicitation.url"),
            (Self::SAMPLING, "sampling"),
            (Self::SAMPLING_TOOLS, "sampling.tools"),
            (Self::ROOTS, "roots"),
            (Self::APPS, "extensions.io.modelcontextprotocol/ui"),
            (Self::TASKS, "extensions.io.modelcontextprotocol/tasks"),
            (Self::ROOTS_CHANGED, "roots.listChanged"),
        ];
        let names: Vec<&str> =
            all.iter().filter(|(one, _)| self.has(*one)).map(|(_, name)| *name).collect();
        if names.is_empty() { "one that it does not name".to_owned() } else { names.join(", ") }
    }

    /// The extensions in this set, as the object that declares them.
    #[must_use]
    pub fn extensions(self) -> String {
        let all = [
            (
                Self::APPS,
                "\"io.modelcontextprotocol/ui\":{\"mimeTypes\":[\"text/html;profile=mcp-app\"]}",
            ),
            (Self::TASKS, "\"io.modelcontextprotocol/tasks\":{}"),
        ];
        let own: Vec<&str> =
            all.iter().filter(|(one, _)| self.has(*one)).map(|(_, text)| *text).collect();
        format!("{{{}}}", own.join(","))
    }

    /// The `ClientCapabilities` object that declares this set to an upstream.
    #[must_use]
    pub fn to_json(self) -> String {
        let mut members = Vec::new();
        let modes: Vec<&str> =
            [(Self::ELICIT_FORM, "\"form\":{}"), (Self::ELICIT_URL, "\"url\":{}")]
                .into_iter()
                .filter_map(|(mode, text)| self.has(mode).then_some(text))
                .collect();
        if !modes.is_empty() {
            members.push(format!("\"elicitation\":{{{}}}", modes.join(",")));
        }
        if self.has(Self::SAMPLING) || self.has(Self::SAMPLING_TOOLS) {
            let tools = if self.has(Self::SAMPLING_TOOLS) { "\"tools\":{}" } else { "" };
            members.push(format!("\"sampling\":{{{tools}}}"));
        }
        if self.has(Self::ROOTS) {
            let told = self.has(Self::ROOTS_CHANGED);
            members
                .push(format!("\"roots\":{{{}}}", if told { "\"listChanged\":true" } else { "" }));
        }
        let extensions = self.extensions();
        if extensions.len() > 2 {
            members.push(format!("\"extensions\":{extensions}"));
        }
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_reads_back_what_it_writes() {
        for bits in 0..128 {
            let set = CapSet(bits);
            // Tools belong to sampling: alone they cannot be declared.
            if set.has(CapSet::SAMPLING_TOOLS) && !set.has(CapSet::SAMPLING) {
                continue;
            }
            assert_eq!(CapSet::read(&set.to_json()), Ok(set), "{}", set.to_json());
            assert_eq!(CapSet::from_bits(set.bits() | 1 << 31), set);
        }
    }

    #[test]
    fn an_empty_elicitation_means_forms() {
        assert_eq!(CapSet::read(r#"{"elicitation":{}}"#), Ok(CapSet::ELICIT_FORM));
        assert_eq!(CapSet::read(r#"{"elicitation":{"url":{}}}"#), Ok(CapSet::ELICIT_URL));
        assert!(CapSet::read(r#"{"elicitation":true}"#).is_err());
        assert!(CapSet::read("[]").is_err());
    }
}
