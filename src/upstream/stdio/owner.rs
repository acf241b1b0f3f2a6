//! The owner of one guardian: starts it, waits for its end, and sees to it that it ends.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::guardian::{GRACE, TERM};
use super::launch::{self, NOT_FOUND, NOT_RUN};
use super::logs::Log;
use super::output::Output;
use super::shared::{End, Shared, Ways};
use super::spec::{ChildSpec, MARK};
use super::stderr::{self, Tail};
use super::writer::Pen;
use super::{table, writer};
use crate::base::Tasks;
use crate::telemetry::meters;
use crate::upstream::link::{Cause, LinkError, Sink};

/// How long the last output of an ended child is waited for: normally no time at all.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the guardian may take beyond the child's own time.
const SLACK: Duration = Duration::from_secs(2);
/// How often what is left of a tree without a guardian is looked for.
const SWEEPS: u32 = 100;

/// A running child. Dropping it ends the child and its tree.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) tail: Arc<Tail>,
    /// The guardian's process id.
    pub(super) pid: u32,
    exit: Arc<OnceLock<i32>>,
    /// Set when nothing of it is left.
    gone: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Running {
    /// Starts the child; `again` when the one before ended at a question that some do not know.
    pub(super) fn start(
        spec: &ChildSpec,
        sink: &Sink,
        tasks: &Tasks,
        tail: &Arc<Tail>,
        again: bool,
    ) -> Result<Self, LinkError> {
        let down = |detail: String| LinkError::before(&spec.upstream, Cause::Down, detail);
        let mark = random_mark().map_err(|error| down(format!("no random bytes: {error}")))?;
        let mut child = launch::guardian(spec, &mark).spawn().map_err(|error| {
            let exe = spec.launcher.exe().display();
            down(format!("`{exe}` could not be started: {error}"))
        })?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id());
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) = streams else {
            return Err(down("its standard streams are not there".to_owned()));
        };
        let pipes = stdin.into_owned_fd().and_then(Sender::from_owned_fd).and_then(|input| {
            Ok((Arc::new(input), stdout.into_owned_fd().and_then(Receiver::from_owned_fd)?))
        });
        let (stdin, stdout) = pipes.map_err(|error| down(format!("its pipes: {error}")))?;
        let (queue, queued) = mpsc::channel(writer::QUEUE);
        let (control, controlled) = mpsc::channel(writer::CONTROL);
        let pen = Arc::new(Pen::new(&stdin));
        let shared = Arc::new(Shared::new(
            spec.upstream.clone(),
            Arc::clone(&spec.redact),
            (spec.capabilities, spec.cancels),
            Ways { queue, control, direct: Some(Arc::clone(&pen)) },
            Arc::clone(sink),
            tasks.clone(),
        ));
        let output = Output { shared: Arc::clone(&shared), input: Arc::downgrade(&stdin) };
        let stop = shared.stop.clone();
        tasks.spawn("stdio writer", writer::write(stdin, pen, queued, controlled, stop));
        let reader = tasks.spawn("stdio reader", output.read(stdout));
        let log = (Arc::clone(tail), spec.log.clone());
        let log = stderr::read(stderr, log, spec.upstream.clone(), Arc::clone(&spec.redact));
        let log = tasks.spawn("stdio stderr", log);
        meters().upstream(&spec.upstream).child_began(pid);
        if let Some(log) = &spec.log {
            log.began(pid, again);
        }
        let exit = Arc::new(OnceLock::new());
        let gone = CancellationToken::new();
        let owner = Owner {
            shared: Arc::clone(&shared),
            tail: Arc::clone(tail),
            exit: Arc::clone(&exit),
            log: spec.log.clone(),
            gone: gone.clone(),
            mark,
            pid,
        };
        tasks.spawn("stdio owner", owner.run(child, reader, log));
        Ok(Self { shared, tail: Arc::clone(tail), pid, exit, gone })
    }

    /// True when the program itself could not be run, so that another try would end the same.
    pub(super) fn could_not_run(&self) -> bool {
        self.exit.get().is_some_and(|code| [NOT_FOUND, NOT_RUN].map(i32::from).contains(code))
    }

    /// Ends the child in good order and waits until nothing of it is left.
    pub(super) async fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.stop.cancel();
        self.gone.cancelled().await;
    }
}

fn random_mark() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// A child that is counted as running.
struct Counted<'a>(&'a Owner);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Owner { shared, log, exit, pid, .. } = self.0;
        meters().upstream(&shared.upstream).child_ended(*pid);
        if let Some(log) = log {
            log.ended(*pid, exit.get().copied());
        }
    }
}

struct Owner {
    shared: Arc<Shared>,
    tail: Arc<Tail>,
    exit: Arc<OnceLock<i32>>,
    log: Option<Log>,
    gone: CancellationToken,
    mark: String,
    pid: u32,
}

impl Owner {
    async fn run(self, mut child: Child, mut reader: JoinHandle<()>, mut log: JoinHandle<()>) {
        // Also when this task is dropped with its runtime: nobody may wait for ever.
        let _gone = self.gone.clone().drop_guard();
        let _counted = Counted(&self);
        let mut read_out = false;
        let mut status = tokio::select! {
            status = child.wait() => Some(status),
            () = self.shared.stop.cancelled() => None,
            // It closed its standard output, or wrote what no link survives.
            _ = &mut reader => {
                read_out = true;
                None
            }
        };
        if status.is_none() && read_out {
            // Most often it has just ended, and its exit code is the better reason.
            status = tokio::time::timeout(DRAIN, child.wait()).await.ok();
        }
        if status.is_none() {
            self.shared.finish(&self.reason(None));
            status = self.end(&mut child).await;
        }
        self.shared.stop.cancel();
        let status = status.and_then(Result::ok);
        match status.and_then(|status| status.code()) {
            Some(code) => drop(self.exit.set(code)),
            // The guardian itself was killed. What it guarded may still hold the pipes.
            None => self.sweep().await,
        }
        if !read_out && tokio::time::timeout(DRAIN, &mut reader).await.is_err() {
            reader.abort();
        }
        if tokio::time::timeout(DRAIN, &mut log).await.is_err() {
            log.abort();
        }
        self.shared.finish(&self.reason(status));
    }

    /// Lets the guardian end the tree: closing standard input (the writer has done so) starts
    /// its clock, and signals help where it cannot see that.
    async fn end(&self, child: &mut Child) -> Option<std::io::Result<ExitStatus>> {
        if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
            return Some(status);
        }
        self.signal(Signal::TERM);
        if let Ok(status) = tokio::time::timeout(TERM + SLACK, child.wait()).await {
            return Some(status);
        }
        tracing::warn!(upstream = %self.shared.upstream, "its guardian did not end and is killed");
        // The child is not reaped yet, so the number is still its own.
        self.signal(Signal::KILL);
        tokio::time::timeout(SLACK, child.wait()).await.ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            table::signal(&[pid], signal);
        }
    }

    fn reason(&self, status: Option<ExitStatus>) -> End {
        let cause = if self.shared.closing.load(Ordering::Relaxed)
            || self.shared.tasks.stop().is_cancelled()
        {
            Cause::Closing
        } else {
            Cause::Gone
        };
        let what = match status.map(|status| status.code()) {
            None => "it is being ended".to_owned(),
            Some(None) => "its guardian was killed".to_owned(),
            Some(Some(code @ 129..)) => format!("it was ended by signal {}", code - 128),
            Some(Some(code)) => format!("it ended with exit code {code}"),
        };
        let detail = match self.tail.last() {
            Some(last) => format!("{what}; its last line on standard error: {last}"),
            None => what,
        };
        End { cause, detail }
    }

    /// Ends what is left of a tree whose guardian was killed. The program itself went with it.
    async fn sweep(&self) {
        let mark = format!("{MARK}={}", self.mark);
        let leader = i32::try_from(self.pid).unwrap_or_default();
        for _ in 0..SWEEPS {
            let left = table::remains(leader, &mark);
            if left.is_empty() {
                return;
            }
            table::signal(&left, Signal::KILL);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tracing::error!(upstream = %self.shared.upstream, "processes of it are left that cannot be ended");
    }
}
