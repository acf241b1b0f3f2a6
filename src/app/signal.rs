//! The signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::StartError;

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(super) fn new() -> Result<Self, StartError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|reason| StartError::System { what: "cannot wait for signals", reason })
        };
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
