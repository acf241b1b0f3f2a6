//! Who we are at an authorization server: a client of the file, a document of ours that the id
//! names, or one that we register (protocol.md 5.3, 3).

use http::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::discover::Server;
use super::error::OAuthError;
use super::record::{AuthMethod, Client, Known};
use super::target::Target;
use crate::base::Secret;
use crate::egress::Egress;

const REGISTRATION: &str = "registration endpoint";

/// Where the document about us is, and where browsers come back to.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) public_url: Url,
}

impl Home {
    /// `<public_url>/connect/callback`.
    pub(super) fn callback(&self) -> String {
        self.at("/connect/callback")
    }

    /// `<public_url>/connect/client`, where other machines can read it.
    fn document(&self) -> Option<String> {
        (self.public_url.scheme() == "https").then(|| self.at("/connect/client"))
    }

    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// The document itself (Client ID Metadata Document).
    pub(super) fn about_us(&self) -> serde_json::Value {
        let mut about = self.metadata();
        about["client_id"] = json!(self.at("/connect/client"));
        about
    }

    fn metadata(&self) -> serde_json::Value {
        json!({
            "client_name": "mcp-proxy",
            "client_uri": self.at(""),
            "redirect_uris": [self.callback()],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "web",
        })
    }
}

/// The client of the file, if it has one.
pub(super) fn of_file(target: &Target, server: &Server, home: &str) -> Option<Client> {
    let id = target.client_id.clone()?;
    let knows = |method: &str| {
        // Who does not say takes the secret in the header (RFC 8414, section 2).
        server
            .methods
            .as_ref()
            .map_or(method == "client_secret_basic", |all| all.iter().any(|one| one == method))
    };
    let method = if target.private_key.is_some() {
        AuthMethod::Assertion
    } else if target.client_secret.is_none() {
        AuthMethod::None
    } else if !knows("client_secret_basic") && knows("client_secret_post") {
        AuthMethod::Post
    } else {
        AuthMethod::Basic
    };
    Some(Client { id, secret: None, method, known: Known::File, redirect: home.to_owned() })
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
    token_endpoint_auth_method: Option<AuthMethod>,
}

/// Who we are there: as the file says, as we were before, by our document, or by registering.
pub(super) async fn choose(
    egress: &Egress,
    target: &Target,
    server: &Server,
    home: &Home,
    before: Option<&Client>,
) -> Result<Client, OAuthError> {
    let callback = home.callback();
    // A document of somebody's own choice is for servers that read documents.
    let is_document = |id: &String| id.starts_with("https://");
    let fits =
        |id: &String| !is_document(id) || server.reads_documents || server.register.is_none();
    if target.client_id.as_ref().is_some_and(fits)
        && let Some(client) = of_file(target, server, &callback)
    {
        return Ok(client);
    }
    if server.reads_documents
        && let Some(id) = home.document()
    {
        let known = Known::Document;
        return Ok(Client {
            id,
            secret: None,
            method: AuthMethod::None,
            known,
            redirect: callback,
        });
    }
    let same = |client: &&Client| client.known == Known::Registered && client.redirect == callback;
    if let Some(known) = before.filter(same) {
        return Ok(known.clone());
    }
    let Some(endpoint) = &server.register else { return Err(OAuthError::NoClient) };
    register(egress, target, server, home, endpoint).await
}

/// Registers (RFC 7591).
async fn register(
    egress: &Egress,
    target: &Target,
    server: &Server,
    home: &Home,
    endpoint: &Url,
) -> Result<Client, OAuthError> {
    let wanted = server.methods.as_deref().unwrap_or_default();
    let knows = |method: &str| wanted.is_empty() || wanted.iter().any(|one| one == method);
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let method = methods.into_iter().find(|method| knows(method)).unwrap_or("client_secret_basic");
    let mut about = home.metadata();
    about["token_endpoint_auth_method"] = json!(method);
    if !target.oauth.scopes.is_empty() {
        about["scope"] = json!(target.oauth.scopes.join(" "));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let trust = target.trust(endpoint);
    let sent =
        egress.send(http::Method::POST, endpoint, headers, about.to_string().into(), trust).await;
    let answer = sent.map_err(|error| OAuthError::Fetch(REGISTRATION, error))?;
    if !matches!(answer.status.as_u16(), 200 | 201) {
        return Err(OAuthError::Status(REGISTRATION, answer.status.as_u16()));
    }
    let wrong = |_| OAuthError::Document(REGISTRATION, "its answer is no registration");
    let given: Registered = serde_json::from_slice(&answer.body).map_err(wrong)?;
    let secret = given.client_secret.map(Secret::new);
    let fallback = match (&secret, method) {
        (None, _) => AuthMethod::None,
        (Some(_), "client_secret_post") => AuthMethod::Post,
        (Some(_), "none") => AuthMethod::Post,
        (Some(_), _) => AuthMethod::Basic,
    };
    let asked = match method {
        "none" => AuthMethod::None,
        "client_secret_post" => AuthMethod::Post,
        _ => AuthMethod::Basic,
    };
    let method =
        given.token_endpoint_auth_method.unwrap_or(if secret.is_some() { fallback } else { asked });
    let known = Known::Registered;
    Ok(Client { id: given.client_id, secret, method, known, redirect: home.callback() })
}
