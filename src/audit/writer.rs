//! The one task that writes: gathers for a moment, makes records of what has come, and puts them
//! into the store in one transaction with the usage.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::{Denial, Event, NOBODY, Outcome, Ran};
use super::record::{Record, Written, encode};
use super::redact;
use super::sink::{Inner, News};
use super::text::Memory;
use crate::base::{KeyId, Map, Name, TenantId, now, unix_millis};
use crate::store::{AuditBatch, AuditEntry, AuditHead, Usage, UsageRow};

/// How long the first event waits for others.
const GATHER: Duration = Duration::from_millis(50);
/// Most records of one transaction.
const MOST: usize = 2_048;
/// Who was not let in is told once in so long.
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A store that took nothing is tried again after this, and then after longer.
const AGAIN: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// How often retention looks, and how many records of a tenant it takes at a time.
const HOUR: Duration = Duration::from_secs(3_600);
const PRUNED: u64 = 2_000;
const DAY_MS: u64 = 86_400_000;

/// Writes until the stop, and then what is left.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let mut denied_due: Option<Instant> = None;
    loop {
        let stopping = stop.is_cancelled();
        if !stopping {
            tokio::select! {
                () = inner.queue.woken() => {}
                () = sleep_until(denied_due) => {}
                () = stop.cancelled() => {}
            }
        }
        if denied_due.is_none() && inner.queue.has_denied() {
            denied_due = Some(now() + MINUTE);
        }
        if stop.is_cancelled() || denied_due.is_some_and(|due| due <= now()) {
            denied_due = None;
            tell_denied(&inner);
        }
        if let (true, true) = inner.queue.waits() {
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = inner.queue.woken() => {}
                () = stop.cancelled() => {}
            }
        }
        let events = inner.queue.take();
        if !events.is_empty() {
            write(&inner, events).await;
        }
        if stopping && inner.queue.close() {
            return;
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Makes a record of each count of those who were not let in.
fn tell_denied(inner: &Inner) {
    let Ok(name) = Name::new("-") else { return };
    for (denial, count) in Denial::ALL.into_iter().zip(inner.queue.take_denied()) {
        if count > 0 {
            let mut event = Event::new(unix_millis(), NOBODY, name.clone(), None);
            event.method = "auth".into();
            event.target = Some(denial.as_str().into());
            (event.outcome, event.ran, event.count) = (Outcome::Refused, Ran::No, count);
            inner.queue.push(Box::new(event));
        }
    }
}

#[expect(clippy::vec_box, reason = "an event is handed on by its pointer")]
async fn write(inner: &Arc<Inner>, mut events: Vec<Box<Event>>) {
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(MOST));
        let some = std::mem::replace(&mut events, rest);
        let count = some.len();
        let this = inner.clone();
        let made = inner.tasks.spawn_blocking("audit records", move || make(&this, some)).await;
        if let Ok((batch, told)) = made {
            append(inner, &Arc::new(batch)).await;
            for told in told {
                // Nobody waits any more when it took too long.
                let _ = told.send(());
            }
        } else {
            tracing::error!(count, "records could not be made and are lost");
        }
        inner.queue.written(count);
    }
}

type Told = Vec<tokio::sync::oneshot::Sender<()>>;

/// Records and usage of some events.
#[expect(clippy::vec_box, reason = "an event is handed on by its pointer")]
fn make(inner: &Inner, mut events: Vec<Box<Event>>) -> (AuditBatch, Told) {
    let mut batch = AuditBatch { at: unix_millis(), ..AuditBatch::default() };
    let mut told = Vec::new();
    for (at, event) in events.iter_mut().enumerate() {
        if event.heard.is_some() {
            batch.bodies.extend(inner.bodies.entry(event, at));
        }
        told.extend(event.on_disk.take());
    }
    // Borrowed from the events: most of a batch says the same as the one before.
    let mut memory = Memory::default();
    let mut usage: Map<Place<'_>, Usage> = Map::default();
    let mut names: Map<TenantId, &Name> = Map::default();
    batch.entries.reserve_exact(events.len());
    for event in &events {
        let record = encode(event, &inner.digests, &mut memory);
        batch.entries.push(AuditEntry { tenant: event.tenant, record });
        if event.tenant != NOBODY {
            let used = Usage {
                calls: event.count,
                errors: if event.outcome.is_error() { event.count } else { 0 },
                bytes_in: event.bytes_in,
                bytes_out: event.bytes_out,
                ms: event.ms,
            };
            usage.entry(Place::of(event)).or_default().add(&used);
        }
        names.entry(event.tenant).or_insert(&event.tenant_name);
    }
    batch.names = names.into_iter().map(|(id, name)| (id, name.as_str().into())).collect();
    if !batch.bodies.is_empty() {
        // The section may have just gone; what is there expires all the same.
        let rules = inner.bodies.rules();
        batch.bodies_most = rules.map_or(u64::MAX, |rules| rules.max_total);
    }
    batch.usage = usage.into_iter().map(Place::row).collect();
    (batch, told)
}

/// What usage is counted for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place<'a> {
    tenant: TenantId,
    day: u64,
    key: Option<&'a KeyId>,
    upstream: Option<&'a Name>,
    method: &'a str,
    tool: &'a str,
}

impl<'a> Place<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            tenant: event.tenant,
            day: event.at / DAY_MS,
            key: event.key.as_ref(),
            upstream: event.upstream.as_ref(),
            method: &event.method,
            tool: event.original.as_deref().filter(|_| event.is_tool).unwrap_or_default(),
        }
    }

    fn row((place, sum): (Self, Usage)) -> UsageRow {
        UsageRow {
            tenant: place.tenant,
            day: place.day,
            key: place.key.map_or_else(String::new, ToString::to_string),
            upstream: place.upstream.map_or_else(String::new, ToString::to_string),
            method: redact::plain(place.method, redact::SHORT).into(),
            tool: redact::name(place.tool).into(),
            sum,
        }
    }
}

/// Puts a batch into the store, however often it takes.
async fn append(inner: &Inner, batch: &Arc<AuditBatch>) {
    let mut pause = AGAIN;
    loop {
        match inner.store.append(batch.clone(), inner.chain.clone()).await {
            Ok((heads, last)) => {
                if inner.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit is written again");
                }
                tell(inner, batch, heads, last);
                return;
            }
            Err(error) => {
                if !inner.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, waiting = inner.queue.left(), "the audit cannot be written");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

/// Tells those who listen.
fn tell(inner: &Inner, batch: &AuditBatch, heads: Vec<AuditHead>, last: u64) {
    if inner.news.receiver_count() == 0 {
        return;
    }
    let mut seqs: Map<TenantId, u64> = heads.iter().map(|head| (head.tenant, head.last)).collect();
    let mut records = Vec::with_capacity(batch.entries.len());
    for (entry, back) in batch.entries.iter().rev().zip(0..) {
        let Some(seq) = seqs.get_mut(&entry.tenant) else { continue };
        if let Some(record) = Record::decode(&entry.record) {
            let (id, tenant) = (last.saturating_sub(back), entry.tenant);
            records.push(Written { id, tenant, seq: *seq, at: batch.at, record });
        }
        *seq = seq.saturating_sub(1);
    }
    records.reverse();
    // The last one may have left just now.
    let _ = inner.news.send(Arc::new(News { records, heads }));
}

/// Removes bodies that have expired until the stop, also those from when the file wanted some.
pub(super) async fn sweep(inner: Arc<Inner>, stop: CancellationToken) {
    loop {
        let retention = inner.bodies.rules().map(|rules| rules.retention);
        let now = unix_millis();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let before = retention.map_or(0, |retention| now.saturating_sub(millis(retention)));
        match inner.store.sweep_bodies(now, before).await {
            Ok(0) => {}
            Ok(gone) => tracing::debug!(gone, "bodies have expired and are gone"),
            Err(error) => tracing::warn!(%error, "expired bodies are not removed yet"),
        }
        let pause = retention.map_or(MINUTE, |retention| (retention / 4).clamp(SECOND, MINUTE));
        tokio::select! {
            () = stop.cancelled() => return,
            () = inner.swept.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Takes what is older than `retention` until the stop.
pub(super) async fn retain(inner: Arc<Inner>, retention: Duration, stop: CancellationToken) {
    let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    let mut every = tokio::time::interval(HOUR);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        loop {
            let before = unix_millis().saturating_sub(retention);
            match inner.store.prune(before, PRUNED, inner.chain.clone()).await {
                Ok(0) => break,
                Ok(gone) => tracing::debug!(gone, "records are older than `retention` and gone"),
                Err(error) => {
                    tracing::warn!(%error, "old records of the audit are not removed yet");
                    break;
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }
}
