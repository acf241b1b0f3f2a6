//! Access tokens of the connector doors: short-lived JWTs (RFC 9068 in shape) that stand for a key,
//! made by our own OAuth server for one client and one door. They are signed with a key of their
//! own, so that no other door knows them and these doors know no other token.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::check::{Auth, Inner};
use super::crypto;
use super::error::{Denied, MintError};
use super::header;
use super::principal::{Caller, Principal, Shown, TenantInfo};
use super::token::{fresh_id, signed};
use crate::base::{GrantId, KeyId, Map, Role, Secret, TenantId, unix_seconds};
use crate::seal::Ring;

/// The one scope of these tokens: to use what their key may use, and to decide nothing.
pub const CONNECTOR_SCOPE: &str = "mcp";

/// What the signing key is derived for.
const PURPOSE: &str = "connector token";
/// Grants in memory. Those with an open request or stream stay beyond it.
const MOST: usize = 20_000;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The key's public id.
    sub: String,
    client_id: String,
    tenant_id: String,
    grant: String,
    scope: String,
    iat: u64,
    exp: u64,
    jti: String,
}

/// What an access token is made for.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Who makes it: our own OAuth server.
    pub issuer: &'a str,
    /// The door that it opens, as a whole URL.
    pub resource: &'a str,
    /// What was allowed.
    pub grant: GrantId,
    /// To which client.
    pub client: &'a str,
    /// For whom.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// How long it lives, in seconds.
    pub life: u64,
}

/// Callers by what was allowed them. All access tokens of a grant are one caller, which ends when
/// the grant or its key does: a stream is not cut because a client has refreshed its token.
#[derive(Debug, Default)]
pub(super) struct Granted(RwLock<Map<GrantId, Principal>>);

impl Granted {
    fn read(&self) -> RwLockReadGuard<'_, Map<GrantId, Principal>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map<GrantId, Principal>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &GrantId) -> Option<Principal> {
        self.read().get(id).filter(|known| !known.ended().is_cancelled()).cloned()
    }

    fn keep(&self, id: GrantId, principal: Principal) -> Principal {
        let mut all = self.write();
        if let Some(known) = all.get(&id).filter(|known| !known.ended().is_cancelled()) {
            return known.clone();
        }
        if all.len() >= MOST {
            all.retain(|_, known| known.in_use() && !known.ended().is_cancelled());
        }
        all.insert(id, principal.clone());
        principal
    }

    /// Ends one.
    pub(super) fn end(&self, id: &GrantId) {
        if let Some(known) = self.write().remove(id) {
            known.ended().cancel();
        }
    }

    /// Ends everybody for whom `gone` holds.
    pub(super) fn end_where(&self, gone: impl Fn(&TenantInfo) -> bool) {
        self.write().retain(|_, known| {
            let over = gone(known.tenant());
            if over {
                known.ended().cancel();
            }
            !over
        });
    }

    /// Ends everybody.
    pub(super) fn end_all(&self) {
        for (_, known) in self.write().drain() {
            known.ended().cancel();
        }
    }

    /// Those that have not ended; the others are forgotten.
    pub(super) fn live(&self) -> Vec<GrantId> {
        if self.read().values().any(|known| known.ended().is_cancelled()) {
            self.write().retain(|_, known| !known.ended().is_cancelled());
        }
        self.read().keys().copied().collect()
    }
}

fn kid(ring: &Ring) -> String {
    format!("connector-{}", ring.tag())
}

fn refused(reason: impl Into<Box<dyn std::error::Error>>) -> Denied {
    Denied::Token(reason.into().to_string())
}

impl Auth {
    /// Makes an access token.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn mint_access(&self, access: &Access<'_>) -> Result<Secret, MintError> {
        crypto::install();
        let ring = &self.0.ring;
        let now = unix_seconds();
        let claims = Claims {
            iss: access.issuer.to_owned(),
            aud: access.resource.to_owned(),
            sub: access.key.to_string(),
            client_id: access.client.to_owned(),
            tenant_id: access.tenant.to_string(),
            grant: access.grant.to_string(),
            scope: CONNECTOR_SCOPE.to_owned(),
            iat: now,
            exp: now + access.life,
            jti: fresh_id()?,
        };
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(kid(ring)),
            ..Header::new(Algorithm::HS256)
        };
        signed(&header, &claims, &EncodingKey::from_secret(ring.derived(PURPOSE).as_ref()))
    }

    /// Whoever shows an access token that this `issuer` has made for this `resource`. Nothing else
    /// counts here: no key, no other token, no `X-API-Key`.
    ///
    /// # Errors
    /// Why there is no principal; all the same to the client.
    pub async fn connector(
        &self,
        headers: &HeaderMap,
        issuer: &str,
        resource: &str,
    ) -> Result<Principal, Denied> {
        let text = header::bearer(headers)?;
        let claims = self.0.open_access(text, issuer, resource)?;
        let grant: GrantId = claims.grant.parse().map_err(refused)?;
        let principal = match self.0.granted.get(&grant) {
            Some(known) => known,
            None => Box::pin(self.0.granted(grant, &claims)).await?,
        };
        let same = principal.key().as_str() == claims.sub
            && principal.tenant().id().to_string() == claims.tenant_id;
        if same { Ok(principal) } else { Err(refused("it is not of its grant")) }
    }

    /// The grant of an access token that this issuer has made for this client, also of one whose
    /// time is over.
    #[must_use]
    pub fn grant_of(&self, text: &str, issuer: &str, client: &str) -> Option<(TenantId, GrantId)> {
        crypto::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.validate_aud = false;
        validation.validate_exp = false;
        let key = DecodingKey::from_secret(self.0.ring.derived(PURPOSE).as_ref());
        let claims = jsonwebtoken::decode::<Claims>(text, &key, &validation).ok()?.claims;
        let named = (claims.tenant_id.parse().ok()?, claims.grant.parse().ok()?);
        (claims.client_id == client).then_some(named)
    }

    /// The holder of a key that was checked before, as long as the key is good.
    ///
    /// # Errors
    /// When it is not, or belongs to no tenant.
    pub async fn holder_of(&self, key: KeyId) -> Result<Principal, Denied> {
        match self.0.behind(key).await? {
            Caller::Tenant(principal) => Ok(principal),
            Caller::Operator(_) => Err(Denied::TenantNeeded),
        }
    }
}

impl Inner {
    fn open_access(&self, text: &str, issuer: &str, resource: &str) -> Result<Claims, Denied> {
        crypto::install();
        let header = jsonwebtoken::decode_header(text).map_err(refused)?;
        let ours = header.typ.as_deref() == Some("at+jwt")
            && header.kid.as_deref() == Some(kid(&self.ring).as_str());
        if !ours {
            return Err(refused("it is no access token of the connector doors"));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[resource]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        let key = DecodingKey::from_secret(self.ring.derived(PURPOSE).as_ref());
        let claims = jsonwebtoken::decode::<Claims>(text, &key, &validation);
        let claims = claims.map_err(refused)?.claims;
        // To the second: the library lets the last one pass.
        if claims.exp <= unix_seconds() { Err(Denied::Expired) } else { Ok(claims) }
    }

    /// A grant that is not in memory.
    async fn granted(&self, id: GrantId, claims: &Claims) -> Result<Principal, Denied> {
        let key: KeyId = claims.sub.parse().map_err(refused)?;
        loop {
            let epoch = self.cache.epoch();
            let live = self.stores.grants.live(vec![id]).await;
            let live = live.map_err(|error| Denied::Unavailable(error.to_string()))?;
            if live.is_empty() {
                self.granted.end(&id);
                return Err(Denied::Revoked);
            }
            let behind = self.behind(key).await?;
            let Caller::Tenant(holder) = &behind else { return Err(Denied::TenantNeeded) };
            let tenant: Arc<TenantInfo> = holder.tenant().clone();
            if tenant.id().to_string() != claims.tenant_id {
                return Err(refused("it is for a tenant that is gone"));
            }
            // Whatever the key may decide, a client that was let in by it decides nothing.
            let shown = Shown { role: Role::Member, ..behind.shown().clone() };
            let principal = self.granted.keep(id, Principal::behind(tenant, shown, behind));
            // It may have ended since it was read, before anybody could find it here and end it.
            if self.cache.epoch() == epoch {
                return Ok(principal);
            }
        }
    }
}
