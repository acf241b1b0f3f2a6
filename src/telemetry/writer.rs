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

/// Bytes that are gathered at most: whoever writes more waits until the log has taken them.
const MOST: usize = 1024 * 1024;

/// Gathers log lines for standard error.
#[derive(Debug, Clone, Default)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<u8>>,
    /// What is being written; held while it is, so that nobody who only adds a line waits for it.
    writing: Mutex<Vec<u8>>,
}

impl LogWriter {
    /// Adds a line.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut lines = lock(&self.0.lines);
        lines.extend_from_slice(bytes);
        let length = lines.len();
        drop(lines);
        if length >= MOST {
            self.flush();
        } else if length >= FULL
            && let Ok(mut writing) = self.0.writing.try_lock()
        {
            self.write(&mut writing);
        }
    }

    /// Takes what was gathered.
    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.0.lines))
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        self.write(&mut lock(&self.0.writing));
    }

    fn write(&self, writing: &mut Vec<u8>) {
        std::mem::swap(&mut *lock(&self.0.lines), writing);
        // There is nowhere to report a standard error that is gone.
        let _ = std::io::stderr().write_all(writing);
        writing.clear();
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
        if !lock(&self.0.lines).is_empty() {
            self.flush();
        }
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
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
