//! What is sealed of one login. It belongs to one authorization server and goes to no other.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::OAuthError;
use crate::base::Secret;
use crate::seal::SealError;

/// How we prove who we are at a token endpoint (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AuthMethod {
    /// Not at all: a public client.
    #[serde(rename = "none")]
    None,
    /// The secret in `Authorization`.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// The secret in the body.
    #[serde(rename = "client_secret_post")]
    Post,
    /// A signed assertion (RFC 7523).
    #[serde(rename = "private_key_jwt")]
    Assertion,
}

/// Where a client id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Known {
    /// The file; its secret is there too.
    File,
    /// A document of ours that the id names.
    Document,
    /// Dynamic registration.
    Registered,
    /// It came with pushed tokens.
    Pushed,
}

/// Who we are at one authorization server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    #[serde(default, with = "hidden", skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Secret>,
    pub(super) method: AuthMethod,
    pub(super) known: Known,
    /// Where browsers come back to, as it was registered.
    #[serde(default)]
    pub(super) redirect: String,
}

/// One login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The authorization server; nothing in here is ever sent to another one.
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    #[serde(default)]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    pub(super) resource: Option<String>,
    pub(super) client: Option<Client>,
    #[serde(default, with = "hidden", skip_serializing_if = "Option::is_none")]
    pub(super) access_token: Option<Secret>,
    #[serde(default, with = "hidden", skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<Secret>,
    /// What was granted, as far as it was said.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// When the token was given, in seconds since the Unix epoch.
    pub(super) obtained_at: u64,
    /// When it ends, if that was said.
    #[serde(default)]
    pub(super) expires_at: Option<u64>,
    /// Scopes that the upstream has asked for besides.
    #[serde(default)]
    pub(super) wanted: Vec<String>,
    /// How often it has asked for more although all was granted.
    #[serde(default)]
    pub(super) denied: u8,
}

/// Seconds before its end from which a token is renewed, at most.
const MARGIN: u64 = 60;

impl Record {
    /// Until when its token is used without renewing it.
    pub(super) fn fresh_until(&self) -> u64 {
        match (&self.access_token, self.expires_at) {
            (None, _) => 0,
            (Some(_), None) => u64::MAX,
            (Some(_), Some(end)) => {
                let life = end.saturating_sub(self.obtained_at);
                end.saturating_sub(MARGIN.min(life / 10))
            }
        }
    }

    /// Whether its token still counts at this time.
    pub(super) fn is_good(&self, now: u64) -> bool {
        self.access_token.is_some() && self.expires_at.is_none_or(|end| now < end)
    }

    /// The same without tokens; who we are at the server stays.
    pub(super) fn logged_out(&self) -> Self {
        Self { access_token: None, refresh_token: None, expires_at: None, ..self.clone() }
    }

    /// As text to be sealed.
    pub(super) fn encode(&self) -> Result<Secret, OAuthError> {
        let text = serde_json::to_string(self).map_err(|_| SealError::Broken)?;
        Ok(Secret::new(text))
    }

    /// Reads what `encode` made.
    pub(super) fn decode(text: &Secret) -> Option<Self> {
        serde_json::from_str(text.expose()).ok()
    }
}

/// Secrets are written only here, on their way into the seal.
mod hidden {
    use super::{Deserialize, Deserializer, Secret, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Secret::expose).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in super::super) fn record() -> Record {
        Record {
            issuer: "https://as.example.com".to_owned(),
            token_endpoint: "https://as.example.com/token".to_owned(),
            revocation_endpoint: None,
            resource: None,
            client: Some(Client {
                id: "us".to_owned(),
                secret: Some(Secret::new("canary-client".to_owned())),
                method: AuthMethod::Basic,
                known: Known::Registered,
                redirect: String::new(),
            }),
            access_token: Some(Secret::new("canary-access".to_owned())),
            refresh_token: Some(Secret::new("canary-refresh".to_owned())),
            scopes: vec!["read".to_owned()],
            obtained_at: 1_000,
            expires_at: Some(4_600),
            wanted: Vec::new(),
            denied: 0,
        }
    }

    #[test]
    fn it_is_read_back_and_its_debug_shows_nothing() {
        let text = record().encode().unwrap();
        let read = Record::decode(&text).unwrap();
        assert_eq!(read.refresh_token.unwrap().expose(), "canary-refresh");
        assert!(!format!("{:?}", record()).contains("canary"));
        let out = record().logged_out();
        assert!(out.client.is_some() && !out.encode().unwrap().expose().contains("canary-access"));
        assert!(Record::decode(&Secret::new("junk".to_owned())).is_none());
    }

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let at = |expires_at, obtained_at| Record { expires_at, obtained_at, ..record() };
        assert_eq!(at(Some(4_600), 1_000).fresh_until(), 4_540);
        assert_eq!(at(Some(1_002), 1_000).fresh_until(), 1_002, "a short one is used up");
        assert_eq!(at(None, 1_000).fresh_until(), u64::MAX);
        assert_eq!(record().logged_out().fresh_until(), 0);
        assert!(record().is_good(4_599) && !record().is_good(4_600));
    }
}
