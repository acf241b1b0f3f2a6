//! Who asks: a client of the file, one that registered itself, or one whose id is the URL of a
//! document about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::callback;
use super::document;
use super::error::OAuthError;
use super::form::Form;
use super::serve::{Ask, Connect};
use crate::auth::{Assertion, Assertions, ClientKeys};
use crate::base::{redirect_trouble, same_redirect, unix_seconds};
use crate::config::SecretSource;
use crate::seal::Digest;
use crate::store::Shown;

/// How ids of clients begin that registered themselves.
pub(super) const MADE: &str = "mcpc_";
/// What an assertion of a client is (RFC 7523, section 2.2).
const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest name that people are shown.
const LONGEST_NAME: usize = 64;

/// How a client is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// The file names it; without a secret it is a public client.
    File(Option<SecretSource>),
    /// A document at its id; with its keys, if it can sign who it is.
    Document(Option<Proof>),
    /// It registered itself; with the digest of its secret, if it has one.
    Registered(Option<Digest>),
}

/// How a client signs who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) keys: ClientKeys,
    /// It never comes without.
    pub(super) needed: bool,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    /// What it calls itself: nobody has checked that.
    pub(super) name: String,
    pub(super) callbacks: Vec<String>,
    pub(super) known: Known,
}

/// Why a client is not taken, in words for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoClient {
    Unknown,
    Document(String),
    Unavailable,
}

/// A name as people may see it: in one line, and not too long.
pub(super) fn shown_name(name: &str) -> String {
    let visible = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME);
    visible.collect::<String>().trim().to_owned()
}

impl Client {
    /// Whether people may be led there on behalf of this client.
    pub(super) fn has_callback(&self, connect: &crate::config::Connect, asked: &str) -> bool {
        let own = redirect_trouble(asked).is_none()
            && self.callbacks.iter().any(|known| same_redirect(known, asked));
        own && (matches!(self.known, Known::File(_)) || callback::is_allowed(connect, asked))
    }
}

impl Connect {
    /// The client of that id.
    pub(super) async fn client(&self, id: &str) -> Result<Client, NoClient> {
        let config = self.config();
        if let Some(entry) = config.connect.clients.get(id) {
            return Ok(Client {
                id: id.to_owned(),
                name: entry.name.clone(),
                callbacks: entry.redirects.clone(),
                known: Known::File(entry.secret.clone()),
            });
        }
        if id.starts_with(MADE) {
            let found = self.stores.clients.find(id.to_owned()).await;
            let found = found.map_err(|error| {
                tracing::warn!(%error, "a client cannot be looked up");
                NoClient::Unavailable
            })?;
            let found = found.ok_or(NoClient::Unknown)?;
            return Ok(Client {
                id: found.id,
                name: found.name,
                callbacks: found.redirects,
                known: Known::Registered(found.digest),
            });
        }
        match document::url(id, &config.connect) {
            Some(url) => {
                let client = self.documents.client(&url, &config.connect).await;
                client.map_err(NoClient::Document)
            }
            None => Err(NoClient::Unknown),
        }
    }

    /// The client that calls the token endpoint, once it has proved who it is (RFC 6749, section
    /// 2.3.1; RFC 7523, section 2.2).
    pub(super) async fn proven(&self, ask: &Ask, form: &Form) -> Result<Client, OAuthError> {
        let (named, posted) = (form.one("client_id")?, form.one("client_secret")?);
        let (basic, signed) = (basic(&ask.headers)?, form.one("client_assertion")?);
        if signed.is_some() {
            if form.one("client_assertion_type")? != Some(JWT) {
                return Err(OAuthError::request("`client_assertion_type` is not known here"));
            }
            if basic.is_some() || posted.is_some() {
                return Err(OAuthError::request("the client proves who it is in two ways"));
            }
        }
        let claimed = signed.and_then(Assertions::claimed);
        let (id, secret) = match (&basic, named.or(claimed.as_deref())) {
            (Some(_), _) if posted.is_some() => {
                return Err(OAuthError::request("the client shows its secret in two places"));
            }
            (Some((id, _)), Some(named)) if id != named => return Err(OAuthError::client()),
            (Some((id, secret)), _) => {
                (id.as_str(), Some(secret.as_str()).filter(|s| !s.is_empty()))
            }
            (None, Some(id)) => (id, posted),
            (None, None) => return Err(OAuthError::client()),
        };
        let client = match self.client(id).await {
            Ok(client) => client,
            Err(NoClient::Unavailable) => return Err(OAuthError::unavailable()),
            Err(NoClient::Unknown | NoClient::Document(_)) => return Err(OAuthError::client()),
        };
        let wanted = match &client.known {
            Known::Document(Some(proof)) if proof.needed || signed.is_some() => {
                self.signed(ask, id, proof, signed).await?;
                return Ok(client);
            }
            // Who has no keys here proves nothing with them.
            _ if signed.is_some() => return Err(OAuthError::client()),
            Known::File(Some(source)) => {
                // Read at the moment of use, so that a secret that was changed holds at once.
                let own = (self.resolve)(source).map_err(|reason| {
                    tracing::error!(client = id, %reason, "the secret of a client cannot be read");
                    OAuthError::client()
                })?;
                Some(self.secret_digest(id, own.expose()))
            }
            Known::Registered(digest) => *digest,
            Known::File(None) | Known::Document(_) => None,
        };
        match (wanted, secret) {
            (None, _) => Ok(client),
            (Some(wanted), Some(shown))
                if bool::from(wanted.ct_eq(&self.secret_digest(id, shown))) =>
            {
                Ok(client)
            }
            (Some(_), _) => Err(OAuthError::client()),
        }
    }

    /// Whether a client has signed who it is, with what was not shown before at any process of the
    /// store.
    async fn signed(
        &self,
        ask: &Ask,
        client: &str,
        proof: &Proof,
        signed: Option<&str>,
    ) -> Result<(), OAuthError> {
        let issuer = ask.base.issuer();
        let audiences = [format!("{issuer}/token"), format!("{issuer}/revoke"), issuer];
        let trust = document::trust(&self.config().connect);
        let text = signed.ok_or_else(OAuthError::client)?;
        let shown = Assertion { text, client, audiences: &audiences, keys: &proof.keys, trust };
        let refuse = |reason: &str| {
            tracing::info!(client, %reason, "a client has not proved who it is");
            OAuthError::client()
        };
        let id = self.assertions.check(&shown).await.map_err(|reason| refuse(&reason))?;
        let Some(id) = id else { return Ok(()) };
        let digest = |parts: &[&[u8]]| self.ring.digest("connect assertion", parts);
        let (own, id, until) =
            (digest(&[client.as_bytes()]), digest(&[id.text.as_bytes()]), id.until);
        let seen = self.stores.clients.show(own, id, until, unix_seconds()).await;
        match seen {
            Ok(Shown::First) => Ok(()),
            Ok(Shown::Again) => Err(refuse("it was used before")),
            Ok(Shown::TooMany) => Err(refuse("too many were used within an hour")),
            Err(error) => {
                tracing::warn!(%error, "an assertion cannot be looked up");
                Err(OAuthError::unavailable())
            }
        }
    }

    /// What is kept of a client's secret.
    pub(super) fn secret_digest(&self, client: &str, secret: &str) -> Digest {
        self.ring.digest("connect client", &[client.as_bytes(), secret.as_bytes()])
    }
}

/// Id and secret of the one `Authorization: Basic`, both form-encoded within.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OAuthError> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let read = || {
        let (scheme, rest) = line.to_str().ok()?.split_once(' ')?;
        let rest = scheme.eq_ignore_ascii_case("basic").then_some(rest.trim())?;
        let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        let plain = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
        };
        Some((plain(id)?, plain(secret)?))
    };
    if lines.next().is_some() {
        return Err(OAuthError::client());
    }
    read().map(Some).ok_or_else(OAuthError::client)
}
