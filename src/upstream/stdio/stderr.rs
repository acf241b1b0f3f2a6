//! What a child writes to standard error: kept in a bounded ring, logged line by line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;

use super::frame::{Frame, Framer};
use super::logs::Log;
use super::spec::Redact;
use crate::base::Name;

/// How much is kept.
const RING: usize = 64 * 1024;
/// Most of a line that is kept. It is read further, so that no secret is cut before it is found.
const LINE: usize = 4 * 1024;
/// Most that is shown of what a child has to do with a failure.
pub(super) const SHOWN: usize = 500;

/// The last lines that a child wrote, without its secrets and without control characters.
#[derive(Debug)]
pub(super) struct Tail(Mutex<Lines>, usize);

impl Default for Tail {
    fn default() -> Self {
        Self(Mutex::default(), RING)
    }
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// One that keeps so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self(Mutex::default(), bytes)
    }

    /// The lines that are kept, the oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, line: String) {
        let mut tail = self.lock();
        tail.bytes += line.len() + 1;
        tail.lines.push_back(line);
        while tail.bytes > self.1 {
            let Some(oldest) = tail.lines.pop_front() else { break };
            tail.bytes -= oldest.len() + 1;
        }
    }

    /// Everything that is kept.
    pub(super) fn text(&self) -> String {
        let tail = self.lock();
        tail.lines.iter().fold(String::with_capacity(tail.bytes), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        })
    }

    /// The last line that says anything, at most 300 characters of it.
    pub(super) fn last(&self) -> Option<String> {
        let tail = self.lock();
        let line = tail.lines.iter().rev().find(|line| !line.trim().is_empty())?;
        Some(line.trim().chars().take(300).collect())
    }
}

/// A text from a child, fit for a log: no secrets, no terminal escapes.
pub(super) fn clean(text: &str, redact: &Redact) -> String {
    let mut text = redact(text);
    if text.contains(char::is_control) {
        text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    text
}

/// Reads until the end of the stream.
pub(super) async fn read(
    mut stream: ChildStderr,
    (tail, log): (Arc<Tail>, Option<Log>),
    upstream: Name,
    redact: Redact,
) {
    let mut framer = Framer::new(2 * LINE).with_head(2 * LINE);
    while stream.read_buf(framer.space()).await.is_ok_and(|count| count > 0) {
        while let Some(frame) = framer.next() {
            let (Frame::Line(line) | Frame::TooLong(line)) = frame;
            let line = clean(&String::from_utf8_lossy(&line), &redact);
            let line: String = line.chars().take(LINE).collect();
            tracing::debug!(%upstream, "stderr: {line}");
            if let Some(log) = &log {
                log.push(line.clone());
            }
            tail.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_end() {
        let tail = Tail::default();
        for number in 0..10_000 {
            tail.push(format!("line {number}"));
        }
        tail.push("  ".into());
        assert!(tail.text().len() <= RING);
        assert!(tail.text().contains("line 9999\n") && !tail.text().contains("line 0\n"));
        assert_eq!(tail.last().as_deref(), Some("line 9999"));
    }

    #[test]
    fn neither_secrets_nor_escapes_stay() {
        let redact: Redact = Arc::new(|text: &str| text.replace("s3cret", "[redacted]"));
        assert_eq!(clean("\u{1b}[31mkey s3cret", &redact), " [31mkey [redacted]");
    }
}
