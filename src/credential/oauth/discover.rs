//! Finding the authorization server of an upstream (RFC 9728, RFC 8414; protocol.md 5.3).

use http::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::challenge::Challenge;
use super::error::OAuthError;
use super::target::Target;
use crate::egress::Egress;

const RESOURCE: &str = "resource metadata";
const SERVER: &str = "authorization server's metadata";
/// Requests that a server refuses to somebody without a login: what the proxy itself will want
/// first, and the handshake, for servers that look at nothing before it.
const PROBES: [(&str, &str); 2] = [
    ("tools/list", "{}"),
    (
        "initialize",
        concat!(
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"#,
            r#""clientInfo":{"name":"mcp-proxy","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#""}}"#
        ),
    ),
];

#[derive(Deserialize)]
struct Resource {
    resource: Option<String>,
    #[serde(default)]
    authorization_servers: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
}

/// An authorization server, as it describes itself.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) issuer: String,
    pub(super) authorize: Option<Url>,
    pub(super) token: Url,
    pub(super) register: Option<Url>,
    pub(super) revoke: Option<Url>,
    /// How clients may prove who they are; `None`: it does not say.
    pub(super) methods: Option<Vec<String>>,
    pub(super) scopes: Vec<String>,
    /// It names itself in each answer.
    pub(super) names_itself: bool,
    /// It reads documents about clients.
    pub(super) reads_documents: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) server: Server,
    /// What tokens are for.
    pub(super) resource: Option<String>,
    /// What the upstream says that it knows.
    pub(super) scopes: Option<Vec<String>>,
    /// What it has said when it refused.
    pub(super) challenge: Challenge,
}

/// Finds out what a login at this upstream needs.
pub(super) async fn discover(egress: &Egress, target: &Target) -> Result<Found, OAuthError> {
    let challenge = challenge(egress, target).await;
    let resource = match &target.url {
        Some(url) => resource(egress, target, url, &challenge).await?,
        None => None,
    };
    let named = target.oauth.issuer.as_ref().map(|issuer| bare(issuer.as_str()));
    let listed = resource.as_ref().and_then(|found| found.authorization_servers.first().cloned());
    let server = match (named.or(listed), &target.url) {
        (Some(issuer), _) => server(egress, target, &issuer).await?,
        // 2025-03-26: the upstream's own origin is the authorization server.
        (None, Some(url)) => origin_server(egress, target, url).await?,
        (None, None) => return Err(OAuthError::NoLogin),
    };
    let (scopes, said) = resource.map(|it| (it.scopes_supported, it.resource)).unwrap_or_default();
    let own = target.resource();
    let resource = if target.oauth.resource.is_some() { own } else { said.or(own) };
    Ok(Found { server, resource, scopes, challenge })
}

/// The issuer alone, as the upstream names it now.
pub(super) async fn issuer(egress: &Egress, target: &Target) -> Result<Option<String>, OAuthError> {
    if target.oauth.issuer.is_some() {
        return Ok(None);
    }
    let Some(url) = &target.url else { return Ok(None) };
    let challenge = challenge(egress, target).await;
    let found = resource(egress, target, url, &challenge).await?;
    Ok(found.and_then(|found| found.authorization_servers.into_iter().next()))
}

/// What the upstream says to somebody without a token: of the last refusal, or of a new one.
async fn challenge(egress: &Egress, target: &Target) -> Challenge {
    let read = |texts: &[String]| Challenge::read(texts.iter().map(String::as_str));
    if let Some(found) = target.bearer.last_refusal().and_then(|last| read(&last.challenges)) {
        return found;
    }
    let Some(url) = &target.url else { return Challenge::default() };
    for (method, params) in PROBES {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, accept);
        let body =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}");
        let trust = target.trust(url);
        let sent = egress.send(http::Method::POST, url, headers, body.into(), trust).await;
        let Ok(answer) = sent else { return Challenge::default() };
        if matches!(answer.status.as_u16(), 401 | 403) {
            let texts = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
            let found = Challenge::read(texts.filter_map(|text| text.to_str().ok()));
            return found.unwrap_or_default();
        }
    }
    Challenge::default()
}

/// The upstream's own description: where its challenge says, beside its path, or at the root.
async fn resource(
    egress: &Egress,
    target: &Target,
    url: &Url,
    challenge: &Challenge,
) -> Result<Option<Resource>, OAuthError> {
    let mut places = Vec::new();
    let named = challenge.resource_metadata.as_deref().and_then(|text| Url::parse(text).ok());
    let is_named = named.is_some();
    match named {
        Some(place) => places.push(place),
        None => {
            let well_known = "/.well-known/oauth-protected-resource";
            places.push(at(url, &format!("{well_known}{}", url.path().trim_end_matches('/'))));
            places.push(at(url, well_known));
            places.dedup();
        }
    }
    for place in places {
        match document::<Resource>(egress, target, &place, RESOURCE).await {
            Ok(found) => {
                if let Some(said) = &found.resource
                    && target.oauth.resource.is_none()
                    && !covers(said, url)
                {
                    return Err(OAuthError::Document(RESOURCE, "it describes another resource"));
                }
                return Ok(Some(found));
            }
            Err(OAuthError::Status(..)) if !is_named => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether an identifier of a resource is that of this URL, or of a place above it on the same
/// origin.
fn covers(said: &str, url: &Url) -> bool {
    let Ok(said) = Url::parse(said) else { return false };
    let (above, path) = (said.path().trim_end_matches('/'), url.path());
    let below =
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    said.origin() == url.origin()
        && said.origin().is_tuple()
        && said.fragment().is_none()
        && below
        && said.query().is_none_or(|query| Some(query) == url.query())
}

/// The description of an issuer.
async fn server(egress: &Egress, target: &Target, issuer: &str) -> Result<Server, OAuthError> {
    let parsed =
        Url::parse(issuer).map_err(|_| OAuthError::Document(RESOURCE, "it names no URL"))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(OAuthError::Document(RESOURCE, "its issuer has a query"));
    }
    let path = parsed.path().trim_end_matches('/').to_owned();
    let mut places = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{path}/.well-known/openid-configuration"));
    }
    let mut last = OAuthError::Document(SERVER, "there is none");
    for place in places {
        match document::<Document>(egress, target, &at(&parsed, &place), SERVER).await {
            Ok(found) => return judged(found, issuer),
            Err(error @ OAuthError::Status(..)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The upstream's origin as authorization server; without a description its endpoints are where
/// 2025-03-26 says.
async fn origin_server(egress: &Egress, target: &Target, url: &Url) -> Result<Server, OAuthError> {
    let issuer = bare(at(url, "/").as_str());
    match server(egress, target, &issuer).await {
        Err(OAuthError::Status(..)) => Ok(Server {
            issuer,
            authorize: Some(at(url, "/authorize")),
            token: at(url, "/token"),
            register: Some(at(url, "/register")),
            revoke: None,
            methods: None,
            scopes: Vec::new(),
            names_itself: false,
            reads_documents: false,
        }),
        done => done,
    }
}

fn judged(found: Document, issuer: &str) -> Result<Server, OAuthError> {
    let wrong = |why| Err(OAuthError::Document(SERVER, why));
    // Only the slash of an origin may be there or not (RFC 3986, section 6.2.3).
    if found.issuer != issuer && bare(&found.issuer) != bare(issuer) {
        return wrong("it is of another issuer");
    }
    let endpoint = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(Some(url)),
            _ => Err(OAuthError::Document(SERVER, "an endpoint is no web address")),
        },
    };
    let authorize = endpoint(found.authorization_endpoint)?;
    let Some(token) = endpoint(found.token_endpoint)? else {
        return wrong("it has no token endpoint");
    };
    let s256 = found.code_challenge_methods_supported.iter().any(|method| method == "S256");
    if authorize.is_some() && !s256 {
        return wrong("it does not say that it supports PKCE with S256");
    }
    Ok(Server {
        issuer: found.issuer,
        authorize,
        token,
        register: endpoint(found.registration_endpoint)?,
        revoke: endpoint(found.revocation_endpoint)?,
        methods: found.token_endpoint_auth_methods_supported,
        scopes: found.scopes_supported,
        names_itself: found.authorization_response_iss_parameter_supported,
        reads_documents: found.client_id_metadata_document_supported,
    })
}

async fn document<T: DeserializeOwned>(
    egress: &Egress,
    target: &Target,
    url: &Url,
    what: &'static str,
) -> Result<T, OAuthError> {
    let fetched = egress.get(url, target.trust(url)).await;
    let fetched = fetched.map_err(|error| OAuthError::Fetch(what, error))?;
    if fetched.status != http::StatusCode::OK {
        return Err(OAuthError::Status(what, fetched.status.as_u16()));
    }
    serde_json::from_slice(&fetched.body)
        .map_err(|_| OAuthError::Document(what, "it is no such JSON"))
}

/// Another path at the same origin.
fn at(url: &Url, path: &str) -> Url {
    let mut place = url.clone();
    place.set_path(path);
    place.set_query(None);
    place.set_fragment(None);
    place
}

/// Without the slash that stands for no path.
fn bare(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.path() == "/" && url.query().is_none() => {
            text.trim_end_matches('/').to_owned()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_upstream_or_lies_above_it() {
        let url = Url::parse("https://h.example/a/mcp").unwrap();
        for good in [
            "https://h.example/a/mcp",
            "https://h.example/a",
            "https://h.example",
            "https://H.example/",
        ] {
            assert!(covers(good, &url), "{good}");
        }
        for wrong in [
            "https://h.example/a/mc",
            "https://h.example/a/mcp/x",
            "https://h.example.evil/a/mcp",
            "http://h.example/a/mcp",
            "https://h.example:444/a/mcp",
            "https://h.example/a/mcp?x",
            "evil",
        ] {
            assert!(!covers(wrong, &url), "{wrong}");
        }
    }

    #[test]
    fn another_issuer_and_a_missing_s256_are_refused() {
        let document = |issuer: &str, methods: &str| -> Document {
            serde_json::from_str(&format!(
                r#"{{"issuer":"{issuer}","authorization_endpoint":"https://a/x","token_endpoint":"https://a/t",
                    "code_challenge_methods_supported":[{methods}]}}"#
            ))
            .unwrap()
        };
        let s256 = "\"S256\"";
        assert!(judged(document("https://a", s256), "https://a").is_ok());
        assert!(judged(document("https://a/", s256), "https://a").is_ok());
        assert!(judged(document("https://a/t/", s256), "https://a/t").is_err());
        assert!(judged(document("https://b", s256), "https://a").is_err());
        assert!(judged(document("https://a", ""), "https://a").is_err());
        assert!(judged(document("https://a", "\"plain\""), "https://a").is_err());
    }
}
