//! What a login is for: one upstream as one tenant has it, every reference resolved.

use std::sync::Arc;

use url::Url;

use super::error::OAuthError;
use crate::auth::TenantInfo;
use crate::base::{Bearer, Name, Secret};
use crate::config::{OAuth, Upstream};
use crate::credential::Armed;
use crate::egress::Trust;

/// What a login is for.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) tenant: Arc<TenantInfo>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) oauth: Arc<OAuth>,
    pub(super) bearer: Arc<Bearer>,
    /// Its URL, where it has one. It may hold secrets.
    pub(super) url: Option<Url>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) private_key: Option<Secret>,
}

impl Target {
    pub(super) fn of(armed: &Armed) -> Result<Self, OAuthError> {
        let upstream = armed.upstream().clone();
        let (Some(oauth), Some(bearer)) = (upstream.oauth.clone(), armed.bearer().cloned()) else {
            return Err(OAuthError::NoLogin);
        };
        let url = armed.url().and_then(|uri| Url::parse(&uri.to_string()).ok());
        let plain = |template: &Option<_>| template.as_ref().map(|it| armed.rendered_one(it));
        Ok(Self {
            tenant: armed.tenant().clone(),
            client_id: plain(&oauth.client_id).map(|id| id.expose().to_owned()),
            client_secret: plain(&oauth.client_secret),
            private_key: plain(&oauth.private_key),
            upstream,
            oauth,
            bearer,
            url,
        })
    }

    pub(super) fn name(&self) -> &Name {
        &self.upstream.name
    }

    /// Whom a URL may be trusted like: what lies beside the upstream or the issuer of the
    /// operator's file is his, all else is somebody's.
    pub(super) fn trust(&self, url: &Url) -> Trust {
        let same = |other: &Url| other.origin() == url.origin() && url.origin().is_tuple();
        let own =
            self.url.as_ref().is_some_and(same) || self.oauth.issuer.as_ref().is_some_and(same);
        if own && !self.upstream.guarded {
            Trust::Operator
        } else if self.oauth.allow_private {
            Trust::Private
        } else {
            Trust::Stranger
        }
    }

    /// The identifier of what tokens are for, unless the upstream gives another: its URL without
    /// what may be secret in it.
    pub(super) fn resource(&self) -> Option<String> {
        if self.oauth.resource.is_some() {
            return self.oauth.resource.clone();
        }
        let mut url = self.url.clone()?;
        url.set_fragment(None);
        let crate::config::Transport::Http { url: template, .. } = &self.upstream.transport else {
            return None;
        };
        if template.has_secret() {
            url.set_query(None);
            url.set_path("");
        }
        // Without the slash that only the parser has put there (RFC 8707, section 2).
        let text = url.to_string();
        Some(if url.path() == "/" && url.query().is_none() {
            text.trim_end_matches('/').to_owned()
        } else {
            text
        })
    }
}
