//! What went wrong at the other end, in words for whoever typed the command.

use serde_json::Value;

/// Why a command got no answer, or another one than it wished.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReachError {
    /// A flag or what it names.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    /// The key is refused.
    #[error("{0}")]
    Key(String),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It would take more with it.
    #[error("{0}")]
    MustMean(String),
    /// Refused.
    #[error("{0}")]
    Refused(String),
}

/// A flag that is wrong.
pub(super) fn usage(text: impl Into<String>) -> anyhow::Error {
    ReachError::Usage(text.into()).into()
}

/// Whether it says that there is no such thing.
pub(super) fn is_unknown(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReachError::Unknown(_)))
}

/// Whether it says that the key is nobody's.
pub(super) fn is_key(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReachError::Key(_)))
}

/// Whether it says that more would be gone.
pub(super) fn must_mean(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReachError::MustMean(_)))
}

/// What the API says to programs, and what says the same to somebody at a terminal.
const WORDS: &[(&str, &str)] = &[
    ("`GET /api/v1/tenants` lists all", "`mcp-proxy tenant list` shows all"),
    ("`GET /api/v1/keys` lists those that you may know of", "`mcp-proxy key list` shows all"),
    ("`GET /api/v1/secrets` lists the names of all", "`mcp-proxy secret list` shows all"),
    ("`GET /api/v1/upstreams` lists all", "`mcp-proxy upstream list` shows all"),
    ("`GET /api/v1/sessions` lists what is open", "`mcp-proxy session list` shows what is open"),
    ("`GET /api/v1/grants` lists those that you may know of", "`mcp-proxy grant list` shows all"),
    ("name it in the header `X-Tenant`", "name it with --tenant"),
    ("`expires_in`", "--expires"),
];

/// A problem document (RFC 9457) of a proxy of this name.
pub(super) fn refused(name: &str, network: bool, status: u16, problem: &Value) -> ReachError {
    let detail = problem["detail"].as_str().unwrap_or_default();
    let detail = WORDS.iter().fold(detail.to_owned(), |text, (api, own)| text.replace(api, own));
    match status {
        401 if network => ReachError::Key(format!(
            "{name} refuses the key; a key of its operator is made on its machine with \
             `mcp-proxy key create --operator --name NAME`"
        )),
        401 => ReachError::Key(format!(
            "{name} does not take the key file of this command for its own; was the key file \
             replaced while it ran? Restart the proxy"
        )),
        404 => ReachError::Unknown(detail),
        428 => ReachError::MustMean(detail),
        503 => ReachError::Unreachable(format!("{name}: {detail}")),
        _ => ReachError::Refused(detail),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_to_programs_is_said_to_people_too() {
        let problem = json!({ "detail": "there is no such key; `GET /api/v1/keys` lists those that you may know of" });
        let said = refused("the proxy", true, 404, &problem).to_string();
        assert_eq!(said, "there is no such key; `mcp-proxy key list` shows all");
    }
}
