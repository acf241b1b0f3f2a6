//! What the file says about who is let in.

use std::collections::BTreeMap;

use crate::base::Name;
use crate::config::{Config, Issuer, KeyDeclaration, TenantDeclaration};

/// What the file says about who is let in.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// `[tenants.*]`
    pub tenants: &'a BTreeMap<Name, TenantDeclaration>,
    /// `keys` of `[admin]`: keys of the operator.
    pub operators: &'a [KeyDeclaration],
    /// `[[auth.issuers]]`
    pub issuers: &'a [Issuer],
    /// The URL that tokens are for.
    pub public_url: Option<&'a url::Url>,
}

impl<'a> Admission<'a> {
    /// As the whole file says it.
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        Self {
            tenants: &config.tenants,
            operators: &config.admin.keys,
            issuers: &config.issuers,
            public_url: config.server.public_url.as_ref(),
        }
    }

    /// Tenants and nothing else.
    #[cfg(test)]
    pub(super) fn for_test(tenants: &'a BTreeMap<Name, TenantDeclaration>) -> Self {
        Self { tenants, operators: &[], issuers: &[], public_url: None }
    }
}
