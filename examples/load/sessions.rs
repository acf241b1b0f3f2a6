//! Idle legacy sessions, and the memory that they take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::HeaderValue;

use crate::{
    connection::Connection,
    options::{Era, Options},
    process::{Usage, usage},
};

/// What opening sessions came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) opened: usize,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    /// Of each watched process: before, with the sessions open, after their end.
    pub(crate) usage: Vec<[Usage; 3]>,
}

struct Opened {
    connection: Connection,
    sessions: Vec<Option<HeaderValue>>,
    error: Option<String>,
}

/// Opens so many sessions, measures, and ends them unless they are to be kept.
///
/// # Errors
///
/// When the target or a process to watch is not there.
pub(crate) async fn run(options: &Options, count: usize) -> Result<Outcome, String> {
    let options = Options { era: Era::Legacy, ..options.clone() };
    let Some(target) = options.targets.first() else {
        return Err("--url is missing".to_owned());
    };
    let watched = || -> Result<Vec<Usage>, String> {
        options.pids.iter().map(|watched| usage(watched.pid)).collect()
    };
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        connections.push(Connection::bare(&options, target).await?);
    }
    let before = watched()?;
    let start = std::time::Instant::now();
    let left = Arc::new(AtomicUsize::new(count));
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(open(connection, Arc::clone(&left))))
        .collect();
    let mut outcome = Outcome::default();
    let mut opened = Vec::new();
    for task in tasks {
        let mut one = task.await.map_err(|error| format!("a worker failed: {error}"))?;
        outcome.opened += one.sessions.len();
        outcome.note(one.error.take());
        opened.push(one);
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    let during = watched()?;
    if !options.keep {
        let tasks: Vec<_> = opened.into_iter().map(|one| tokio::spawn(close(one))).collect();
        for task in tasks {
            outcome.note(task.await.map_err(|error| format!("a worker failed: {error}"))?);
        }
    }
    let after = watched()?;
    outcome.usage = before
        .into_iter()
        .zip(during)
        .zip(after)
        .map(|((before, during), after)| [before, during, after])
        .collect();
    Ok(outcome)
}

impl Outcome {
    fn note(&mut self, error: Option<String>) {
        if error.is_some() {
            self.errors += 1;
            self.first_error = self.first_error.take().or(error);
        }
    }
}

async fn open(mut connection: Connection, left: Arc<AtomicUsize>) -> Opened {
    let mut sessions = Vec::new();
    let mut error = None;
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        match connection.open_session().await {
            Ok(session) => sessions.push(session),
            Err(reason) => {
                error = Some(reason);
                break;
            }
        }
    }
    Opened { connection, sessions, error }
}

async fn close(mut opened: Opened) -> Option<String> {
    let mut error = None;
    for session in opened.sessions {
        opened.connection.enter(session);
        if let Err(reason) = opened.connection.close_session().await {
            error.get_or_insert(reason);
        }
    }
    error
}
