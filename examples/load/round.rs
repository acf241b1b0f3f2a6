//! One round of calls against one target.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::sync::{Semaphore, watch};

use crate::{
    connection::{Connection, beginning},
    histogram::Histogram,
    message::Template,
    options::{Amount, Method, Options, Target},
    process::{Usage, forget_peak, usage},
};

/// What a round came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// Nanoseconds of the right answers.
    pub(crate) latency: Histogram,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    /// Calls that were due in an open loop but not begun when the time was over.
    pub(crate) unsent: u64,
    /// Bytes of all answers' bodies.
    pub(crate) bytes: u64,
    /// Of each watched process, before and after.
    pub(crate) usage: Vec<(Usage, Usage)>,
}

/// What the workers of a round share.
struct Shared {
    template: Template,
    /// Number of the next call.
    next: AtomicU64,
    /// Calls with this number or a higher one are not made.
    end: u64,
    stop: AtomicBool,
    /// When calls are due, in an open loop.
    pace: Option<Pace>,
    /// Calls before this number are not counted.
    start: Mutex<Instant>,
    total: Mutex<Round>,
}

struct Pace {
    rate: f64,
    due: Semaphore,
}

impl Round {
    /// Right answers per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latency.count() as f64 / self.seconds.max(1e-9)
    }

    /// CPU milliseconds per call of the watched process at this place.
    pub(crate) fn cpu_ms_per_call(&self, process: usize) -> Option<f64> {
        let (before, after) = self.usage.get(process)?;
        Some((after.cpu_ms - before.cpu_ms) / (self.latency.count().max(1) as f64))
    }
}

/// Loads a target as the options say.
///
/// # Errors
///
/// When the target or a process to watch is not there.
pub(crate) async fn run(options: &Options, target: &Target) -> Result<Round, String> {
    let mut connections = Vec::new();
    let file = options.method == Method::Get;
    for place in 0..options.connections {
        connections.push(match file {
            true => Connection::bare(options, target, place).await?,
            false => Connection::open(options, target, place).await?,
        });
    }
    if let (Some(first), false) = (connections.first_mut(), file) {
        first.greet(options.era).await?;
    }
    if options.warmup > 0 {
        let amount = Amount::Calls(options.warmup);
        (_, connections) = measure(options, connections, amount, None).await?;
    }
    let (round, connections) = measure(options, connections, options.amount, options.rate).await?;
    for mut connection in connections {
        // The round is measured; how its sessions end does not change it.
        let _ = connection.close_session().await;
    }
    Ok(round)
}

async fn measure(
    options: &Options,
    connections: Vec<Connection>,
    amount: Amount,
    rate: Option<f64>,
) -> Result<(Round, Vec<Connection>), String> {
    options.pids.iter().for_each(|watched| forget_peak(&watched.pids));
    let watched = || options.pids.iter().map(|watched| usage(&watched.pids));
    let before: Vec<Usage> = watched().collect::<Result<_, _>>()?;
    let start = Instant::now();
    let shared = Arc::new(Shared {
        template: Template::new(options),
        next: AtomicU64::new(0),
        end: if let Amount::Calls(calls) = amount { calls } else { u64::MAX },
        stop: AtomicBool::new(false),
        pace: rate.map(|rate| Pace { rate, due: Semaphore::new(0) }),
        start: Mutex::new(start),
        total: Mutex::default(),
    });
    let (over, ended) = watch::channel(false);
    let workers: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(work(Arc::clone(&shared), connection, ended.clone())))
        .collect();
    let pacer = shared.pace.is_some().then(|| {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || pace(&shared))
    });
    let mut unsent = 0;
    if let Amount::Time(time) = amount {
        tokio::time::sleep(time).await;
        shared.stop.store(true, Ordering::Relaxed);
        unsent = shared.pace.as_ref().map_or(0, |pace| pace.due.available_permits() as u64);
        // Wakes those that wait for a call to become due.
        let _ = over.send(true);
    }
    let mut connections = Vec::new();
    for worker in workers {
        connections.extend(worker.await.map_err(|error| format!("a worker failed: {error}"))?);
    }
    let seconds = start.elapsed().as_secs_f64();
    shared.stop.store(true, Ordering::Relaxed);
    if let Some(pacer) = pacer {
        pacer.join().map_err(|_| "the pacing thread failed".to_owned())?;
    }
    let after: Vec<Usage> = watched().collect::<Result<_, _>>()?;
    let mut round = shared.total.lock().map_err(|_| "a worker failed".to_owned())?.clone();
    round.seconds = seconds;
    round.unsent = unsent;
    round.usage = before.into_iter().zip(after).collect();
    Ok((round, connections))
}

/// Releases each call at its time. A thread of its own, since the runtime's
/// timer is too coarse: it rounds to milliseconds.
fn pace(shared: &Shared) {
    let Some(pace) = &shared.pace else { return };
    let Ok(start) = shared.start.lock().map(|start| *start) else { return };
    let mut released = 0;
    while !shared.stop.load(Ordering::Relaxed) && released < shared.end {
        let passed = start.elapsed().as_secs_f64();
        let due = ((passed * pace.rate) as u64 + 1).min(shared.end);
        if due > released {
            pace.due.add_permits((due - released) as usize);
            released = due;
        }
        let wait = released as f64 / pace.rate - start.elapsed().as_secs_f64();
        if wait > 0.0 {
            let wait = Duration::from_secs_f64(wait.min(0.1));
            let wait = rustix::thread::Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            // An early return makes one more turn of the loop.
            let _ = rustix::thread::nanosleep(&wait);
        }
    }
}

async fn work(
    shared: Arc<Shared>,
    mut connection: Connection,
    mut ended: watch::Receiver<bool>,
) -> Option<Connection> {
    let start = shared.start.lock().map(|start| *start).ok()?;
    let mut own = Round::default();
    loop {
        if let Some(pace) = &shared.pace {
            tokio::select! {
                permit = pace.due.acquire() => permit.ok()?.forget(),
                _ = ended.changed() => break,
            }
        }
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.end || shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let due = match &shared.pace {
            Some(pace) => start + Duration::from_secs_f64(number as f64 / pace.rate),
            None => Instant::now(),
        };
        match call(&shared.template, &mut connection, number).await {
            Ok(bytes) => {
                let latency = due.elapsed().as_nanos();
                own.latency.record(u64::try_from(latency).unwrap_or(u64::MAX));
                own.bytes += bytes;
            }
            Err(reason) => {
                own.errors += 1;
                own.first_error.get_or_insert(reason);
                if connection.is_closed() {
                    // A target that is gone must not be hammered.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    let _ = connection.reconnect().await;
                }
            }
        }
        // With all calls released, those who still wait for one must end.
        if number + 1 == shared.end
            && let Some(pace) = &shared.pace
        {
            pace.due.add_permits(1 << 16);
        }
    }
    let mut total = shared.total.lock().ok()?;
    total.latency.add(&own.latency);
    total.errors += own.errors;
    total.bytes += own.bytes;
    if total.first_error.is_none() {
        total.first_error = own.first_error;
    }
    drop(total);
    Some(connection)
}

async fn call(
    template: &Template,
    connection: &mut Connection,
    number: u64,
) -> Result<u64, String> {
    let sent = template.fill(number);
    let reply = match sent.get {
        true => connection.get().await?,
        false => connection.post_with(sent.body.clone(), &sent.headers).await?,
    };
    if reply.status != StatusCode::OK {
        return Err(format!("{}: {}", reply.status, beginning(&reply.body)));
    }
    sent.check(&reply.body, reply.is_stream())?;
    Ok(reply.body.len() as u64)
}
