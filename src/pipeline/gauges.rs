//! What the line holds at this moment, for the page of numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::line::Line;
use crate::base::Name;
use crate::credential::LoginState;
use crate::telemetry::meters;
use crate::telemetry::metrics::{Kind, Page};
use crate::upstream::LinkState;

/// The states of a link, in the order in which they are counted here.
const STATES: [&str; 3] = ["starting", "open", "ended"];

impl Line {
    /// Writes every number that the process has. Reads `/proc`: not for a thread that must not
    /// wait.
    pub fn write_metrics(self: &Arc<Self>, page: &mut Page) {
        let names: Vec<Name> = self.config().upstreams.keys().cloned().collect();
        meters().write(page, &names);
        let help = "Open sessions of clients.";
        page.single("mcp_proxy_sessions", Kind::Gauge, help, self.session_count());
        let tenants = self.all_tenants();
        let help = "Tenants that have called since the process began.";
        page.single("mcp_proxy_active_tenants", Kind::Gauge, help, tenants.len());
        let (sessions, listens) = tenants.iter().fold((0, 0), |(sessions, listens), tenant| {
            let more = tenant.outlets().open();
            (sessions + more.0, listens + more.1)
        });
        let help = "Streams on which clients hear news, by what they belong to.";
        page.family("mcp_proxy_streams", Kind::Gauge, help);
        page.sample(&[("kind", "session")], sessions);
        page.sample(&[("kind", "listen")], listens);
        if let Some(audit) = &self.audit {
            let help = "Records of the audit that are not on disk yet.";
            page.single("mcp_proxy_audit_waiting_records", Kind::Gauge, help, audit.waiting());
            let help = "Whether the audit can be written.";
            page.single("mcp_proxy_audit_up", Kind::Gauge, help, u8::from(!audit.is_failing()));
        }
        self.write_link_states(page, &names);
        self.write_logins(page);
    }

    /// Of upstreams where tenants log in.
    fn write_logins(&self, page: &mut Page) {
        let config = self.config();
        let entries = config.upstreams.iter().filter(|(_, entry)| entry.oauth.is_some());
        let names: Vec<&Name> = entries.map(|(name, _)| name).collect();
        let standings = self.credentials.logins().standings();
        let help = "Tenants by how their login at an upstream stands, as far as this process has looked at it.";
        page.family("mcp_proxy_upstream_logins", Kind::Gauge, help);
        for name in &names {
            for state in LoginState::ALL {
                let of = |(at, found): &&(Name, &str)| at == *name && *found == state;
                let count = standings.iter().filter(of).count();
                page.sample(&[("upstream", name.as_str()), ("state", state)], count);
            }
        }
        let help = "Tries to renew a tenant's login, by what came of them.";
        page.family("mcp_proxy_upstream_login_renewals_total", Kind::Counter, help);
        for name in &names {
            for (result, count) in meters().upstream(name).login_renewals() {
                page.sample(&[("upstream", name.as_str()), ("result", result)], count);
            }
        }
    }

    fn write_link_states(&self, page: &mut Page, names: &[Name]) {
        let mut states: BTreeMap<&str, [u32; STATES.len()]> =
            names.iter().map(|name| (name.as_str(), [0; STATES.len()])).collect();
        let links = self.pool.status();
        for (key, state) in &links {
            let Some(counts) = states.get_mut(key.upstream.as_str()) else { continue };
            counts[match state {
                LinkState::Starting => 0,
                LinkState::Open { .. } => 1,
                LinkState::Ended => 2,
            }] += 1;
        }
        let help = "Connections to upstreams (processes, of those with a command), by their state.";
        page.family("mcp_proxy_upstream_links", Kind::Gauge, help);
        for (upstream, counts) in &states {
            for (state, count) in STATES.iter().zip(counts) {
                page.sample(&[("upstream", upstream), ("state", state)], count);
            }
        }
        let mut troubled: BTreeMap<&str, u32> =
            names.iter().map(|name| (name.as_str(), 0)).collect();
        let found = self.pool.troubled();
        for name in &found {
            if let Some(count) = troubled.get_mut(name.as_str()) {
                *count += 1;
            }
        }
        let help = "Tenants for whom an upstream has failed and is tried again after a pause.";
        page.family("mcp_proxy_upstream_troubled_tenants", Kind::Gauge, help);
        for (upstream, count) in &troubled {
            page.sample(&[("upstream", upstream)], count);
        }
    }
}
