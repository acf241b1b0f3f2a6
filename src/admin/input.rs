//! What comes in a body. Fields that nobody knows are refused, and so are fields that come twice.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::base::{Name, Role, Scopes, Secret, Slot, parse_duration, unix_seconds};

/// Longest body in bytes: a secret of 64 KiB, written in JSON.
pub(super) const LONGEST: usize = 512 * 1024;

/// Reads a body; an empty one counts as `{}`.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        let what = "the body is not what this route takes: it is an object".to_owned();
        return Err(Problem::Invalid(what));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let mut what = error.to_string();
        // What is said of types quotes the value, which may be a secret in a wrong place.
        if what.starts_with("invalid ") {
            what = format!("a value of the wrong type at line {line} column {column}");
        }
        Problem::Invalid(format!("the body is not what this route takes: {what}"))
    })
}

/// A value that must not be seen.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Value(String);

impl Value {
    pub(super) fn secret(self) -> Secret {
        Secret::new(self.0)
    }
}

/// A new key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyInput {
    pub(super) name: String,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) expires_in: Option<String>,
}

impl KeyInput {
    pub(super) fn role(&self) -> Result<Option<Role>, Problem> {
        Ok(self.role.as_deref().map(str::parse).transpose()?)
    }

    pub(super) fn scopes(&self) -> Result<Scopes, Problem> {
        Ok(Scopes::read(self.scopes.iter().map(String::as_str))?)
    }

    pub(super) fn expires_at(&self) -> Result<Option<u64>, Problem> {
        self.expires_in.as_deref().map(until).transpose()
    }
}

/// The change of a key for another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateInput {
    #[serde(default)]
    pub(super) grace: Option<String>,
    #[serde(default)]
    pub(super) expires_in: Option<String>,
}

/// A new tenant, with what it needs to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantInput {
    pub(super) name: String,
    #[serde(default)]
    pub(super) key: Option<KeyInput>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The value of a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretInput {
    pub(super) value: Value,
}

/// A new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenInput {
    #[serde(default)]
    pub(super) expires_in: Option<String>,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
}

/// A call of a tool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallInput {
    #[serde(default)]
    pub(super) arguments: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) log_level: Option<String>,
}

/// A request of MCP.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RpcInput {
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) log_level: Option<String>,
}

/// A length of time in seconds.
pub(super) fn seconds(text: &str) -> Result<u64, Problem> {
    let time = parse_duration(text);
    let wrong = || {
        Problem::Invalid(format!("`{text:.20}` is no length of time; write it as 30m, 12h or 90d"))
    };
    time.map(|time| time.as_secs()).ok_or_else(wrong)
}

/// The point in time that far from now.
pub(super) fn until(text: &str) -> Result<u64, Problem> {
    match seconds(text)? {
        0 => Err(Problem::Invalid(
            "`expires_in` would be over at once; give a longer time".to_owned(),
        )),
        seconds => Ok(unix_seconds().saturating_add(seconds)),
    }
}

/// A place for a secret.
pub(super) fn place(upstream: &str, slot: &str) -> Result<(Name, Slot), Problem> {
    Ok((Name::new(upstream)?, Slot::new(slot)?))
}
