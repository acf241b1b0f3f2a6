//! Logins that nobody uses are renewed now and then: at many authorization servers a refresh token
//! that lies for long enough is good no more, and somebody would have to log in again.

use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use crate::auth::Auth;
use crate::base::{Name, unix_seconds};
use crate::policy::own_work;

/// Between two looks, about.
const EVERY: Duration = Duration::from_secs(600);
/// Before the first one, about: what is asked for at the start comes first.
const FIRST: Duration = Duration::from_secs(4);
/// Between two renewals, about: a server is not stormed by all tenants at once.
const PAUSE: Duration = Duration::from_millis(250);
/// Seconds after which a login that was not renewed counts as unused.
const UNUSED: u64 = 24 * 60 * 60;
/// Most logins of one look.
const MOST: usize = 256;

/// Half as long to one and a half times as long, so that several proxies do not do it together.
fn about(time: Duration) -> Duration {
    let mut random = [0; 2];
    // Without random bytes they only meet more often.
    let _ = getrandom::fill(&mut random);
    time / 2 + time.mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX))
}

impl Line {
    /// Starts the task that renews logins that nobody uses; it ends with the tasks of the line.
    pub fn keep_logins(self: &Arc<Self>, auth: Auth) {
        let line = self.clone();
        self.tasks.spawn("login upkeep", async move {
            let stop = line.tasks.stop().clone();
            let mut rest = about(FIRST);
            let work = async {
                loop {
                    tokio::time::sleep(rest).await;
                    line.renew_unused(&auth).await;
                    rest = about(EVERY);
                }
            };
            // What is being renewed at that moment has a task of its own.
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn renew_unused(&self, auth: &Auth) {
        let before = unix_seconds().saturating_sub(UNUSED);
        let found = match self.credentials.logins().unused(before, MOST).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the store does not say which logins are unused");
                return;
            }
        };
        for (tenant, upstream) in found {
            if self.renew_one(auth, &tenant, &upstream).await {
                tokio::time::sleep(about(PAUSE)).await;
            }
        }
    }

    /// True when an authorization server was asked.
    async fn renew_one(&self, auth: &Auth, tenant: &Name, upstream: &Name) -> bool {
        let Some(tenant) = auth.known_tenant(tenant).await else { return false };
        let entry = self.seen(&tenant, upstream.as_str()).filter(|entry| entry.oauth.is_some());
        let Some(entry) = entry else { return false };
        match self.credentials.renew_unused(&tenant, own_work(&entry)).await {
            Ok(true) => {
                let tenant = tenant.name();
                tracing::debug!(%tenant, %upstream, "a login that nobody uses was renewed");
                true
            }
            Ok(false) => false,
            // Whoever renews it has told the log.
            Err(_) => true,
        }
    }
}
