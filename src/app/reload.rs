//! The file again, while the proxy serves: everything that can fail comes first, and then what is
//! different is put in place. A file that is refused changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::signal::unix::Signal;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::build::Resolve;
use super::compose::Composer;
use super::stamp::Stamps;
use crate::auth::{Admission, Auth, Declared};
use crate::base::{Tasks, unix_seconds};
use crate::config::{
    Applied, Attempt, Config, Problems, Refusal, Reload, Reloading, SecretSource, Stored, Trigger,
    Warning, succeed,
};
use crate::credential::{Credentials, DeclaredSecrets};
use crate::pipeline::Line;
use crate::server::{Acceptor, TlsAcceptor, acceptor};

/// How often it is looked whether the file is another one. It is read when it has stayed the same
/// for one look: editors write in several steps.
const LOOK: Duration = Duration::from_secs(1);
/// Reloads that a slow listener may be behind.
const NEWS: usize = 16;

/// Reads the configuration file as the start did.
pub type Load = dyn Fn() -> Result<(Config, Vec<Warning>), Problems> + Send + Sync;

/// The file that a configuration came from.
pub struct Source {
    load: Arc<Load>,
    watch: bool,
    seen: Mutex<Stamps>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl Source {
    /// The file at `path`, which `load` reads; call it before the file is read for the first
    /// time. With `watch` a change of the file is enough for a reload.
    #[must_use]
    pub fn new(path: PathBuf, watch: bool, load: Arc<Load>) -> Self {
        Self { load, watch, seen: Mutex::new(Stamps::take(path, None)) }
    }

    fn seen(&self) -> Stamps {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, stamps: Stamps) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
    }
}

/// Reloads. One for the process.
pub struct Reloader {
    source: Source,
    resolve: Arc<Resolve>,
    auth: Auth,
    credentials: Credentials,
    line: Arc<Line>,
    tls: Arc<Acceptor>,
    tasks: Tasks,
    composer: Arc<Composer>,
    last: ArcSwapOption<Attempt>,
    news: broadcast::Sender<Arc<Attempt>>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A file that was read, with everything it names, and found good.
struct Candidate {
    config: Config,
    warnings: Vec<Warning>,
    tls: Option<TlsAcceptor>,
    secrets: DeclaredSecrets,
}

impl Reload for Reloader {
    fn reload(self: Arc<Self>, by: Trigger) -> Reloading {
        let (reloader, tasks) = (self.clone(), self.tasks.clone());
        // A task of its own: what has begun to be put in place is put in place whole.
        let work = tasks.spawn("reload", async move { reloader.run(by).await });
        Box::pin(async move {
            work.await.unwrap_or_else(|_| {
                let reason = "the proxy is stopping".to_owned();
                let outcome = Err(Refusal::Unusable(reason));
                Arc::new(Attempt { at: unix_seconds(), by, outcome })
            })
        })
    }

    fn last(&self) -> Option<Arc<Attempt>> {
        self.last.load_full()
    }

    fn news(&self) -> broadcast::Receiver<Arc<Attempt>> {
        self.news.subscribe()
    }
}

impl Reloader {
    pub(super) fn new(
        source: Source,
        resolve: Arc<Resolve>,
        (auth, credentials, line, composer): (Auth, Credentials, Arc<Line>, Arc<Composer>),
        tls: Arc<Acceptor>,
        tasks: &Tasks,
    ) -> Self {
        // The certificate is watched, too.
        let files = Stamps::follow(source.seen(), line.config().server.tls.as_ref());
        source.note(files);
        Self {
            source,
            resolve,
            auth,
            credentials,
            line,
            tls,
            tasks: tasks.clone(),
            composer,
            last: ArcSwapOption::empty(),
            news: broadcast::Sender::new(NEWS),
        }
    }

    async fn run(&self, by: Trigger) -> Arc<Attempt> {
        let _turn = self.composer.turn.lock().await;
        let outcome = match self.prepare().await {
            Ok((candidate, stored, keys)) => Ok(self.apply(candidate, &stored, keys).await),
            Err(refusal) => Err(refusal),
        };
        tell(by, &outcome);
        let attempt = Arc::new(Attempt { at: unix_seconds(), by, outcome });
        self.last.store(Some(attempt.clone()));
        // Nobody need be listening.
        let _ = self.news.send(attempt.clone());
        attempt
    }

    /// Everything that can fail.
    async fn prepare(&self) -> Result<(Candidate, Stored, Declared), Refusal> {
        let (load, resolve) = (self.source.load.clone(), self.resolve.clone());
        // Before the file is read: what is written during it makes the next look see a change.
        let before = self.source.seen();
        let (outcome, stamps) = {
            let work = move || {
                let stamps = before.again();
                match load() {
                    Ok((config, warnings)) => {
                        let stamps = Stamps::follow(stamps, config.server.tls.as_ref());
                        (candidate(config, warnings, &*resolve), stamps)
                    }
                    Err(problems) => (Err(Refusal::Problems(problems)), stamps),
                }
            };
            let stopping = |_| Refusal::Unusable("the proxy is stopping".to_owned());
            self.tasks.spawn_blocking("reload", work).await.map_err(stopping)?
        };
        self.source.note(stamps);
        let candidate = outcome?;
        let resolve = |source: &SecretSource| (self.resolve)(source);
        let keys = self.auth.read(&Admission::of(&candidate.config), &resolve).await;
        let keys = keys.map_err(|error| Refusal::Unusable(error.to_string()))?;
        let stored = self.composer.stored().await;
        let stored = stored.map_err(|error| Refusal::Unusable(error.to_string()))?;
        Ok((candidate, stored, keys))
    }

    /// Everything that cannot.
    async fn apply(&self, candidate: Candidate, stored: &Stored, keys: Declared) -> Applied {
        let Candidate { config, warnings, tls, secrets } = candidate;
        let old = self.line.config().clone();
        self.composer.set_file(config);
        let (config, difference) = succeed(&old, self.composer.compose(stored));
        let secrets = self.credentials.declare(secrets);
        self.tls.set(tls);
        self.line.reconfigure(Arc::new(config), &difference, &secrets).await;
        // Last, so that a new key never sees the old upstreams.
        self.auth.declare(keys);
        Applied { difference, secrets, warnings }
    }

    /// Waits for what asks for a reload, until `stop`.
    pub(super) async fn watch(self: Arc<Self>, mut hangups: Signal, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        loop {
            let by = tokio::select! {
                () = stop.cancelled() => return,
                hangup = hangups.recv() => match hangup {
                    Some(()) => Some(Trigger::Signal),
                    None => return,
                },
                _ = looks.tick(), if self.source.watch => {
                    self.has_changed(&mut before).await.then_some(Trigger::File)
                }
            };
            if let Some(by) = by {
                self.clone().reload(by).await;
                before = None;
            }
        }
    }

    /// True when the files are not those that were read last, and have been so since `before`.
    async fn has_changed(&self, before: &mut Option<Stamps>) -> bool {
        let seen = self.source.seen();
        let look = { move || (seen.again(), seen) };
        let Ok((current, seen)) = self.tasks.spawn_blocking("file watch", look).await else {
            return false;
        };
        let settled = before.as_ref() == Some(&current);
        let changed = current != seen;
        *before = Some(current);
        changed && settled
    }
}

fn candidate(
    config: Config,
    warnings: Vec<Warning>,
    resolve: &Resolve,
) -> Result<Candidate, Refusal> {
    let tls = config.server.tls.as_ref().map(acceptor).transpose();
    let tls = tls.map_err(|error| Refusal::Unusable(error.to_string()))?;
    let secrets = DeclaredSecrets::read(&config.tenants, &|source| resolve(source));
    Ok(Candidate { config, warnings, tls, secrets })
}

fn tell(by: Trigger, outcome: &Result<Applied, Refusal>) {
    match outcome {
        Ok(Applied { difference, secrets, warnings }) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            let secrets = secrets.len();
            tracing::info!(?by, secrets, "the configuration was read again: {difference}");
            if !difference.restart.is_empty() {
                let keys = difference.restart.join(", ");
                tracing::warn!("{keys}: what the file says now holds after a restart");
            }
        }
        Err(refusal) => {
            match refusal {
                Refusal::Problems(problems) => {
                    for problem in problems {
                        tracing::error!("{problem}");
                    }
                }
                Refusal::Unusable(reason) => tracing::error!("{reason}"),
            }
            tracing::error!(?by, "the configuration is refused; the one before runs on");
        }
    }
}
