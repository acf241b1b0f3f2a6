//! Tokens of our own: short-lived JWTs that stand for a key (RFC 7519). Signed with a key that
//! only this program's root key gives, since nobody else has to check them. A token ends when its
//! key ends, and never does more than its key.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::admission::Admission;
use super::check::{Auth, Inner};
use super::crypto;
use super::error::{Denied, MintError};
use super::issuer::Outsider;
use super::key::id_from;
use super::local::local_operator;
use super::principal::{Caller, Operator, Principal, Shown};
use crate::base::{KeyId, Name, Role, Scopes, Secret, unix_seconds};
use crate::seal::Ring;
use crate::store::Origin;

/// Longest life of a token.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Shortest life of a token.
const SHORTEST: Duration = Duration::from_secs(1);

/// Life of the token of whoever holds the root key: one command.
const LOCAL: u64 = 60;

/// Makes and reads our own tokens.
pub(super) struct Tokens {
    kid: String,
    /// Issuer and audience: this proxy.
    own: String,
    /// Whom the token of whoever holds the root key is about.
    local: KeyId,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// What a token says (RFC 7519, section 4.1; `scope` as in RFC 8693, section 4.2).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The key's public id.
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    role: String,
    scope: String,
    iat: u64,
    exp: u64,
    jti: String,
}

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// How long it lives: 1 s to 1 h.
    pub life: Duration,
    /// What it may decide; as its key without it.
    pub role: Option<Role>,
    /// What it may use; as its key without it.
    pub scopes: Option<Scopes>,
}

/// A token that was made just now.
#[derive(Debug)]
pub struct Minted {
    /// Its text.
    pub text: Secret,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at: u64,
    /// What it may decide.
    pub role: Role,
    /// What it may use.
    pub scopes: Scopes,
}

impl Tokens {
    pub(super) fn new(ring: &Ring, admission: &Admission<'_>) -> Self {
        crypto::install();
        let key = ring.derived(PURPOSE);
        let kid = kid(ring);
        // Without a public URL, what no other proxy has: its key's own id.
        let unnamed = unnamed(ring);
        let own = admission
            .public_url
            .map_or_else(|| unnamed.clone(), |url| url.as_str().trim_end_matches('/').to_owned());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&own, &unnamed]);
        validation.set_audience(&[&own, &unnamed]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        validation.validate_nbf = true;
        Self {
            kid,
            own,
            local: local_operator(ring),
            encoding: EncodingKey::from_secret(key.as_ref()),
            decoding: DecodingKey::from_secret(key.as_ref()),
            validation,
        }
    }
}

/// What the signing key is derived for.
const PURPOSE: &str = "token";

/// The id of the key that signs.
fn kid(ring: &Ring) -> String {
    let key = ring.derived(PURPOSE);
    let digest = ring.digest("token key id", &[key.as_ref()]);
    hex(&digest[..8])
}

/// A proxy that has no public URL.
fn unnamed(ring: &Ring) -> String {
    format!("urn:mcp-proxy:{}", ring.tag())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn head(kid: String) -> Header {
    Header { kid: Some(kid), ..Header::new(Algorithm::HS256) }
}

pub(super) fn signed(
    header: &Header,
    claims: &impl Serialize,
    key: &EncodingKey,
) -> Result<Secret, MintError> {
    let text = jsonwebtoken::encode(header, claims, key);
    Ok(Secret::new(text.map_err(|_| MintError::Random)?))
}

/// The token's own id.
pub(super) fn fresh_id() -> Result<String, MintError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| MintError::Random)?;
    Ok(hex(&random))
}

/// A token of the operator for a command on the proxy's own machine, good for a minute. Whoever
/// has the root key needs no other right: with it he could change the store itself.
///
/// # Errors
/// When the system gives no random bytes.
pub fn local_token(ring: &Ring) -> Result<Secret, MintError> {
    crypto::install();
    let (now, name) = (unix_seconds(), unnamed(ring));
    let claims = Claims {
        iss: name.clone(),
        aud: name,
        sub: local_operator(ring).to_string(),
        tenant: None,
        tenant_id: None,
        role: Role::Operator.to_string(),
        scope: Scopes::everything().to_string(),
        iat: now,
        exp: now + LOCAL,
        jti: fresh_id()?,
    };
    let key = EncodingKey::from_secret(ring.derived(PURPOSE).as_ref());
    signed(&head(kid(ring)), &claims, &key)
}

fn refused(reason: impl Into<Box<dyn std::error::Error>>) -> Denied {
    Denied::Token(reason.into().to_string())
}

impl Auth {
    /// Makes a token that stands for the key behind `caller`, for the tenant that it has named.
    ///
    /// # Errors
    /// When `caller` is a token itself, asks for more than it has, or for an improper life.
    pub fn mint(&self, caller: &Caller, request: &TokenRequest) -> Result<Minted, MintError> {
        if caller.token_until().is_some() {
            return Err(MintError::Token);
        }
        if !(SHORTEST..=LONGEST).contains(&request.life) {
            return Err(MintError::Life);
        }
        let role = request.role.unwrap_or(caller.role());
        if role > caller.role() {
            return Err(MintError::Role(caller.role()));
        }
        if role == Role::Member || role == Role::Admin {
            caller.tenant().ok_or(MintError::Tenant)?;
        }
        let scopes = request.scopes.clone().unwrap_or_else(|| caller.scopes().clone());
        caller.scopes().cover(&scopes).map_err(MintError::Scope)?;
        let declared = self.0.declared.load_full();
        let tokens = &declared.tokens;
        let now = unix_seconds();
        let expires_at = now + request.life.as_secs();
        let claims = Claims {
            iss: tokens.own.clone(),
            aud: tokens.own.clone(),
            sub: caller.key().to_string(),
            tenant: caller.tenant().map(|tenant| tenant.name().to_string()),
            tenant_id: caller.tenant().map(|tenant| tenant.id().to_string()),
            role: role.to_string(),
            scope: scopes.to_string(),
            iat: now,
            exp: expires_at,
            jti: fresh_id()?,
        };
        let text = signed(&head(tokens.kid.clone()), &claims, &tokens.encoding)?;
        Ok(Minted { text, expires_at, role, scopes })
    }
}

impl Inner {
    /// Checks a token that is not in memory.
    pub(super) async fn open_token(&self, text: &str) -> Result<Caller, Denied> {
        let header = jsonwebtoken::decode_header(text).map_err(refused)?;
        let own = header.kid.as_deref() == Some(self.declared.load().tokens.kid.as_str());
        let (caller, until) = if own {
            self.own_token(text).await?
        } else {
            self.outside_token(text, &header).await?
        };
        Ok(self.guests.keep(self.badge(text), caller, Some(until), unix_seconds()))
    }

    async fn own_token(&self, text: &str) -> Result<(Caller, u64), Denied> {
        let opened = {
            let declared = self.declared.load();
            let Tokens { decoding, validation, .. } = &declared.tokens;
            jsonwebtoken::decode::<Claims>(text, decoding, validation)
        };
        let claims = opened.map_err(refused)?.claims;
        // To the second: the library lets the last one pass.
        if claims.exp <= unix_seconds() {
            return Err(Denied::Expired);
        }
        let key: KeyId = claims.sub.parse().map_err(refused)?;
        let role: Role = claims.role.parse().map_err(refused)?;
        let scopes = Scopes::read(claims.scope.split_ascii_whitespace()).map_err(refused)?;
        let behind = self.behind(key).await?;
        // The key may have changed since.
        if role > behind.role() || behind.scopes().cover(&scopes).is_err() {
            return Err(refused("its key may do less by now"));
        }
        let until = Some(claims.exp);
        let shown = Shown { role, scopes, until, ..behind.shown().clone() };
        let tenant = match (&behind, &claims.tenant) {
            (Caller::Operator(_), None) if role == Role::Operator => {
                return Ok((Caller::Operator(Operator::behind(shown, behind)), claims.exp));
            }
            (Caller::Operator(_), Some(name)) => {
                match self.tenant_info(&Name::new(name).map_err(refused)?).await {
                    Err(Denied::UnknownTenant) => return Err(refused("its tenant is gone")),
                    found => found?,
                }
            }
            (Caller::Tenant(principal), _) => principal.tenant().clone(),
            (Caller::Operator(_), None) => return Err(refused("it names no tenant")),
        };
        if claims.tenant_id.as_deref() != Some(tenant.id().to_string().as_str()) {
            return Err(refused("it is for a tenant that is gone"));
        }
        Ok((Caller::Tenant(Principal::behind(tenant, shown, behind)), claims.exp))
    }

    /// Somebody without a key of ours: the rules of the file say who it is.
    async fn outside_token(&self, text: &str, header: &Header) -> Result<(Caller, u64), Denied> {
        let declared = self.declared.load_full();
        let outsider = declared.issuers.check(text, header).await.map_err(Denied::Token)?;
        let Outsider { tenant, role, scopes, issuer, subject, until, ended } = outsider;
        let parts = [issuer.as_bytes(), subject.as_bytes()];
        let key = id_from(&self.ring.digest("outside subject", &parts));
        let name = subject.chars().filter(|c| !c.is_control()).take(64).collect();
        let origin = Origin::File;
        let shown = Shown { key, name, origin, role, scopes, holder: key, until: Some(until) };
        let caller = match tenant {
            None => Caller::Operator(Operator::until(shown, &ended)),
            Some(name) => match self.tenant_info(&name).await {
                Ok(tenant) => Caller::Tenant(Principal::until(tenant, shown, &ended)),
                // The rules of the file must not show strangers which tenants there are.
                Err(Denied::UnknownTenant) => return Err(refused("its tenant does not exist")),
                Err(denied) => return Err(denied),
            },
        };
        Ok((caller, until))
    }

    /// The holder of the key that a token stands for.
    pub(super) async fn behind(&self, key: KeyId) -> Result<Caller, Denied> {
        let declared = self.declared.load_full();
        if key == declared.tokens.local {
            return Ok(Caller::Operator(Operator::local(key)));
        }
        let found = declared.keys().find(|declared| declared.key() == key).cloned();
        if let Some(declared) = found {
            return Ok(declared);
        }
        let entry = self.entry(key).await?;
        let now = unix_seconds();
        if entry.expires_at() <= now {
            return Err(Denied::Expired);
        }
        entry.used(now);
        Ok(entry.caller.clone())
    }
}
