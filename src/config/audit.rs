//! `[audit]` as it is compiled.

use std::time::Duration;

/// `[audit]`: whether and how every decision is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Whether there is an audit (default true). Usage is counted along with it.
    pub enabled: bool,
    /// How long records are kept (default 90 days); `None` is for ever. Usage always stays.
    pub retention: Option<Duration>,
    /// What happens to requests while records cannot be written (default `Wait`).
    pub when_full: WhenFull,
    /// What an answer waits for (default `Batch`).
    pub durable: Durable,
    /// Records that wait to be written at most (default 10,000).
    pub queue: usize,
    /// Longest wait of a request for the audit (default 5 s).
    pub patience: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            enabled: true,
            retention: Some(Duration::from_secs(90 * 86_400)),
            when_full: WhenFull::Wait,
            durable: Durable::Batch,
            queue: 10_000,
            patience: Duration::from_secs(5),
        }
    }
}

/// `when_full`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Requests wait for a place, up to `patience`, and are refused then.
    Wait,
    /// Requests are refused at once.
    Refuse,
}

/// `durable`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Records are written together, at most about 50 ms after their answers.
    Batch,
    /// An answer in one piece waits until its record is on disk.
    Call,
}
