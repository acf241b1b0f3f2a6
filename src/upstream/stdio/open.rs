//! Starting a child and finding out how it speaks: the ladder of protocol.md section 2 (R62).

use std::sync::Arc;
use std::time::Duration;

use super::call::{Arrival, Ticket};
use super::link::StdioLink;
use super::owner::Running;
use super::spec::ChildSpec;
use super::stderr::{SHOWN, Tail, clean};
use crate::base::{Tasks, now};
use crate::config::EraSetting;
use crate::upstream::handshake::{
    Verdict, discover, initialize, initialized, judge_discover, judge_initialize,
};
use crate::upstream::link::{Cause, Facts, LinkError, Message, Sink};
use crate::wire::{CapSet, Draft, Era};

/// A server that is silent about `server/discover` for this long is also asked `initialize`.
/// Long, because a cold start by `npx` or `uvx` is silent too; nothing is lost by it, since the
/// late answer still counts.
const PROBE: Duration = Duration::from_secs(10);
/// After both were asked and the probe was answered first: how long a word on `initialize` is
/// waited for.
const SECOND_WORD: Duration = Duration::from_secs(2);

/// Starts the child of `spec` and shakes hands with it. Its events go to `sink`; its tasks
/// belong to `tasks` and end with them.
///
/// # Errors
/// When it cannot be started, ends, refuses, or is not ready within `spec.start`. Nothing of it
/// is left running then.
pub async fn open(spec: ChildSpec, sink: Sink, tasks: &Tasks) -> Result<Arc<StdioLink>, LinkError> {
    let tail = Arc::new(Tail::default());
    let started = now();
    let ladder = Ladder { spec: &spec, sink: &sink, tasks, tail: &tail };
    let climb = Box::pin(ladder.climb());
    let (running, facts) = match tokio::time::timeout(spec.start, climb).await {
        Ok(result) => result.inspect_err(|_| spec.memory.set(None))?,
        Err(_) => {
            let last = tail.last().map(|last| format!("; its last line on standard error: {last}"));
            let detail = format!(
                "it was not ready within {} s{}",
                spec.start.as_secs_f32(),
                last.unwrap_or_default()
            );
            return Err(LinkError::before(&spec.upstream, Cause::Down, detail));
        }
    };
    spec.memory.set(Some(facts.era));
    tracing::info!(
        upstream = %spec.upstream,
        guardian = running.pid,
        revision = facts.revision.as_str(),
        ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "child started"
    );
    // A modern child asks by its answers, which say whose they are.
    let exclusive = spec.exclusive && facts.era == Era::Legacy;
    Ok(Arc::new(StdioLink::new(running, facts, exclusive)))
}

/// What the probe has shown.
enum Probe {
    Modern(Facts),
    Legacy,
    /// Silent so far; the answer may still come.
    Silent(Ticket),
    /// It ended.
    Ended(LinkError),
}

struct Ladder<'a> {
    spec: &'a ChildSpec,
    sink: &'a Sink,
    tasks: &'a Tasks,
    tail: &'a Arc<Tail>,
}

impl Ladder<'_> {
    fn start(&self, again: bool) -> Result<Running, LinkError> {
        Running::start(self.spec, self.sink, self.tasks, self.tail, again)
    }

    fn down(&self, detail: impl AsRef<str>) -> LinkError {
        // Cut here and not before: half a secret is not found.
        let detail = clean(detail.as_ref(), &self.spec.redact);
        let detail: String = detail.chars().take(SHOWN).collect();
        LinkError::before(&self.spec.upstream, Cause::Down, detail)
    }

    async fn climb(&self) -> Result<(Running, Facts), LinkError> {
        let mut running = self.start(false)?;
        let legacy = match self.spec.era {
            EraSetting::Legacy => true,
            EraSetting::Auto => self.spec.memory.get() == Some(Era::Legacy),
            EraSetting::Modern => false,
        };
        let mut late = None;
        if !legacy {
            match self.probe(&running).await? {
                Probe::Modern(facts) => return self.ready(running, facts),
                Probe::Legacy if self.spec.era == EraSetting::Modern => {
                    return Err(self.down(
                        "it does not speak 2026-07-28, but `era = \"modern\"` is set; remove that",
                    ));
                }
                Probe::Legacy => {}
                Probe::Silent(ticket) => late = Some(ticket),
                Probe::Ended(error) => {
                    if self.spec.era == EraSetting::Modern || running.could_not_run() {
                        return Err(error);
                    }
                    // Some legacy servers end at a request before `initialize`. A second child
                    // never sees one.
                    tracing::debug!(upstream = %self.spec.upstream, "it ended at the probe");
                    running = self.start(true)?;
                }
            }
        }
        let facts = match late {
            None => self.legacy(&running).await?,
            Some(ticket) => self.either(&running, ticket).await?,
        };
        self.ready(running, facts)
    }

    fn ready(&self, running: Running, facts: Facts) -> Result<(Running, Facts), LinkError> {
        // From here on its events are passed on; one that ended just before has none.
        let _ = running.shared.era.set(facts.era);
        if !running.shared.is_open() {
            return Err(self.down(running.shared.ended().detail));
        }
        if facts.era == Era::Legacy {
            running.shared.control(initialized());
            if self.spec.shared && self.spec.capabilities != CapSet::NONE {
                running.shared.settle_in();
            }
        }
        Ok((running, facts))
    }

    async fn ask(&self, running: &Running, draft: &Draft) -> Result<Ticket, LinkError> {
        running.shared.begin(draft, (None, CapSet::NONE), self.spec.start, self.spec.start).await
    }

    async fn probe(&self, running: &Running) -> Result<Probe, LinkError> {
        let patience = match self.spec.era {
            EraSetting::Modern => self.spec.start,
            _ => PROBE.min(self.spec.start / 2),
        };
        let mut again = true;
        loop {
            let mut ticket = match self.ask(running, &discover(CapSet::NONE)).await {
                Ok(ticket) => ticket,
                Err(error) => return Ok(Probe::Ended(self.not_started(error))),
            };
            let message = match tokio::time::timeout(patience, answer(&mut ticket)).await {
                Err(_) => return Ok(Probe::Silent(ticket)),
                Ok(Err(error)) => return Ok(Probe::Ended(self.not_started(error))),
                Ok(Ok(message)) => message,
            };
            match judge_discover(&message) {
                Verdict::Modern(facts) => return Ok(Probe::Modern(facts)),
                Verdict::Again(_) if again => again = false,
                Verdict::Refused(reason) | Verdict::Again(reason) => return Err(self.down(reason)),
                Verdict::Legacy => return Ok(Probe::Legacy),
            }
        }
    }

    /// Whatever failed here, the upstream was never ready and has done nothing.
    fn not_started(&self, error: LinkError) -> LinkError {
        match error.cause {
            Cause::Gone | Cause::Timeout => self.down(error.detail),
            cause => LinkError::before(&self.spec.upstream, cause, error.detail),
        }
    }

    async fn legacy(&self, running: &Running) -> Result<Facts, LinkError> {
        let draft = initialize(self.spec.capabilities);
        let mut ticket =
            self.ask(running, &draft).await.map_err(|error| self.not_started(error))?;
        let message = answer(&mut ticket).await.map_err(|error| self.not_started(error))?;
        judge_initialize(&message).map_err(|reason| self.down(reason))
    }

    /// Both questions are open. `initialize` was the later word, so a server that takes it is
    /// spoken to as it then expects; one that only answers the probe is modern.
    async fn either(&self, running: &Running, mut late: Ticket) -> Result<Facts, LinkError> {
        let facts = self.first_of(running, &mut late).await;
        late.forget();
        facts
    }

    async fn first_of(&self, running: &Running, late: &mut Ticket) -> Result<Facts, LinkError> {
        let modern = async {
            match answer(late).await.map(|message| judge_discover(&message)) {
                Ok(Verdict::Modern(facts)) => facts,
                _ => std::future::pending().await,
            }
        };
        let (mut legacy, mut modern) = (Box::pin(self.legacy(running)), Box::pin(modern));
        tokio::select! {
            biased;
            facts = &mut legacy => match facts {
                Ok(facts) => Ok(facts),
                Err(error) => tokio::time::timeout(SECOND_WORD, modern).await.map_err(|_| error),
            },
            modern = &mut modern => match tokio::time::timeout(SECOND_WORD, legacy).await {
                Ok(Ok(facts)) => Ok(facts),
                _ => Ok(modern),
            },
        }
    }
}

/// The response; what comes before it is nobody's.
async fn answer(ticket: &mut Ticket) -> Result<Message, LinkError> {
    loop {
        if let Arrival::End(message) = ticket.next().await? {
            return Ok(message);
        }
    }
}
