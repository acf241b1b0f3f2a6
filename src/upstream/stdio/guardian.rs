//! The hidden subcommand `child`: a small process that starts the program, owns everything the
//! program starts, and ends with all of it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

use super::launch::{NOT_RUN, Orders};
use super::table;
use crate::base::now;

/// How long the program may take to end by itself after its standard input was closed.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long it may take after SIGTERM.
pub(super) const TERM: Duration = Duration::from_secs(2);
/// How long what it left behind may take after SIGTERM: callers wait for this.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// Runs the hidden subcommand; `arguments` is what follows `child`. The program's exit code is
/// given back, 128 + n when a signal n ended it, as shells do.
#[must_use]
pub fn child(arguments: Vec<OsString>) -> ExitCode {
    let Some(orders) = Orders::read(arguments) else { return ExitCode::from(NOT_RUN) };
    if orders.guardian.is_some() {
        return orders.become_program();
    }
    // A session of its own: no terminal, and a Ctrl-C meant for the proxy does not come here.
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior};
        // The tree must not get hold of its own guardian by ptrace or `/proc`.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(guard(orders))) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(NOT_RUN),
    }
}

/// How far the end of the program has come.
enum Stage {
    /// It runs.
    Runs,
    /// Its standard input is closed; it has until then to end by itself.
    Closed(Instant),
    /// It was told to end; it has until then.
    Told(Instant),
}

async fn guard(orders: Orders) -> std::io::Result<u8> {
    // Before the program starts, so that no signal is missed.
    let mut ended = signal(SignalKind::child())?;
    let mut told = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    let own = rustix::process::getpid();
    let program = orders.second_step(own).spawn()?;
    let tree = Tree { own, program: i32::try_from(program.id()).ok().and_then(Pid::from_raw) };
    let mut stage = Stage::Runs;
    let mut input = std::pin::pin!(input_closed());
    let code = loop {
        if let Some(code) = tree.reap() {
            break code;
        }
        let (deadline, open) = match stage {
            Stage::Runs => (None, true),
            Stage::Closed(until) | Stage::Told(until) => (Some(until), false),
        };
        tokio::select! {
            _ = ended.recv() => {}
            () = any(&mut told) => {
                tree.signal(Signal::TERM);
                stage = Stage::Told(now() + TERM);
            }
            () = &mut input, if open => stage = Stage::Closed(now() + GRACE),
            () = until(deadline) => {
                if matches!(stage, Stage::Closed(_)) {
                    tree.signal(Signal::TERM);
                    stage = Stage::Told(now() + TERM);
                } else {
                    tree.signal(Signal::KILL);
                    stage = Stage::Told(now() + Duration::from_millis(50));
                }
            }
        }
    };
    tree.clear(&mut ended).await;
    Ok(code)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn any([first, second, third]: &mut [Stream; 3]) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
        _ = third.recv() => {}
    }
}

/// Waits until nobody holds the write end of standard input, without taking a byte of it and
/// without waking for the bytes that pass: only the hang-up is of interest.
#[cfg(target_os = "linux")]
async fn input_closed() {
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    #[expect(
        deprecated,
        reason = "the new one is unsafe; standard input stays open, so this is sound"
    )]
    let Ok(input) = AsyncFd::with_interest(std::io::stdin(), Interest::PRIORITY) else {
        return std::future::pending().await;
    };
    loop {
        match input.ready(Interest::PRIORITY).await {
            Ok(mut ready) if !ready.ready().is_read_closed() => ready.clear_ready(),
            _ => return,
        }
    }
}

/// Elsewhere a hang-up cannot be told from data without taking the data, so this looks whether
/// the proxy still lives; a proxy that lives sends SIGTERM.
#[cfg(not(target_os = "linux"))]
async fn input_closed() {
    let parent = rustix::process::getppid();
    let mut clock = tokio::time::interval(Duration::from_millis(500));
    while rustix::process::getppid() == parent {
        clock.tick().await;
    }
}

/// The program and everything it has started.
struct Tree {
    own: Pid,
    program: Option<Pid>,
}

impl Tree {
    /// Collects everything that has ended; gives the program's exit code when it is among it.
    fn reap(&self) -> Option<u8> {
        let mut code = None;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if Some(pid) == self.program {
                code = Some(exit_code(status));
            }
        }
        code
    }

    /// Sends `what` to every process of the tree. Gives false when there is none.
    fn signal(&self, what: Signal) -> bool {
        if cfg!(target_os = "linux") {
            let all = table::descendants(self.own);
            table::signal(&all, what);
            return !all.is_empty();
        }
        self.program.is_some_and(|group| rustix::process::kill_process_group(group, what).is_ok())
    }

    /// Ends what the program has left behind. Does not give up: this process is its owner.
    async fn clear(&self, ended: &mut Stream) {
        let deadline = now() + LEFTOVERS;
        let mut told = false;
        let mut pause = Duration::from_millis(1);
        loop {
            self.reap();
            let what = if now() >= deadline { Some(Signal::KILL) } else { None };
            let left = match (what, told) {
                (Some(kill), _) => self.signal(kill),
                (None, false) => self.signal(Signal::TERM),
                (None, true) => self.lives(),
            };
            told = true;
            if !left {
                self.reap();
                return;
            }
            let _ = tokio::time::timeout(pause, ended.recv()).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn lives(&self) -> bool {
        if cfg!(target_os = "linux") {
            return !table::descendants(self.own).is_empty();
        }
        self.program.is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
