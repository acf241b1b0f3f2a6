//! The token endpoint: a code, a refresh token or the client itself for an access token; and the
//! revocation endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::assertion::assertion;
use super::error::OAuthError;
use super::record::{AuthMethod, Client, Known};
use super::target::Target;
use crate::base::{Secret, unix_seconds};
use crate::egress::Egress;

const ENDPOINT: &str = "token endpoint";

/// What is asked for.
pub(super) enum Asked<'a> {
    Code { code: &'a str, verifier: &'a str, redirect: &'a str },
    Refresh(&'a Secret),
    Client(&'a [String]),
}

/// What was given.
pub(super) struct Given {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) lifetime: Option<u64>,
    pub(super) scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// The codes that are shown (RFC 6749, section 5.2; RFC 8707, section 2); others are only known
/// to be others.
const CODES: [&str; 8] = [
    "invalid_request",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
];

/// The code, if it is one that we know.
pub(super) fn known_code(code: &str) -> &'static str {
    CODES.into_iter().find(|known| *known == code).unwrap_or("for a reason of its own")
}

/// A form with who we are in it.
pub(super) struct Form<'a> {
    fields: Vec<(&'static str, Zeroizing<String>)>,
    headers: HeaderMap,
    target: &'a Target,
}

impl<'a> Form<'a> {
    /// `issuer` is whom an assertion is for.
    fn new(target: &'a Target, client: &Client, issuer: &str) -> Result<Self, OAuthError> {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut made = Self { fields: Vec::new(), headers, target };
        let own = if client.known == Known::File { &target.client_secret } else { &client.secret };
        match (client.method, own) {
            (AuthMethod::Basic, Some(secret)) => {
                let encode = |text: &str| {
                    Zeroizing::new(
                        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>(),
                    )
                };
                let pair =
                    Zeroizing::new(format!("{}:{}", *encode(&client.id), *encode(secret.expose())));
                let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                let mut value =
                    HeaderValue::from_str(&text).map_err(|_| OAuthError::InvalidClient)?;
                value.set_sensitive(true);
                made.headers.insert(header::AUTHORIZATION, value);
            }
            (AuthMethod::Post, Some(secret)) => {
                made.put("client_id", &client.id);
                made.put("client_secret", secret.expose());
            }
            (AuthMethod::Assertion, _) => {
                let key = target.private_key.as_ref().ok_or(OAuthError::Key)?;
                let key_id = target.oauth.key_id.as_deref();
                let signed = assertion(key, key_id, &client.id, issuer, unix_seconds())?;
                made.put("client_id", &client.id);
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                made.put("client_assertion_type", kind);
                made.put("client_assertion", signed.expose());
            }
            (AuthMethod::None | AuthMethod::Basic | AuthMethod::Post, _) => {
                made.put("client_id", &client.id);
            }
        }
        Ok(made)
    }

    fn put(&mut self, name: &'static str, value: &str) {
        self.fields.push((name, Zeroizing::new(value.to_owned())));
    }

    async fn post(
        self,
        egress: &Egress,
        url: &Url,
        what: &'static str,
    ) -> Result<crate::egress::Fetched, OAuthError> {
        let body = {
            let mut body = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &self.fields {
                body.append_pair(name, value);
            }
            body.finish()
        };
        let trust = self.target.trust(url);
        let sent = egress.send(http::Method::POST, url, self.headers, body.into(), trust).await;
        sent.map_err(|error| OAuthError::Fetch(what, error))
    }
}

/// Asks for a token.
pub(super) async fn ask(
    egress: &Egress,
    target: &Target,
    (endpoint, issuer): (&str, &str),
    client: &Client,
    resource: Option<&str>,
    asked: Asked<'_>,
) -> Result<Given, OAuthError> {
    let url = Url::parse(endpoint).map_err(|_| OAuthError::Document(ENDPOINT, "it is no URL"))?;
    let mut form = Form::new(target, client, issuer)?;
    match asked {
        Asked::Code { code, verifier, redirect } => {
            form.put("grant_type", "authorization_code");
            form.put("code", code);
            form.put("redirect_uri", redirect);
            form.put("code_verifier", verifier);
        }
        Asked::Refresh(token) => {
            form.put("grant_type", "refresh_token");
            form.put("refresh_token", token.expose());
        }
        Asked::Client(scopes) => {
            form.put("grant_type", "client_credentials");
            if !scopes.is_empty() {
                form.put("scope", &scopes.join(" "));
            }
        }
    }
    if let Some(resource) = resource {
        form.put("resource", resource);
    }
    let answer = form.post(egress, &url, ENDPOINT).await?;
    if answer.status != http::StatusCode::OK {
        let failure: Option<Failure> = serde_json::from_slice(&answer.body).ok();
        let status = answer.status.as_u16();
        return Err(match (status, failure.as_ref().map(|failure| failure.error.as_str())) {
            (_, Some("invalid_grant")) => OAuthError::InvalidGrant,
            (_, Some("invalid_client")) | (401, _) => OAuthError::InvalidClient,
            (400..=499, Some(code)) if code != "temporarily_unavailable" && status != 429 => {
                OAuthError::Refused(known_code(code))
            }
            _ => OAuthError::Status(ENDPOINT, status),
        });
    }
    let wrong = |why| OAuthError::Document(ENDPOINT, why);
    let given: Answer =
        serde_json::from_slice(&answer.body).map_err(|_| wrong("its answer has no token"))?;
    let bearer = given.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let plain =
        |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !bearer {
        return Err(wrong("its tokens are of a kind that is not spoken"));
    }
    if !plain(&given.access_token) || given.refresh_token.as_deref().is_some_and(|it| !plain(it)) {
        return Err(wrong("its token cannot be sent"));
    }
    // Some servers write the number as a text.
    let lifetime = given.expires_in.and_then(|value| match value {
        serde_json::Value::Number(number) => number.as_f64().map(|number| number.max(0.0) as u64),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let split = |text: String| text.split_ascii_whitespace().map(str::to_owned).collect();
    Ok(Given {
        access: Secret::new(given.access_token),
        refresh: given.refresh_token.map(Secret::new),
        lifetime,
        scopes: given.scope.map(split),
    })
}

/// Takes a token back (RFC 7009). Whether that was heard changes nothing for us.
pub(super) async fn revoke(
    egress: &Egress,
    target: &Target,
    (endpoint, issuer): (&str, &str),
    client: &Client,
    (token, kind): (&Secret, &str),
) -> Result<(), OAuthError> {
    const REVOCATION: &str = "revocation endpoint";
    let url = Url::parse(endpoint).map_err(|_| OAuthError::Document(REVOCATION, "it is no URL"))?;
    let mut form = Form::new(target, client, issuer)?;
    form.put("token", token.expose());
    form.put("token_type_hint", kind);
    let answer = form.post(egress, &url, REVOCATION).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    Err(OAuthError::Status(REVOCATION, answer.status.as_u16()))
}
