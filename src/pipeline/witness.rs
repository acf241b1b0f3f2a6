//! What whoever watches is told of the line.

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::troubles::Trouble;
use crate::base::{Name, TenantId};
use crate::upstream::LinkNews;

impl Line {
    /// Hears what becomes of links to upstreams from now on. Whoever is too slow loses some, and
    /// is told so.
    #[must_use]
    pub fn link_news(&self) -> broadcast::Receiver<LinkNews> {
        self.pool.news()
    }

    /// Fires when the process is about to stop: what would go on for ever ends then.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// The name of a tenant that has called.
    #[must_use]
    pub fn tenant_name(&self, id: &TenantId) -> Option<Name> {
        self.find_tenant(id).map(|tenant| tenant.info().name().clone())
    }

    /// What has gone wrong since the start, of one tenant or of everybody.
    #[must_use]
    pub fn troubles(&self, tenant: Option<TenantId>) -> Vec<Trouble> {
        self.troubles.all(tenant)
    }
}
