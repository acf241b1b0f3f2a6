//! Client ID Metadata Documents: a client whose id is the URL of a document about it. Fetched
//! through the guarded way out, and kept as long as its server says, within bounds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::client::{Client, Known, shown_name};
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
    client_secret: Option<serde_json::Value>,
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
        let trust = if connect.allow_private { Trust::Private } else { Trust::Stranger };
        let (life, read) = match self.egress.get(url, trust).await {
            Ok(fetched) if fetched.status == StatusCode::OK => {
                (life(&fetched.headers), read(url, &fetched.body))
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

fn read(url: &Url, body: &[u8]) -> Result<Client, String> {
    if body.len() > LONGEST {
        return Err("its document is larger than 64 KiB".to_owned());
    }
    let document: Document = serde_json::from_slice(body)
        .map_err(|_| "its document is no JSON of a client".to_owned())?;
    if document.client_id != url.as_str() {
        return Err("its document is about another client".to_owned());
    }
    if document.client_secret.is_some()
        || document.token_endpoint_auth_method.is_some_and(|method| method != "none")
    {
        return Err(
            "its document asks for a proof that is not known here; only `none` is".to_owned()
        );
    }
    if document.redirect_uris.is_empty() || document.redirect_uris.len() > CALLBACKS {
        return Err("its document names no callbacks, or too many".to_owned());
    }
    let name = document.client_name.as_deref().map(shown_name);
    let name = name.filter(|name| !name.is_empty());
    Ok(Client {
        id: document.client_id,
        name: name.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned()),
        callbacks: document.redirect_uris,
        known: Known::Document,
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
        let read = |text: &str| read(&url, text.as_bytes());
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
