//! Codes and refresh tokens: sealed texts that name a grant and a generation, for one client. What
//! comes of one that is shown is decided in the store, in one step.

use http::StatusCode;
use serde_json::json;

use super::error::{OAuthError, reply};
use super::page::Whole;
use super::serve::{Base, Connect};
use crate::auth::{Access, CONNECTOR_SCOPE, Denied, News, Principal};
use crate::base::{GrantId, TenantId, unix_seconds};
use crate::store::{Ending, GrantRecord, StoreError};

/// How long an access token lives, in seconds.
const LIFE: u64 = 15 * 60;

/// What a sealed text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Code,
    Refresh,
}

impl Shape {
    fn purpose(self) -> &'static str {
        match self {
            Self::Code => "connect code",
            Self::Refresh => "connect refresh",
        }
    }
}

/// What a code or a refresh token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) tenant: TenantId,
    pub(super) grant: GrantId,
    pub(super) generation: u64,
}

pub(super) fn failed(error: &StoreError) -> OAuthError {
    tracing::warn!(%error, "the store does not answer the OAuth server");
    OAuthError::unavailable()
}

impl Connect {
    /// The text of a code or a refresh token.
    pub(super) fn ticket(&self, shape: Shape, client: &str, ticket: Ticket) -> Option<String> {
        let Ticket { tenant, grant, generation } = ticket;
        let value =
            [&tenant.as_bytes()[..], &grant.as_bytes()[..], &generation.to_be_bytes()[..]].concat();
        self.ring.seal_handle(shape.purpose(), client.as_bytes(), &value).ok()
    }

    /// What this client was given.
    pub(super) fn read_ticket(&self, shape: Shape, client: &str, text: &str) -> Option<Ticket> {
        let value = self.ring.open_handle(shape.purpose(), client.as_bytes(), text).ok()?;
        let (tenant, rest) = value.split_first_chunk::<16>()?;
        let (grant, rest) = rest.split_first_chunk::<16>()?;
        Some(Ticket {
            tenant: TenantId::from_bytes(*tenant),
            grant: GrantId::from_bytes(*grant),
            generation: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }

    /// Ends a grant, with everything that is open by it.
    pub(super) async fn end(
        &self,
        tenant: TenantId,
        grant: GrantId,
        why: Ending,
    ) -> Result<bool, OAuthError> {
        let ended = self.stores.grants.end(tenant, grant, unix_seconds(), why).await;
        let ended = ended.map_err(|error| failed(&error))?;
        self.auth.wrote(News::Ungranted(grant));
        if ended {
            tracing::info!(%grant, why = why.as_str(), "what was allowed to a client has ended");
        }
        Ok(ended)
    }

    /// The holder of the key behind a grant. When the key has ended, so does the grant.
    pub(super) async fn holder(&self, record: &GrantRecord) -> Result<Principal, OAuthError> {
        let grant = &record.grant;
        match self.auth.holder_of(grant.key).await {
            Ok(principal) if principal.tenant().id() == grant.tenant => Ok(principal),
            Err(Denied::Unavailable(_)) => Err(OAuthError::unavailable()),
            Ok(_) | Err(_) => {
                self.end(grant.tenant, grant.id, Ending::Key).await?;
                Err(OAuthError::grant())
            }
        }
    }

    /// The tokens of a grant, which has just got this generation.
    pub(super) fn tokens(&self, record: &GrantRecord, base: &Base) -> Result<Whole, OAuthError> {
        let grant = &record.grant;
        let access = self.auth.mint_access(&Access {
            issuer: &base.issuer(),
            resource: &grant.resource,
            grant: grant.id,
            client: &grant.client,
            tenant: grant.tenant,
            key: grant.key,
            life: LIFE,
        });
        let ticket =
            Ticket { tenant: grant.tenant, grant: grant.id, generation: record.generation };
        let refresh = self.ticket(Shape::Refresh, &grant.client, ticket);
        let (Ok(access), Some(refresh)) = (access, refresh) else {
            return Err(OAuthError::unavailable());
        };
        if record.generation == 1 {
            tracing::info!(client = grant.client, key = %grant.key, grant = %grant.id, "a client has got its tokens");
        } else {
            tracing::debug!(client = grant.client, grant = %grant.id, "a client has got new tokens");
        }
        Ok(reply(
            StatusCode::OK,
            &json!({
                "access_token": access.expose(),
                "token_type": "Bearer",
                "expires_in": LIFE,
                "refresh_token": refresh,
                "scope": CONNECTOR_SCOPE,
            }),
        ))
    }
}
