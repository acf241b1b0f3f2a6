//! Who is calling: evidence that a key or a token was checked. Only this module's parent builds
//! one.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::base::{Fault, KeyId, Kind, Name, Narrow, Role, Scopes, TenantId};
use crate::store::Origin;

/// A tenant as its callers carry it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TenantInfo {
    id: TenantId,
    name: Name,
}

impl TenantInfo {
    pub(super) fn new(id: TenantId, name: Name) -> Self {
        Self { id, name }
    }

    /// Its id, which never changes.
    #[must_use]
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Its name, for logs and templates.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }
}

/// What was shown: a key, or a token that stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) key: KeyId,
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) role: Role,
    pub(super) scopes: Scopes,
    pub(super) holder: KeyId,
    /// When a token ends, in seconds since the Unix epoch; `None` for a key.
    pub(super) until: Option<u64>,
}

macro_rules! about_the_key {
    () => {
        /// The key's public id. A token has that of its key; one of an outside issuer has an id
        /// made of issuer and subject.
        #[must_use]
        pub fn key(&self) -> KeyId {
            self.0.shown.key
        }

        /// What the key's owner calls it.
        #[must_use]
        pub fn key_name(&self) -> &str {
            &self.0.shown.name
        }

        /// Whether the key is the file's or the store's.
        #[must_use]
        pub fn origin(&self) -> Origin {
            self.0.shown.origin
        }

        /// Fires when the key is revoked, expired or rotated away, the token has expired, the
        /// tenant is removed, or the store could not be asked for 5 seconds: whatever is open for
        /// this caller ends then.
        #[must_use]
        pub fn ended(&self) -> &CancellationToken {
            &self.0.ended
        }

        /// Whether somebody besides the cache holds it.
        pub(super) fn in_use(&self) -> bool {
            Arc::strong_count(&self.0) > 1
        }
    };
}

/// A caller with a tenant. Clones are cheap and share the token.
#[derive(Debug, Clone)]
pub struct Principal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tenant: Arc<TenantInfo>,
    shown: Shown,
    /// Its scopes, compiled once.
    narrow: Narrow,
    ended: CancellationToken,
    /// Keeps the key behind it under watch.
    behind: Option<Caller>,
}

impl Principal {
    pub(super) fn new(tenant: Arc<TenantInfo>, shown: Shown) -> Self {
        let (narrow, ended) = (shown.scopes.narrow(), CancellationToken::new());
        Self(Arc::new(Inner { tenant, shown, narrow, ended, behind: None }))
    }

    /// One that ends when `behind` ends.
    pub(super) fn behind(tenant: Arc<TenantInfo>, shown: Shown, behind: Caller) -> Self {
        let (narrow, ended) = (shown.scopes.narrow(), behind.ended().child_token());
        Self(Arc::new(Inner { tenant, shown, narrow, ended, behind: Some(behind) }))
    }

    /// One that ends when `ended` fires.
    pub(super) fn until(tenant: Arc<TenantInfo>, shown: Shown, ended: &CancellationToken) -> Self {
        let (narrow, ended) = (shown.scopes.narrow(), ended.child_token());
        Self(Arc::new(Inner { tenant, shown, narrow, ended, behind: None }))
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Arc<TenantInfo> {
        &self.0.tenant
    }

    /// Whose end is the end of what the key holds: for somebody who was let in by a grant, the
    /// key, since other grants and the key itself may hold something, too.
    #[must_use]
    pub fn lasting(&self) -> &Self {
        match &self.0.behind {
            Some(Caller::Tenant(behind)) if self.0.shown.until.is_none() => behind,
            _ => self,
        }
    }

    /// What it may decide. `Operator`: somebody with a key of the operator acts for this tenant.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.shown.role
    }

    /// What it may use.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.shown.scopes
    }

    /// What it may use, as the policy asks for it.
    #[must_use]
    pub fn narrow(&self) -> &Narrow {
        &self.0.narrow
    }

    /// Whether the door of this path is open to it. That says nothing about whether there is one.
    ///
    /// # Errors
    /// With the scope that would open it.
    pub fn opens_door(&self, path: &str) -> Result<(), Fault> {
        if self.scopes().is_everything() {
            return Ok(());
        }
        let profile = path.strip_prefix("/p/").and_then(|rest| rest.split('/').next());
        let profile = profile.and_then(|name| Name::new(name).ok());
        self.scopes().opens(profile.as_ref()).map_err(|scope| {
            let sentence = format!(
                "This key is for some profiles only and has no scope `{scope}`; use the URL of its \
                 profile, or ask whoever gave it"
            );
            Fault::client(Kind::Forbidden(Some(scope)), sentence)
        })
    }

    /// The person behind it within the tenant: the id of the first key that this person got.
    #[must_use]
    pub fn holder(&self) -> KeyId {
        self.0.shown.holder
    }

    about_the_key!();

    pub(super) fn shown(&self) -> &Shown {
        &self.0.shown
    }

    /// A principal without a key behind it.
    #[cfg(test)]
    pub(crate) fn for_test(tenant: TenantId, name: &str, key: &str) -> Self {
        Self::for_test_with(tenant, name, key, Scopes::everything())
    }

    /// The same with scopes.
    #[cfg(test)]
    pub(crate) fn for_test_with(tenant: TenantId, name: &str, key: &str, scopes: Scopes) -> Self {
        let name = Name::new(name).unwrap();
        let tenant = Arc::new(TenantInfo::new(tenant, name));
        let key = key.parse().unwrap();
        let (name, origin) = ("test".to_owned(), Origin::Store);
        Self::new(
            tenant,
            Shown { key, name, origin, role: Role::Member, scopes, holder: key, until: None },
        )
    }
}

/// A caller with a key of the operator, who has named no tenant.
#[derive(Debug, Clone)]
pub struct Operator(Arc<OperatorInner>);

#[derive(Debug)]
struct OperatorInner {
    shown: Shown,
    ended: CancellationToken,
    #[expect(dead_code, reason = "keeps the key behind a token under watch")]
    behind: Option<Caller>,
}

impl Operator {
    pub(super) fn new(shown: Shown) -> Self {
        Self(Arc::new(OperatorInner { shown, ended: CancellationToken::new(), behind: None }))
    }

    /// One that ends when `ended` fires.
    pub(super) fn until(shown: Shown, ended: &CancellationToken) -> Self {
        Self(Arc::new(OperatorInner { shown, ended: ended.child_token(), behind: None }))
    }

    pub(super) fn behind(shown: Shown, behind: Caller) -> Self {
        let ended = behind.ended().child_token();
        Self(Arc::new(OperatorInner { shown, ended, behind: Some(behind) }))
    }

    about_the_key!();

    pub(super) fn shown(&self) -> &Shown {
        &self.0.shown
    }
}

/// Whoever has shown a good key or token.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The operator, for no tenant.
    Operator(Operator),
    /// Somebody of a tenant, or the operator acting for one.
    Tenant(Principal),
}

macro_rules! either {
    ($self:ident, $method:ident) => {
        match $self {
            Self::Operator(operator) => operator.$method(),
            Self::Tenant(principal) => principal.$method(),
        }
    };
}

impl Caller {
    /// The key's public id.
    #[must_use]
    pub fn key(&self) -> KeyId {
        either!(self, key)
    }

    /// What the key's owner calls it.
    #[must_use]
    pub fn key_name(&self) -> &str {
        either!(self, key_name)
    }

    /// Whether the key is the file's or the store's.
    #[must_use]
    pub fn origin(&self) -> Origin {
        either!(self, origin)
    }

    /// What it may decide.
    #[must_use]
    pub fn role(&self) -> Role {
        either!(self, shown).role
    }

    /// What it may use.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &either!(self, shown).scopes
    }

    /// The person behind it.
    #[must_use]
    pub fn holder(&self) -> KeyId {
        either!(self, shown).holder
    }

    /// When it ends, in seconds since the Unix epoch, if it is a token; `None` for a key.
    #[must_use]
    pub fn token_until(&self) -> Option<u64> {
        either!(self, shown).until
    }

    /// The tenant, if it has named one or belongs to one.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<TenantInfo>> {
        match self {
            Self::Operator(_) => None,
            Self::Tenant(principal) => Some(principal.tenant()),
        }
    }

    /// Fires when it is no longer good; see [`Principal::ended`].
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        either!(self, ended)
    }

    pub(super) fn in_use(&self) -> bool {
        either!(self, in_use)
    }

    /// Whether the other one may do the same, on behalf of the same. All that a caller may do
    /// follows from these: the narrowing is made of the scopes.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.tenant() == other.tenant() && self.shown() == other.shown()
    }

    pub(super) fn shown(&self) -> &Shown {
        either!(self, shown)
    }
}
