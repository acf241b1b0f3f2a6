//! Tasks in the filter of `subscriptions/listen`: their upstreams are listened to, too.

use std::sync::Arc;

use crate::bridge::Whose;
use crate::pipeline::line::Line;
use crate::pipeline::outlet::Filter;
use crate::pipeline::scope::narrow;
use crate::pipeline::serve::Posting;
use crate::pipeline::tenant::Tenant;
use crate::upstream::Lease;
use crate::wire::Era;

impl Line {
    /// Puts the tasks that can be followed into a filter; gives the links that have to listen for
    /// them. Others are left out of the acknowledgement (R25): a task may always be asked for.
    pub(in crate::pipeline) async fn watch_tasks(
        self: &Arc<Self>,
        posting: &Posting,
        ids: impl Iterator<Item = &str>,
        filter: &mut Filter,
    ) -> Vec<Lease> {
        let mut links: Vec<Lease> = Vec::new();
        for id in ids {
            let Ok(handle) = self.open_task(&posting.principal, &posting.door, id) else {
                continue;
            };
            let Some(upstream) = self.entry(handle.upstream.as_str()) else {
                continue;
            };
            let narrow = narrow(&posting.principal);
            if !self.tenant(&posting.principal).policy().reaches(
                &posting.door,
                narrow,
                &upstream.name,
            ) {
                continue;
            }
            if let Whose::Upstream(_) = handle.whose
                && !links.iter().any(|lease| lease.key().upstream == upstream.name)
            {
                let house = Box::pin(self.house_link(&posting.principal, &upstream)).await;
                let Ok((lease, _)) = house else { continue };
                // A principal's own process listens for no one else.
                if lease.facts().era != Era::Modern || lease.key().principal.is_some() {
                    continue;
                }
                links.push(lease);
            }
            filter.tasks.push((id.to_owned(), handle));
        }
        links
    }

    /// Somebody who followed tasks of an upstream is gone.
    pub(in crate::pipeline) fn unfollow(&self, tenant: &Tenant, upstream: &str) {
        let Some(upstream) = self.entry(upstream) else { return };
        if let Some(lease) = self.open_house_link(tenant.info(), &upstream, None) {
            lease.listen(tenant.interest(&upstream.name));
        }
    }
}
