//! The signals that end the process, and the one that has the file read again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::StartError;

fn listen(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(|reason| StartError::System { what: "cannot wait for signals", reason })
}

/// SIGHUP, which does not end the process any more.
pub(super) fn hangups() -> Result<Signal, StartError> {
    listen(SignalKind::hangup())
}

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(super) fn new() -> Result<Self, StartError> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
