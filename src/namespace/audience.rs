//! Who reads a list of tools: a definition is shown without what the reader's revision does not
//! have (protocol.md 3.5).

use bytes::Bytes;

use crate::wire::json::{JsonError, Reader, Text, UPSTREAM_DEPTH};
use crate::wire::{Edits, Revision};

/// Readers for whom the same definitions are fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// 2026-07-28: any output schema, no `execution`.
    Modern,
    /// 2025-06-18 and 2025-11-25: output schemas of objects.
    Objects,
    /// Before: no output schemas.
    Plain,
}

impl Audience {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// The audience that clients of a revision belong to.
    #[must_use]
    pub const fn of(revision: Revision) -> Self {
        match revision {
            Revision::V2026_07_28 => Self::Modern,
            Revision::V2025_06_18 | Revision::V2025_11_25 => Self::Objects,
            Revision::V2024_11_05 | Revision::V2025_03_26 => Self::Plain,
        }
    }
}

/// What of a tool's definition not every audience takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Definition {
    execution: bool,
    output: bool,
    /// The output schema is not that of an object.
    loose: bool,
}

impl Definition {
    /// Notes a member of the definition.
    pub(super) fn note(&mut self, key: &Text<'_>, value: &str) {
        if key.is("execution") {
            self.execution = true;
        } else if key.is("outputSchema") {
            self.output = true;
            self.loose = !is_object_schema(value);
        }
    }

    /// True when the audience takes all of it.
    #[must_use]
    pub fn suits(self, audience: Audience) -> bool {
        match audience {
            Audience::Modern => !self.execution,
            Audience::Objects => !self.loose,
            Audience::Plain => !self.output,
        }
    }
}

/// Takes out of a tool's definition what the audience does not take.
#[must_use]
pub(super) fn tool_for(audience: Audience, tool: &Bytes) -> Bytes {
    let unfit = if audience == Audience::Modern { "execution" } else { "outputSchema" };
    let text = std::str::from_utf8(tool).unwrap_or_default();
    let mut gone = Vec::new();
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    // The text was read when the item was made.
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is(unfit) {
            gone.push(value);
        }
        Ok(())
    });
    let mut edits = Edits::default();
    edits.remove_members(text, gone);
    edits.apply(tool)
}

/// Before 2026-07-28 the root of an output schema says `"type": "object"`.
fn is_object_schema(schema: &str) -> bool {
    let mut object = false;
    let mut reader = Reader::new(schema, UPSTREAM_DEPTH);
    let read = reader.object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("type") {
            object = &schema[value] == "\"object\"";
        }
        Ok(())
    });
    read.is_ok() && object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_audience_reads_what_it_takes() {
        let cases = [
            (r#"{"name":"a","outputSchema":{"type":"object","x":1.0}}"#, [true, true, false]),
            (r#"{"outputSchema":{"type":"array"},"name":"a"}"#, [true, false, false]),
            (r#"{"name":"a","outputSchema":true,"x":1}"#, [true, false, false]),
            (r#"{"name":"a","execution":{"taskSupport":"optional"}}"#, [false, true, true]),
            (r#"{"name":"a","title":"A"}"#, [true, true, true]),
        ];
        for (tool, suits) in cases {
            let mut definition = Definition::default();
            Reader::new(tool, UPSTREAM_DEPTH)
                .object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    definition.note(&key, &tool[value]);
                    Ok(())
                })
                .unwrap();
            for (audience, suits) in
                [Audience::Modern, Audience::Objects, Audience::Plain].into_iter().zip(suits)
            {
                assert_eq!(definition.suits(audience), suits, "{tool} {audience:?}");
                if suits {
                    continue;
                }
                let shown = tool_for(audience, &Bytes::copy_from_slice(tool.as_bytes()));
                let (mut was, is): (serde_json::Value, serde_json::Value) =
                    (serde_json::from_str(tool).unwrap(), serde_json::from_slice(&shown).unwrap());
                let gone = if audience == Audience::Modern { "execution" } else { "outputSchema" };
                was.as_object_mut().unwrap().remove(gone);
                assert_eq!(is, was);
            }
        }
    }
}
