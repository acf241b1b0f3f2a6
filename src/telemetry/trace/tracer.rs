//! Begins traces, and leaves their spans in a bounded queue when they end.

use std::sync::Arc;

use http::HeaderMap;
use tokio::sync::mpsc;

use super::export::{Collector, run};
use super::span::{Ended, Incoming, Trace};
use crate::base::{Tasks, unix_nanos};
use crate::config::Otlp;
use crate::telemetry::metrics::meters;

/// Requests whose spans wait at most; those of more are dropped, and counted.
const QUEUE: usize = 4096;

/// Begins traces. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Tracer {
    queue: mpsc::Sender<(Arc<Trace>, Ended)>,
    /// Of traces that begin here those are kept whose number is lower.
    kept_below: u64,
}

impl Tracer {
    /// Sends spans to this collector from now on. `headers` go with each export. What waits when
    /// `tasks` end is sent before they have ended.
    ///
    /// # Errors
    /// When the machine cannot speak TLS and the collector wants it.
    pub fn start(settings: &Otlp, headers: HeaderMap, tasks: &Tasks) -> Result<Self, String> {
        let collector = Collector::new(settings, headers)?;
        let (queue, queued) = mpsc::channel(QUEUE);
        tasks.spawn("trace export", run(collector, queued, tasks.stop().clone()));
        Ok(Self { queue, kept_below: threshold(settings.sample) })
    }

    /// A request begins. Its client decides whether its spans are kept, if it decided anything.
    #[must_use]
    pub fn begin(&self, incoming: Option<Incoming>) -> Arc<Trace> {
        let mut random = [0; 32];
        // Without random numbers there are no ids, and nothing is kept.
        let filled = getrandom::fill(&mut random).is_ok();
        let part = |from: usize| -> [u8; 8] {
            std::array::from_fn(|at| random[from + at] | u8::from(at == 0))
        };
        let (first, second) = (part(0), part(8));
        let (trace, sampled) = match &incoming {
            Some(incoming) => (incoming.parent.trace, incoming.parent.sampled),
            None => {
                let trace =
                    std::array::from_fn(|at| if at < 8 { first[at] } else { second[at - 8] });
                // Of the seven bytes that are random in every trace id (level 2 of the standard).
                let number = u64::from_be_bytes(second) & (u64::MAX >> 8);
                (trace, number < self.kept_below)
            }
        };
        Arc::new(Trace {
            trace,
            incoming,
            own: part(16),
            onward: part(24),
            sampled: sampled && filled,
            began: unix_nanos(),
            sent: std::sync::OnceLock::new(),
        })
    }

    /// A request has ended. Never waits.
    pub fn end(&self, trace: Arc<Trace>, ended: Ended) {
        if trace.sampled && self.queue.try_send((trace, ended)).is_err() {
            meters().spans_crowded.one();
        }
    }
}

/// The share as a bound of numbers of 56 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the file has a share from 0 to 1, and a share is never exact"
)]
fn threshold(share: f64) -> u64 {
    (share * (1u64 << 56) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::Context;

    fn tracer(share: f64) -> (Tracer, mpsc::Receiver<(Arc<Trace>, Ended)>) {
        let (queue, queued) = mpsc::channel(1);
        (Tracer { queue, kept_below: threshold(share) }, queued)
    }

    #[test]
    fn the_client_decides_first_and_the_share_for_others() {
        let context = |sampled| Context { trace: [7; 16], span: [9; 8], sampled };
        let incoming = |sampled| Some(Incoming { parent: context(sampled), state: None });
        for share in [0.0, 1.0] {
            let (tracer, _queued) = tracer(share);
            let kept = tracer.begin(incoming(true));
            assert_eq!((kept.onward().trace, kept.onward().sampled), ([7; 16], true));
            assert_ne!(kept.onward().span, [9; 8]);
            assert_ne!(kept.onward().span, kept.own().span);
            // What is not kept passes as the client wrote it.
            assert_eq!(tracer.begin(incoming(false)).onward(), context(false));
            assert_eq!(tracer.begin(None).onward().sampled, share > 0.5);
        }
        let (tracer, _queued) = tracer(0.5);
        let kept = (0..1000).filter(|_| tracer.begin(None).sampled).count();
        assert!((350..650).contains(&kept), "{kept} of 1000");
    }
}
