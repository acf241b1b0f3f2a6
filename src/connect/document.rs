//! Client ID Metadata Documents: a client whose id is the URL of a document about it. Fetched
//! through the guarded way out, and kept as long as its server says, within bounds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::client::{Client, Known, Proof, shown_name};
use crate::auth::ClientKeys;
use crate::base::{is_loopback, now};
use crate::config::Connect;
use crate::egress::{Egress, Trust};

/// Longest document in bytes.
const LONGEST: usize = 64 << 10;
/// Longest id in bytes.
const LONGEST_ID: usize = 1_024;
/// Most callbacks in one document.
const CALLBACKS: usize = 32;
/// Most documents kept.
const MOST: usize = 1_000;
/// How long one is kept that says nothing of it, at least, and at most.
const USUAL: Duration = Duration::from_secs(3_600);
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How long a failure is remembered, so that nobody makes us ask without end.
const FAILED: Duration = Duration::from_secs(10);

/// What counts of a document (draft-ietf-oauth-client-id-metadata-document; RFC 7591, section 2).
#[derive(Debug, Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    /// All that it can do (OpenID Connect RP Metadata Choices 1.0): one document serves many servers.
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    jwks_uri: Option<String>,
    jwks: Option<Set>,
    client_secret: Option<serde_json::Value>,
}

/// Public keys (RFC 7517, section 5).
#[derive(Debug, Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

type Kept = (Instant, Result<Client, String>);

/// Fetches and keeps documents.
#[derive(Default)]
pub(super) struct Documents {
    egress: Egress,
    kept: Mutex<HashMap<String, Kept>>,
}

/// Whether an id is the URL of a document.
pub(super) fn url(id: &str, connect: &Connect) -> Option<Url> {
    if id.len() > LONGEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) || id.contains('\\')
    {
        return None;
    }
    let url = Url::parse(id).ok()?;
    let scheme = url.scheme() == "https"
        || (connect.allow_private && url.scheme() == "http" && is_loopback(&url));
    let plain = url.username().is_empty() && url.password().is_none() && !id.contains(['@', '#']);
    // The parser takes dots out of paths and adds what is missing: such an id has two spellings.
    (scheme && plain && url.path() != "/" && url.as_str() == id).then_some(url)
}

/// How far URLs are trusted that clients name.
pub(super) fn trust(connect: &Connect) -> Trust {
    if connect.allow_private { Trust::Private } else { Trust::Stranger }
}

impl Documents {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client that a document is about.
    ///
    /// # Errors
    /// In words for the person, without anything that the document's server has said.
    pub(super) async fn client(&self, url: &Url, connect: &Connect) -> Result<Client, String> {
        if let Some((until, known)) = self.all().get(url.as_str())
            && *until > now()
        {
            return known.clone();
        }
        let trust = trust(connect);
        let (life, read) = match self.egress.get(url, trust).await {
            Ok(fetched) if fetched.status == StatusCode::OK => {
                (life(&fetched.headers), read(url, &fetched.body, connect))
            }
            Ok(_) => (None, Err("its server did not give the document".to_owned())),
            Err(error) => (None, Err(error.to_string())),
        };
        let keep = match &read {
            Ok(_) => life.unwrap_or(USUAL).clamp(SHORTEST, LONGEST_LIFE),
            Err(_) => FAILED,
        };
        let mut all = self.all();
        if all.len() >= MOST {
            let now = now();
            all.retain(|_, (until, _)| *until > now);
            if all.len() >= MOST {
                all.clear();
            }
        }
        all.insert(url.as_str().to_owned(), (now() + keep, read.clone()));
        read
    }
}

/// How long an answer may be kept, as its `Cache-Control` says (RFC 9111, section 5.2.2).
fn life(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut age = None;
    for word in text.split(',').map(str::trim) {
        if matches!(word, "no-store" | "no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = word.strip_prefix("max-age=") {
            age = seconds.parse().ok().map(Duration::from_secs);
        }
    }
    age
}

/// How a client proves who it is, as its document says.
fn proof(document: &Document, connect: &Connect) -> Result<Option<Proof>, String> {
    let supported = &document.token_endpoint_auth_methods_supported;
    let usual = document.token_endpoint_auth_method.as_deref().unwrap_or("none");
    let can = |method: &str| usual == method || supported.iter().any(|own| own == method);
    let keys = match (&document.jwks, document.jwks_uri.as_deref()) {
        (Some(set), None) => Some(ClientKeys::Here(set.keys.clone())),
        (None, Some(place)) => self::url(place, connect).map(ClientKeys::At),
        _ => None,
    };
    let needed = !can("none");
    match keys {
        Some(keys) if can("private_key_jwt") => Ok(Some(Proof { keys, needed })),
        None if needed && can("private_key_jwt") => {
            Err("its document does not say where the keys are with which it signs".to_owned())
        }
        _ if needed => Err("its document asks for a proof that is not known here; `none` and \
                            `private_key_jwt` are"
            .to_owned()),
        _ => Ok(None),
    }
}

fn read(url: &Url, body: &[u8], connect: &Connect) -> Result<Client, String> {
    if body.len() > LONGEST {
        return Err("its document is larger than 64 KiB".to_owned());
    }
    let document: Document = serde_json::from_slice(body)
        .map_err(|_| "its document is no JSON of a client".to_owned())?;
    if document.client_id != url.as_str() {
        return Err("its document is about another client".to_owned());
    }
    if document.client_secret.is_some() {
        return Err("its document has a secret in it, which everybody can read".to_owned());
    }
    let proof = proof(&document, connect)?;
    if document.redirect_uris.is_empty() || document.redirect_uris.len() > CALLBACKS {
        return Err("its document names no callbacks, or too many".to_owned());
    }
    let name = document.client_name.as_deref().map(shown_name);
    let name = name.filter(|name| !name.is_empty());
    Ok(Client {
        id: document.client_id,
        name: name.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned()),
        callbacks: document.redirect_uris,
        known: Known::Document(proof),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_url_in_its_one_spelling() {
        let connect = Connect::default();
        assert!(url("https://claude.ai/oauth/client.json", &connect).is_some());
        assert!(url("https://a.example:8443/c?v=1", &connect).is_some());
        for wrong in [
            "https://a.example",
            "https://a.example/",
            "http://a.example/c",
            "https://a.example/c#x",
            "https://u@a.example/c",
            "https://@a.example/c",
            "https://a.example/../c",
            "https://a.example/./c",
            "https://A.example/c",
            "https://a.example:443/c",
            "https:a.example/c",
            "https://a.example\\c",
            "ftp://a.example/c",
            "mcpc_x",
            "",
            "http://127.0.0.1/c",
            "https://a.example/\u{e9}",
        ] {
            assert!(url(wrong, &connect).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_document_speaks_for_its_own_url_only() {
        let url = Url::parse("https://a.example/c").unwrap();
        let read = |text: &str| read(&url, text.as_bytes(), &Connect::default());
        let good = r#"{"client_id":"https://a.example/c","redirect_uris":["http://127.0.0.1/cb"],"x":[1]}"#;
        assert_eq!(read(good).unwrap().name, "a.example");
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"client_id":"https://b.example/c","redirect_uris":["http://127.0.0.1/cb"]}"#,
            r#"{"client_id":"https://a.example/c/","redirect_uris":["http://127.0.0.1/cb"]}"#,
            r#"{"client_id":"https://a.example/c","redirect_uris":[]}"#,
            r#"{"client_id":"https://a.example/c","redirect_uris":["x"],"client_secret":"s"}"#,
            r#"{"client_id":"https://a.example/c","redirect_uris":["x"],"token_endpoint_auth_method":"client_secret_post"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_client_signs_where_its_document_says_that_it_can() {
        let url = Url::parse("https://a.example/c").unwrap();
        let read = |more: &str| {
            let text = format!(
                r#"{{"client_id":"https://a.example/c","redirect_uris":["http://127.0.0.1/cb"]{more}}}"#
            );
            read(&url, text.as_bytes(), &Connect::default()).map(|client| client.known)
        };
        let at = ClientKeys::At(Url::parse("https://b.example/keys").unwrap());
        let both = r#","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none","private_key_jwt"]"#;
        let only = r#","token_endpoint_auth_method":"private_key_jwt""#;
        let place = r#","jwks_uri":"https://b.example/keys""#;
        let signs = |keys: &ClientKeys, needed| {
            Ok(Known::Document(Some(Proof { keys: keys.clone(), needed })))
        };
        assert_eq!(read(""), Ok(Known::Document(None)));
        assert_eq!(read(place), Ok(Known::Document(None)), "it does not say that it signs");
        assert_eq!(read(&format!("{both}{place}")), signs(&at, false));
        assert_eq!(read(&format!("{only}{place}")), signs(&at, true));
        assert_eq!(read(both), Ok(Known::Document(None)), "then it comes without");
        let here = ClientKeys::Here(vec![serde_json::json!({"kty": "EC"})]);
        assert_eq!(
            read(&format!(r#"{only},"jwks":{{"keys":[{{"kty":"EC"}}]}}"#)),
            signs(&here, true)
        );
        for wrong in [
            only.to_owned(),
            format!(r#"{only},"jwks_uri":"http://b.example/keys""#),
            format!(r#"{only},"jwks_uri":"https://127.0.0.1@b.example/keys""#),
            format!(r#"{only}{place},"jwks":{{"keys":[]}}"#),
            r#","token_endpoint_auth_method":"tls_client_auth""#.to_owned(),
            r#","token_endpoint_auth_method":"client_secret_basic""#.to_owned(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn documents_are_kept_as_their_server_says() {
        let life = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, text.parse().unwrap());
            life(&headers)
        };
        assert_eq!(life("public, max-age=60"), Some(Duration::from_secs(60)));
        assert_eq!(life("max-age=60, no-store"), Some(Duration::ZERO));
        assert_eq!(life("public"), None);
        assert_eq!(super::life(&HeaderMap::new()), None);
    }
}
