//! All counts of the process, and the page that shows them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::cell::{Counter, Gauge};
use super::connector::ConnectorMeter;
use super::page::{Kind, Page};
use super::process::{process, trees};
use super::upstream::{LinkEnd, UpstreamMeter};
use crate::base::{Name, unix_millis};
use crate::wire::Method;

/// Statuses of HTTP, 100 to 599.
const STATUSES: usize = 500;
/// Reasons why somebody is not let in, at most.
const DENIALS: usize = 8;

/// What a request over HTTP asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The doors for clients.
    Mcp,
    /// The API, `/health` and `/metrics`.
    Api,
}

impl Surface {
    const ALL: [Self; 2] = [Self::Mcp, Self::Api];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Api => "api",
        }
    }
}

/// The counts of the process.
#[derive(Debug)]
pub struct Meters {
    /// Open connections of clients.
    pub connections: Gauge,
    /// Connections that were taken.
    pub accepted: Counter,
    /// Connections that were refused because there were too many.
    pub turned_away: Counter,
    /// Spans that a collector has taken.
    pub spans_sent: Counter,
    /// Spans that found no place in the queue.
    pub spans_crowded: Counter,
    /// Spans that no collector took.
    pub spans_failed: Counter,
    /// Bodies of calls that are kept.
    pub bodies_kept: Counter,
    /// Bodies of calls that were to be kept, and found no place in the queue.
    pub bodies_dropped: Counter,
    /// Our OAuth server.
    pub connector: ConnectorMeter,
    replies: [[Counter; STATUSES]; Surface::ALL.len()],
    denials: [Counter; DENIALS],
    own: UpstreamMeter,
    upstreams: RwLock<BTreeMap<Name, Arc<UpstreamMeter>>>,
    words: OnceLock<Words>,
    started: AtomicU64,
}

#[derive(Debug)]
struct Words {
    outcomes: Vec<&'static str>,
    denials: Vec<&'static str>,
}

static METERS: Meters = Meters::new();

/// The counts of the process.
#[must_use]
pub fn meters() -> &'static Meters {
    &METERS
}

impl Meters {
    const fn new() -> Self {
        Self {
            connections: Gauge::new(),
            accepted: Counter::new(),
            turned_away: Counter::new(),
            spans_sent: Counter::new(),
            spans_crowded: Counter::new(),
            spans_failed: Counter::new(),
            bodies_kept: Counter::new(),
            bodies_dropped: Counter::new(),
            connector: ConnectorMeter::new(),
            replies: [const { [const { Counter::new() }; STATUSES] }; Surface::ALL.len()],
            denials: [const { Counter::new() }; DENIALS],
            own: UpstreamMeter::new(),
            upstreams: RwLock::new(BTreeMap::new()),
            words: OnceLock::new(),
            started: AtomicU64::new(0),
        }
    }

    /// Says the words for outcomes and denials, by their places, and that the process has begun.
    pub fn tell(
        &self,
        outcomes: impl IntoIterator<Item = &'static str>,
        denials: impl IntoIterator<Item = &'static str>,
    ) {
        let outcomes = outcomes.into_iter().collect();
        // Who begins again says the same.
        let _ = self.words.set(Words { outcomes, denials: denials.into_iter().collect() });
        self.started.store(unix_millis(), Ordering::Relaxed);
    }

    /// The counts of an upstream, to be kept beside whatever is of it: this looks it up by name.
    #[must_use]
    pub fn upstream(&self, name: &Name) -> Arc<UpstreamMeter> {
        let found =
            self.upstreams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        found.unwrap_or_else(|| {
            let mut all = self.upstreams.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(name.clone()).or_default().clone()
        })
    }

    /// A request has ended that no upstream had.
    pub fn end_own(
        &self,
        method: Option<&Method>,
        outcome: usize,
        took: Option<Duration>,
        bytes: (u64, u64),
    ) {
        self.own.end(method, outcome, took, bytes);
    }

    /// Requests of a method that have ended, whoever had them, and those of them whose outcome is
    /// one that `fails` names by its place.
    #[must_use]
    pub fn ended_of(&self, method: &Method, fails: impl Fn(usize) -> bool) -> (u64, u64) {
        let upstreams = self.upstreams.read().unwrap_or_else(PoisonError::into_inner);
        let all = upstreams.values().map(|meter| meter.ended_of(method, &fails));
        all.fold(self.own.ended_of(method, &fails), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// When the process began, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Somebody was not let in.
    pub fn deny(&self, denial: usize) {
        self.denials[denial.min(DENIALS - 1)].one();
    }

    /// A request was replied to with this status of HTTP.
    pub fn replied(&self, surface: Surface, status: u16) {
        let status = usize::from(status).saturating_sub(100).min(STATUSES - 1);
        self.replies[surface as usize][status].one();
    }

    /// Writes everything that is counted here. Only `upstreams` are shown, also those of which
    /// nothing was counted yet. Reads `/proc`: not for a thread that must not wait.
    pub fn write(&self, page: &mut Page, upstreams: &[Name]) {
        let (counter, gauge) = (Kind::Counter, Kind::Gauge);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.family("mcp_proxy_build_info", gauge, "The version that runs; the value is 1.");
        page.sample(&version, 1);
        #[expect(clippy::cast_precision_loss, reason = "a float is what is shown")]
        let started = self.started() as f64 / 1e3;
        process(page, started);

        let help = "Open connections of clients.";
        page.single("mcp_proxy_open_connections", gauge, help, self.connections.get());
        page.family(
            "mcp_proxy_connections_total",
            counter,
            "Connections of clients, by what became of them.",
        );
        page.sample(&[("result", "accepted")], self.accepted.get());
        page.sample(&[("result", "refused")], self.turned_away.get());
        let help = "Replies over HTTP, by what was asked and their status.";
        page.family("mcp_proxy_http_replies_total", counter, help);
        for surface in Surface::ALL {
            for (code, count) in (100u16..).zip(&self.replies[surface as usize]) {
                let count = count.get();
                // The first increase of these would not be seen otherwise.
                if count > 0 || matches!(code, 200 | 401 | 403 | 429) {
                    let code = code.to_string();
                    page.sample(&[("surface", surface.as_str()), ("code", &code)], count);
                }
            }
        }
        if let Some(words) = self.words.get() {
            page.family(
                "mcp_proxy_denials_total",
                counter,
                "Requests without a good key, by what was wrong with it.",
            );
            for (word, count) in words.denials.iter().zip(&self.denials) {
                page.sample(&[("reason", word)], count.get());
            }
        }
        page.family("mcp_proxy_trace_spans_total", counter, "Spans, by what became of them.");
        page.sample(&[("result", "sent")], self.spans_sent.get());
        page.sample(&[("result", "crowded")], self.spans_crowded.get());
        page.sample(&[("result", "failed")], self.spans_failed.get());
        let help = "Bodies of calls that were to be kept, by what became of them.";
        page.family("mcp_proxy_bodies_total", counter, help);
        page.sample(&[("result", "kept")], self.bodies_kept.get());
        page.sample(&[("result", "dropped")], self.bodies_dropped.get());
        self.connector.write(page);

        let all: Vec<(&str, Arc<UpstreamMeter>)> =
            upstreams.iter().map(|name| (name.as_str(), self.upstream(name))).collect();
        self.write_requests(page, &all);
        write_links(page, &all);
    }

    /// What was asked for; the proxy itself, which has lists and handshakes, is the upstream
    /// without a name.
    fn write_requests(&self, page: &mut Page, upstreams: &[(&str, Arc<UpstreamMeter>)]) {
        let words = self.words.get().map_or(&[][..], |words| &words.outcomes);
        let all = || {
            let upstreams = upstreams.iter().map(|(name, meter)| (*name, &**meter));
            upstreams.chain([("", &self.own)])
        };
        let help = "Requests that have ended, by the upstream that had them (none: the proxy itself), method and outcome.";
        page.family("mcp_proxy_requests_total", Kind::Counter, help);
        for (upstream, meter) in all() {
            for (method, outcome, count) in meter.requests(!upstream.is_empty()) {
                let Some(outcome) = words.get(outcome) else { continue };
                page.sample(
                    &[("upstream", upstream), ("method", method), ("outcome", outcome)],
                    count,
                );
            }
        }
        let help = "How long requests took until the end of their answers, by upstream.";
        page.family("mcp_proxy_request_duration_seconds", Kind::Histogram, help);
        for (upstream, meter) in all() {
            page.histogram(&[("upstream", upstream)], &meter.duration);
        }
        let help = "Requests under way at an upstream.";
        page.family("mcp_proxy_requests_in_flight", Kind::Gauge, help);
        for (upstream, meter) in upstreams {
            page.sample(&[("upstream", upstream)], meter.in_flight.get());
        }
        for (at, name, help) in [
            (0, "mcp_proxy_request_bytes_total", "Bytes of requests, by upstream."),
            (1, "mcp_proxy_response_bytes_total", "Bytes of answers, by upstream."),
        ] {
            page.family(name, Kind::Counter, help);
            for (upstream, meter) in all() {
                page.sample(&[("upstream", upstream)], meter.bytes[at].get());
            }
        }
    }
}

/// What is open to upstreams, and what runs.
fn write_links(page: &mut Page, upstreams: &[(&str, Arc<UpstreamMeter>)]) {
    let help = "Connections to upstreams that were begun (processes, of those with a command), by how that went.";
    page.family("mcp_proxy_upstream_starts_total", Kind::Counter, help);
    for (upstream, meter) in upstreams {
        for (count, result) in meter.starts.iter().zip(["ok", "failed"]) {
            page.sample(&[("upstream", upstream), ("result", result)], count.get());
        }
    }
    let help = "Connections to upstreams that have ended, by the reason.";
    page.family("mcp_proxy_upstream_ends_total", Kind::Counter, help);
    for (upstream, meter) in upstreams {
        for reason in LinkEnd::ALL {
            let labels = [("upstream", *upstream), ("reason", reason.as_str())];
            page.sample(&labels, meter.ends[reason as usize].get());
        }
    }
    let help = "Times that the lists of an upstream were read, by how that went.";
    page.family("mcp_proxy_list_reads_total", Kind::Counter, help);
    for (upstream, meter) in upstreams {
        for (count, result) in meter.lists.iter().zip(["ok", "failed"]) {
            page.sample(&[("upstream", upstream), ("result", result)], count.get());
        }
    }
    let trees = trees(upstreams.iter().map(|(name, meter)| (*name, meter.children())));
    let help = "Processes that run for an upstream, with those that they have started.";
    page.family("mcp_proxy_upstream_processes", Kind::Gauge, help);
    for (upstream, (count, _)) in &trees {
        page.sample(&[("upstream", upstream)], count);
    }
    let help = "Resident memory of those processes in bytes.";
    page.family("mcp_proxy_upstream_resident_memory_bytes", Kind::Gauge, help);
    for (upstream, (_, bytes)) in &trees {
        page.sample(&[("upstream", upstream)], bytes);
    }
}
