//! Log lines are gathered and written together: a call must not pay for a system call of its log
//! line. They wait at most until the next flush.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::base::Tasks;

/// Bytes that are gathered before they are written in any case.
const FULL: usize = 32 * 1024;
/// Longest wait of a line.
const WAIT: Duration = Duration::from_millis(100);

/// Gathers log lines for standard error.
#[derive(Debug, Clone, Default)]
pub struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl LogWriter {
    /// Adds a line.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut lines = self.lines();
        lines.extend_from_slice(bytes);
        let full = lines.len() >= FULL;
        drop(lines);
        if full {
            self.flush();
        }
    }

    /// Takes what was gathered.
    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lines())
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        let mut lines = self.lines();
        // There is nowhere to report a standard error that is gone.
        let _ = std::io::stderr().write_all(&lines);
        lines.clear();
    }

    /// Flushes about ten times a second until the stop.
    pub fn tend(&self, tasks: &Tasks) {
        let (writer, stop) = (self.clone(), tasks.stop().clone());
        tasks.spawn("log flush", async move {
            let mut every = tokio::time::interval(WAIT);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = every.tick() => writer.flush_some(),
                }
            }
        });
    }

    fn flush_some(&self) {
        if !self.lines().is_empty() {
            self.flush();
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One line on its way.
#[derive(Debug)]
pub struct Line<'a>(&'a LogWriter);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
