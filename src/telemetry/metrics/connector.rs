//! What our OAuth server was asked, and what came of it.

use super::cell::Counter;
use super::page::{Kind, Page};

/// What a client asks of our OAuth server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthAsk {
    /// To be registered.
    Register,
    /// Tokens for a code.
    Code,
    /// Tokens for a refresh token.
    Refresh,
    /// Tokens in a way that is not known here, or by a client that is not.
    Token,
    /// To take a token back.
    Revoke,
}

impl OAuthAsk {
    const ALL: [Self; 5] = [Self::Register, Self::Code, Self::Refresh, Self::Token, Self::Revoke];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Token => "token",
            Self::Revoke => "revoke",
        }
    }
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthAnswer {
    /// What it has asked for.
    Ok,
    /// It is not known, or did not prove who it is.
    InvalidClient,
    /// The code or the refresh token is not good.
    InvalidGrant,
    /// Something else is wrong with what it has asked.
    Refused,
    /// It asks too often.
    Limited,
    /// The store does not answer.
    Failed,
}

impl OAuthAnswer {
    const ALL: [Self; 6] = [
        Self::Ok,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::Refused,
        Self::Limited,
        Self::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

/// What a person does about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// They were shown what it would be given.
    Shown,
    /// They allowed it: a code was made.
    Allowed,
    /// They said no.
    Denied,
    /// They could not sign in.
    KeyRefused,
}

impl Consent {
    const ALL: [Self; 4] = [Self::Shown, Self::Allowed, Self::Denied, Self::KeyRefused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::KeyRefused => "key_refused",
        }
    }
}

/// The counts of our OAuth server.
#[derive(Debug)]
pub struct ConnectorMeter {
    asked: [[Counter; OAuthAnswer::ALL.len()]; OAuthAsk::ALL.len()],
    consents: [Counter; Consent::ALL.len()],
}

impl ConnectorMeter {
    pub(super) const fn new() -> Self {
        Self {
            asked: [const { [const { Counter::new() }; OAuthAnswer::ALL.len()] };
                OAuthAsk::ALL.len()],
            consents: [const { Counter::new() }; Consent::ALL.len()],
        }
    }

    /// A client was answered.
    pub fn answered(&self, ask: OAuthAsk, answer: OAuthAnswer) {
        self.asked[ask as usize][answer as usize].one();
    }

    /// A person did something.
    pub fn consent(&self, consent: Consent) {
        self.consents[consent as usize].one();
    }

    pub(super) fn write(&self, page: &mut Page) {
        let help = "Requests of clients to the OAuth server of the connector doors, by what they asked and were told.";
        page.family("mcp_proxy_connector_requests_total", Kind::Counter, help);
        for ask in OAuthAsk::ALL {
            for answer in OAuthAnswer::ALL {
                let count = self.asked[ask as usize][answer as usize].get();
                // The first increase of a good one would not be seen otherwise.
                if count > 0 || answer == OAuthAnswer::Ok {
                    let labels = [("kind", ask.as_str()), ("result", answer.as_str())];
                    page.sample(&labels, count);
                }
            }
        }
        let help = "What people did on the consent page of the connector doors.";
        page.family("mcp_proxy_connector_consents_total", Kind::Counter, help);
        for consent in Consent::ALL {
            page.sample(&[("result", consent.as_str())], self.consents[consent as usize].get());
        }
    }
}
