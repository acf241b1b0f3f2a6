//! A value for a client's document, its members in the order in which people expect them.

use serde_json::Value;

/// A value that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    Flag(bool),
    List(Vec<String>),
    Table(Vec<(&'static str, Self)>),
}

impl Node {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// As JSON. `indent` stands before the line that it begins in, `unit` is one step of it, and
    /// `line` ends a line; without `line`, everything stands in one.
    pub(super) fn write(&self, indent: &str, unit: &str, line: Option<&str>) -> String {
        match self {
            Self::Text(text) => quote(text),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quote(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(members) => {
                let flat = members.iter().all(|(_, value)| !matches!(value, Self::Table(_)));
                let line = line.filter(|_| !(flat && members.len() == 1));
                let inner = format!("{indent}{unit}");
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| {
                        format!("{}: {}", quote(name), value.write(&inner, unit, line))
                    })
                    .collect();
                match line {
                    None => format!("{{ {} }}", members.join(", ")),
                    Some(line) => {
                        let between = format!(",{line}{inner}");
                        format!("{{{line}{inner}{}{line}{indent}}}", members.join(&between))
                    }
                }
            }
        }
    }

    /// The same for programs.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Flag(flag) => Value::Bool(*flag),
            Self::List(items) => items.iter().cloned().map(Value::String).collect(),
            Self::Table(members) => members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

pub(super) fn quote(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
