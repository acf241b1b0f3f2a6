//! Finding out how an upstream speaks: `server/discover` first, `initialize` when that is not
//! understood (protocol.md section 2).

use bytes::Bytes;
use serde_json::Value;

use super::link::{Facts, Message};
use crate::wire::{CapSet, Draft, Era, InboundKind, Revision};

/// What the answer to `server/discover` says.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is modern, and this is what it said.
    Modern(Facts),
    /// It is modern and refused the probe for a reason that another probe would not cure.
    Refused(String),
    /// It refused the revision of the probe and names that very revision among those it speaks:
    /// to be asked once more (R64). With the reason for when that does not help.
    Again(String),
    /// It is legacy, or not an answer of a modern server: go on with `initialize`.
    Legacy,
}

/// `_meta` of a modern request that the proxy makes on its own account, without its braces.
fn own_meta(capabilities: CapSet) -> String {
    format!(
        "\"io.modelcontextprotocol/protocolVersion\":\"{}\",\
         \"io.modelcontextprotocol/clientInfo\":{},\
         \"io.modelcontextprotocol/clientCapabilities\":{}",
        Revision::LATEST_MODERN.as_str(),
        client_info(),
        capabilities.to_json(),
    )
}

fn client_info() -> String {
    format!("{{\"name\":\"mcp-proxy\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

/// The probe. `params` of any other modern request of ours begin the same way.
#[must_use]
pub fn discover(capabilities: CapSet) -> Draft {
    Draft::request("server/discover", &format!("{{\"_meta\":{{{}}}}}", own_meta(capabilities)))
}

/// A request of ours in the words of `era`: `members` are further members of `params`, without
/// braces, or empty.
#[must_use]
pub fn own_request(era: Era, capabilities: CapSet, method: &str, members: &str) -> Draft {
    let params = match era {
        Era::Legacy => format!("{{{members}}}"),
        Era::Modern => {
            let comma = if members.is_empty() { "" } else { "," };
            format!("{{{members}{comma}\"_meta\":{{{}}}}}", own_meta(capabilities))
        }
    };
    Draft::request(method, &params)
}

/// `initialize` with the newest legacy revision.
#[must_use]
pub fn initialize(capabilities: CapSet) -> Draft {
    Draft::request(
        "initialize",
        &format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{},\"clientInfo\":{}}}",
            Revision::LATEST_LEGACY.as_str(),
            capabilities.to_json(),
            client_info(),
        ),
    )
}

/// `notifications/initialized`
#[must_use]
pub fn initialized() -> Bytes {
    Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}")
}

/// Judges the answer to `discover`. No single code decides (R62): only an answer that a modern
/// server alone gives counts as modern.
#[must_use]
pub fn judge_discover(answer: &Message) -> Verdict {
    let Some(payload) = answer.inbound.payload.clone() else { return Verdict::Legacy };
    let Ok(payload) = serde_json::from_str::<Value>(&answer.text()[payload]) else {
        return Verdict::Legacy;
    };
    match answer.inbound.kind {
        InboundKind::Result => {
            let Some(versions) = payload["supportedVersions"].as_array() else {
                return Verdict::Legacy;
            };
            if !versions.iter().any(|version| version == Revision::LATEST_MODERN.as_str()) {
                return Verdict::Legacy;
            }
            Verdict::Modern(facts(Era::Modern, Revision::LATEST_MODERN, &payload, |payload| {
                &payload["_meta"]["io.modelcontextprotocol/serverInfo"]
            }))
        }
        InboundKind::Error => match payload["code"].as_i64() {
            Some(-32022) => {
                let supported = &payload["data"]["supported"];
                let ours = Revision::LATEST_MODERN.as_str();
                if supported.as_array().is_some_and(|all| all.iter().any(|one| one == ours)) {
                    return Verdict::Again(format!("it refuses {ours} and says that it speaks it"));
                }
                Verdict::Refused(format!("it speaks only {supported}"))
            }
            Some(code @ (-32021 | -32020)) => {
                Verdict::Refused(format!("it refused `server/discover` with {code}"))
            }
            _ => Verdict::Legacy,
        },
        InboundKind::Notification | InboundKind::Request => Verdict::Legacy,
    }
}

/// True for the codes that only a modern server gives.
#[must_use]
pub(super) fn is_modern_code(code: Option<i64>) -> bool {
    matches!(code, Some(-32022..=-32020))
}

/// True for the code of a method that is not known.
#[must_use]
pub(super) fn is_unknown_method(code: Option<i64>) -> bool {
    code == Some(-32601)
}

/// Judges the answer to `initialize`.
///
/// # Errors
/// A sentence when it is an error or no `InitializeResult`, with what the upstream has said: not
/// for the log before its secrets are taken out.
pub fn judge_initialize(answer: &Message) -> Result<Facts, String> {
    let payload = answer.inbound.payload.clone().ok_or("`initialize` was not answered")?;
    let text = &answer.text()[payload];
    let payload: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if answer.inbound.kind != InboundKind::Result {
        let message = payload["message"].as_str().unwrap_or_default();
        return Err(format!(
            "`initialize` was refused: {}",
            message.chars().take(4_000).collect::<String>()
        ));
    }
    let version =
        payload["protocolVersion"].as_str().ok_or("`initialize` was answered without a version")?;
    let revision = Revision::parse(version)
        .filter(|revision| revision.era() == Era::Legacy)
        .ok_or_else(|| format!("it chose a revision that is not spoken: {version:.4000}"))?;
    Ok(facts(Era::Legacy, revision, &payload, |payload| &payload["serverInfo"]))
}

fn facts(era: Era, revision: Revision, payload: &Value, info: impl Fn(&Value) -> &Value) -> Facts {
    let capabilities = &payload["capabilities"];
    Facts {
        era,
        revision,
        capabilities: if capabilities.is_object() {
            capabilities.to_string()
        } else {
            "{}".to_owned()
        },
        instructions: payload["instructions"].as_str().map(str::to_owned),
        server_info: Some(info(payload)).filter(|info| info.is_object()).map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Inbound;

    fn message(text: &str) -> Message {
        Message {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            inbound: Inbound::read(text).unwrap(),
        }
    }

    #[test]
    fn only_a_modern_answer_is_modern() {
        let modern = r#"{"id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},
            "instructions":"x","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"1"}}}}"#;
        let Verdict::Modern(facts) = judge_discover(&message(modern)) else { panic!("not modern") };
        assert!(facts.can("tools") && facts.announces("tools") && !facts.can("prompts"));
        assert_eq!(facts.instructions.as_deref(), Some("x"));
        for legacy in [
            r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#,
            r#"{"id":1,"error":{"code":-32602,"message":"no"}}"#,
            r#"{"id":1,"error":{"code":-32000,"message":"not initialized"}}"#,
            r#"{"id":1,"result":{}}"#,
        ] {
            assert!(matches!(judge_discover(&message(legacy)), Verdict::Legacy), "{legacy}");
        }
        let refused = r#"{"id":1,"error":{"code":-32022,"message":"no","data":{"supported":["2027-01-01"]}}}"#;
        assert!(matches!(judge_discover(&message(refused)), Verdict::Refused(_)));
        let confused = refused.replace("2027-01-01", "2026-07-28");
        assert!(matches!(judge_discover(&message(&confused)), Verdict::Again(_)));
    }

    #[test]
    fn initialize_agrees_on_a_known_legacy_revision() {
        let answer = r#"{"id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"n","version":"1"}}}"#;
        assert_eq!(judge_initialize(&message(answer)).unwrap().revision, Revision::V2025_06_18);
        for wrong in [
            r#"{"id":1,"result":{"protocolVersion":"2026-07-28","capabilities":{}}}"#,
            r#"{"id":1,"result":{"capabilities":{}}}"#,
            r#"{"id":1,"error":{"code":1,"message":"no"}}"#,
        ] {
            assert!(judge_initialize(&message(wrong)).is_err(), "{wrong}");
        }
    }
}
