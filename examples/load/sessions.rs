//! What is opened and left alone, and what it takes: legacy sessions, their streams, connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;

use crate::{
    connection::{Connection, beginning},
    message::Template,
    options::{Era, Held, Options, Target},
    process::{Usage, usage},
};

/// What opening came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) opened: usize,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    /// Of each watched process: before, with all open, after their end.
    pub(crate) usage: Vec<[Usage; 3]>,
    /// Of each watched process: CPU seconds per second in the second half of the time of holding.
    pub(crate) idle_cpu: Vec<f64>,
}

/// Where a worker's connections come from.
struct Source {
    options: Options,
    target: Target,
    held: Held,
    left: AtomicUsize,
    template: Template,
}

/// A session's place among all, and its id, where the server gives one.
type Session = (usize, Option<HeaderValue>);

#[derive(Default)]
struct Opened {
    /// Each with the sessions that were opened over it, and their places among all.
    connections: Vec<(Connection, Vec<Session>)>,
    streams: Vec<Incoming>,
    error: Option<String>,
}

/// Opens so many, measures, and ends them unless they are to be kept.
///
/// # Errors
///
/// When the target or a process to watch is not there.
pub(crate) async fn run(options: &Options, held: Held, count: usize) -> Result<Outcome, String> {
    let era = if held == Held::Connections { options.era } else { Era::Legacy };
    let options = Options { era, ..options.clone() };
    let Some(target) = options.targets.first().cloned() else {
        return Err("--url is missing".to_owned());
    };
    raise_open_files();
    let watched = || -> Result<Vec<Usage>, String> {
        options.pids.iter().map(|watched| usage(&watched.pids)).collect()
    };
    let mut ready = Vec::new();
    for place in 0..options.connections {
        // Those of sessions are no part of what a session takes.
        let few = held == Held::Sessions;
        ready.push(match few {
            true => Some(Connection::bare(&options, &target, place).await?),
            false => None,
        });
    }
    let before = watched()?;
    let start = std::time::Instant::now();
    let source = Arc::new(Source {
        target,
        held,
        left: AtomicUsize::new(count),
        template: Template::new(&options),
        options: options.clone(),
    });
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|connection| {
            let source = Arc::clone(&source);
            tokio::spawn(async move {
                let mut opened = Opened::default();
                opened.error = source.open(connection, &mut opened).await.err();
                opened
            })
        })
        .collect();
    let mut outcome = Outcome::default();
    let mut opened = Vec::new();
    for task in tasks {
        let mut one = task.await.map_err(|error| format!("a worker failed: {error}"))?;
        outcome.opened += match held {
            Held::Sessions => one.connections.iter().map(|(_, sessions)| sessions.len()).sum(),
            Held::Streams => one.streams.len(),
            Held::Connections => one.connections.len(),
        };
        outcome.note(one.error.take());
        opened.push(one);
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    if let Some(hold) = options.hold {
        // What was begun with the opening comes to rest in the first half.
        tokio::time::sleep(hold / 2).await;
        let first = watched()?;
        tokio::time::sleep(hold / 2).await;
        let second = watched()?;
        let share = |(first, second): (&Usage, &Usage)| {
            (second.cpu_ms - first.cpu_ms) / (hold.as_secs_f64() * 1000.0 / 2.0)
        };
        outcome.idle_cpu = first.iter().zip(&second).map(share).collect();
    }
    let during = watched()?;
    if !options.keep {
        let closing = |one| {
            let keys = options.keys.clone();
            tokio::spawn(async move { close(one, &keys).await })
        };
        let tasks: Vec<_> = opened.into_iter().map(closing).collect();
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

impl Source {
    /// The place of the next one, while there is one.
    fn next(&self) -> Option<usize> {
        let take = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()
    }

    async fn connect(&self, place: usize) -> Result<Connection, String> {
        Connection::bare(&self.options, &self.target, place).await
    }

    async fn open(
        &self,
        connection: Option<Connection>,
        opened: &mut Opened,
    ) -> Result<(), String> {
        match self.held {
            Held::Sessions => {
                let mut sessions = Vec::new();
                let mut connection = connection.ok_or("there is no connection")?;
                let mut failed = Ok(());
                while failed.is_ok()
                    && let Some(place) = self.next()
                {
                    connection.use_key(&self.options.keys, place);
                    match connection.open_session().await {
                        Ok(session) => sessions.push((place, session)),
                        Err(reason) => failed = Err(reason),
                    }
                }
                opened.connections.push((connection, sessions));
                failed
            }
            Held::Streams => {
                while let Some(place) = self.next() {
                    let mut connection = self.connect(place).await?;
                    connection.use_key(&self.options.keys, place);
                    let session = connection.open_session().await?;
                    opened.streams.push(connection.stream().await?);
                    opened.connections.push((connection, vec![(place, session)]));
                }
                Ok(())
            }
            Held::Connections => {
                while let Some(place) = self.next() {
                    let mut connection = self.connect(place).await?;
                    let sent = self.template.fill(place as u64);
                    let reply = connection.post_with(sent.body.clone(), &sent.headers).await?;
                    if reply.status != StatusCode::OK {
                        return Err(format!("{}: {}", reply.status, beginning(&reply.body)));
                    }
                    sent.check(&reply.body, reply.is_stream())?;
                    opened.connections.push((connection, Vec::new()));
                }
                Ok(())
            }
        }
    }
}

async fn close(opened: Opened, keys: &[HeaderValue]) -> Option<String> {
    let mut error = None;
    // A connection with a stream takes no further request.
    let streams = !opened.streams.is_empty();
    drop(opened.streams);
    for (mut connection, sessions) in opened.connections {
        if streams && let Err(reason) = connection.reconnect().await {
            error.get_or_insert(reason);
        }
        for (place, session) in sessions {
            connection.use_key(keys, place);
            connection.enter(session);
            if let Err(reason) = connection.close_session().await {
                error.get_or_insert(reason);
            }
        }
    }
    error
}

/// Each connection is an open file here, too.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where it is not permitted, connecting says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
