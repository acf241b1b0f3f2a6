//! `POST /connect/register` (RFC 7591): a client that nobody has named gets an id. That is all it
//! gets: what it may do is decided by people, and where it may lead them by the list of callbacks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::callback;
use super::client::{MADE, shown_name};
use super::error::{OAuthError, reply};
use super::page::Whole;
use super::serve::{Ask, Connect};
use crate::base::{redirect_trouble, unix_seconds};
use crate::store::ClientRecord;

/// Most callbacks of one client.
const CALLBACKS: usize = 10;
/// Most clients that have registered themselves.
const MOST: u64 = 10_000;

/// What counts of a registration (section 2). All else is taken note of by nobody.
#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    application_type: Option<String>,
}

fn random<const N: usize>() -> Result<String, OAuthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| OAuthError::unavailable())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn metadata(words: &str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", words)
}

impl Connect {
    pub(super) async fn register(&self, ask: &Ask) -> Result<Whole, OAuthError> {
        let config = self.config();
        if !config.connect.registration {
            return Err(OAuthError {
                status: StatusCode::FORBIDDEN,
                ..OAuthError::new("access_denied", "clients do not register themselves here")
            });
        }
        self.registrations.take(ask.address).map_err(OAuthError::too_many)?;
        let wanted: Wanted = serde_json::from_slice(&ask.body)
            .map_err(|_| metadata("the body is no JSON of a client"))?;
        if wanted.redirect_uris.is_empty() || wanted.redirect_uris.len() > CALLBACKS {
            let words = "`redirect_uris` has 1 to 10 entries";
            return Err(OAuthError::new("invalid_redirect_uri", words));
        }
        for (index, uri) in wanted.redirect_uris.iter().enumerate() {
            let trouble = redirect_trouble(uri).or_else(|| {
                (!callback::is_allowed(&config.connect, uri)).then_some(
                    "it is not on the list; the operator may add it to `redirects` in [connect]",
                )
            });
            if let Some(trouble) = trouble {
                let words = format!("`redirect_uris[{index}]`: {trouble}");
                return Err(OAuthError::new("invalid_redirect_uri", words));
            }
        }
        let has = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|own| own == word))
        };
        if !has(&wanted.grant_types, "authorization_code") || !has(&wanted.response_types, "code") {
            return Err(metadata("only the grant `authorization_code` with `code` begins here"));
        }
        // Without a word it would be `client_secret_basic` (section 2).
        let method = wanted.token_endpoint_auth_method.as_deref().unwrap_or("client_secret_basic");
        if !matches!(method, "none" | "client_secret_basic" | "client_secret_post") {
            return Err(metadata(
                "`token_endpoint_auth_method` is none, client_secret_basic or client_secret_post",
            ));
        }
        let id = format!("{MADE}{}", random::<16>()?);
        let secret = if method == "none" { None } else { Some(random::<32>()?) };
        let name = wanted.client_name.as_deref().map(shown_name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "an application without a name".to_owned());
        let now = unix_seconds();
        let client = ClientRecord {
            id: id.clone(),
            name: name.clone(),
            redirects: wanted.redirect_uris.clone(),
            method: method.to_owned(),
            digest: secret.as_deref().map(|secret| self.secret_digest(&id, secret)),
            created_at: now,
        };
        if !self
            .stores
            .clients
            .add(client, MOST)
            .await
            .map_err(|error| super::grant::failed(&error))?
        {
            tracing::warn!(
                "{MOST} clients have registered themselves; no more until some are collected"
            );
            return Err(OAuthError::unavailable());
        }
        tracing::info!(client = id, name, address = %ask.address, "a client has registered itself");
        let mut answer = json!({
            "client_id": id,
            "client_id_issued_at": now,
            "client_name": name,
            "redirect_uris": wanted.redirect_uris,
            "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        if let Some(secret) = secret {
            answer["client_secret"] = json!(secret);
            answer["client_secret_expires_at"] = json!(0);
        }
        if let Some(kind @ ("native" | "web")) = wanted.application_type.as_deref() {
            answer["application_type"] = json!(kind);
        }
        Ok(reply(StatusCode::CREATED, &answer))
    }
}
