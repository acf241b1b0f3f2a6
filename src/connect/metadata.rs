//! What clients find: the door's document (RFC 9728) leads to the server's (RFC 8414), which leads
//! to its endpoints. Both stand at the addresses that belong to the connector doors and nowhere
//! else, so that no client of another door takes them for its own.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::page::Whole;
use super::serve::Base;
use crate::auth::{Assertions, CONNECTOR_SCOPE};
use crate::base::Name;
use crate::config::Connect as Settings;

/// Address of the server's document.
pub(super) const SERVER: &str = "/.well-known/oauth-authorization-server/connect";
/// Before the path of a connector door: the address of its document.
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The path of the connector door whose document has this address.
pub(super) fn door(path: &str) -> Option<&str> {
    path.strip_prefix(RESOURCE).filter(|door| is_door(door))
}

/// Whether it is the path of a connector door, as far as its shape says. Whether there is such a
/// profile is nothing for strangers.
pub(super) fn is_door(path: &str) -> bool {
    let profile = path.strip_prefix("/connect/p/").and_then(|rest| rest.strip_suffix("/mcp"));
    path == "/connect/mcp" || profile.is_some_and(|name| Name::new(name).is_ok())
}

/// The document of a door.
pub(super) fn of_door(door: &str, base: &Base) -> Whole {
    public(&json!({
        "resource": base.resource(door),
        "authorization_servers": [base.issuer()],
        "scopes_supported": [CONNECTOR_SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "mcp-proxy",
    }))
}

/// The document of the server.
pub(super) fn of_server(settings: &Settings, base: &Base) -> Whole {
    let issuer = base.issuer();
    let proofs = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "scopes_supported": [CONNECTOR_SCOPE, "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": proofs,
        "token_endpoint_auth_signing_alg_values_supported": Assertions::algorithms(),
        "revocation_endpoint_auth_methods_supported": proofs,
        "revocation_endpoint_auth_signing_alg_values_supported": Assertions::algorithms(),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    });
    if settings.registration {
        document["registration_endpoint"] = json!(format!("{issuer}/register"));
    }
    public(&document)
}

fn public(document: &Value) -> Whole {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A changed `public_url` must be seen soon.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
