//! What the tasks of one child share: the calls in flight, the way to its standard input, and
//! whether it has ended.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::call::{Call, Ticket};
use super::listen::Listening;
use super::spec::Redact;
use super::writer::{Item, Pen, line};
use crate::base::{Name, Tasks, now};
use crate::upstream::handshake::own_request;
use crate::upstream::link::{Cause, Event, LinkError, Sink};
use crate::upstream::question::{Asker, Ledger, Question};
use crate::wire::{CapSet, Draft, Era, Inbound, InboundKind};

/// Why no response will come.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct End {
    pub(in crate::upstream) cause: Cause,
    pub(in crate::upstream) detail: String,
}

#[derive(Debug, Default)]
struct Calls {
    open: HashMap<u64, Arc<Call>>,
    questions: Ledger,
    ended: Option<End>,
}

/// The common state of one child's tasks.
pub(in crate::upstream) struct Shared {
    pub(in crate::upstream) upstream: Name,
    pub(in crate::upstream) redact: Redact,
    /// What was declared to a legacy child: it may ask nothing else.
    capabilities: CapSet,
    /// It asks nothing any more for a call that was cancelled.
    cancels: bool,
    pub(in crate::upstream) tasks: Tasks,
    /// Set by the handshake; until then questions are answered as a legacy server's.
    pub(in crate::upstream) era: OnceLock<Era>,
    pub(in crate::upstream) listening: Mutex<Listening>,
    /// Ends the child; so does dropping the link.
    pub(in crate::upstream) stop: CancellationToken,
    /// The proxy wants the end, so that it is no failure of the child.
    pub(in crate::upstream) closing: AtomicBool,
    next_id: AtomicU64,
    /// The ping that follows the handshake of a shared child, until it is answered; else 0.
    settling: AtomicU64,
    calls: Mutex<Calls>,
    /// How long the call took that was answered last, in microseconds.
    took: AtomicU64,
    ways: Ways,
    sink: Sink,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// The two ways to the writer, and past it.
pub(in crate::upstream) struct Ways {
    pub(in crate::upstream) queue: mpsc::Sender<Item>,
    pub(in crate::upstream) control: mpsc::Sender<Bytes>,
    /// Where a request may be written by whoever makes it.
    pub(in crate::upstream) direct: Option<Arc<Pen>>,
}

impl Ways {
    /// Something is on its way to the writer: nobody goes past it.
    fn ahead(&self) {
        if let Some(pen) = &self.direct {
            pen.wait_for();
        }
    }

    /// It was not, after all.
    fn not_ahead(&self) {
        if let Some(pen) = &self.direct {
            pen.written(1);
        }
    }
}

impl Shared {
    pub(in crate::upstream) fn new(
        upstream: Name,
        redact: Redact,
        (capabilities, cancels): (CapSet, bool),
        ways: Ways,
        sink: Sink,
        tasks: Tasks,
    ) -> Self {
        let stop = tasks.stop().child_token();
        Self {
            upstream,
            redact,
            capabilities,
            cancels,
            era: OnceLock::new(),
            listening: Mutex::default(),
            stop,
            closing: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            settling: AtomicU64::new(0),
            calls: Mutex::default(),
            took: AtomicU64::new(0),
            ways,
            sink,
            tasks,
        }
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a request of ours on this pipe.
    pub(in crate::upstream) fn mint(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request. Waits for a place in the queue no longer than the call may take.
    pub(in crate::upstream) async fn begin(
        self: &Arc<Self>,
        draft: &Draft,
        (asker, takes): (Option<Asker>, CapSet),
        timeout: Duration,
        max_time: Duration,
    ) -> Result<Ticket, LinkError> {
        let call = Arc::new(Call::new(self.mint(), asker, takes));
        {
            let mut calls = self.calls();
            if let Some(end) = &calls.ended {
                return Err(LinkError::before(
                    &self.upstream,
                    end.cause.clone(),
                    end.detail.clone(),
                ));
            }
            calls.open.insert(call.id, Arc::clone(&call));
        }
        let mut ticket = Ticket::new(Arc::clone(self), Arc::clone(&call), timeout, max_time);
        let mut text = Vec::new();
        draft.render_into(call.id, &mut text);
        let text = line(text);
        if self.ways.direct.as_ref().is_some_and(|pen| pen.write(&call, &text)) {
            return Ok(ticket);
        }
        let item = Item::Call(call, Bytes::from(text));
        self.ways.ahead();
        let item = match self.ways.queue.try_send(item) {
            Ok(()) => return Ok(ticket),
            Err(error) => {
                self.ways.not_ahead();
                match error {
                    mpsc::error::TrySendError::Closed(_) => {
                        return Err(ticket.failed(self.ended()));
                    }
                    mpsc::error::TrySendError::Full(item) => item,
                }
            }
        };
        match tokio::time::timeout_at(ticket.deadline(), self.enqueue(item)).await {
            Ok(true) => Ok(ticket),
            Ok(false) => Err(ticket.failed(self.ended())),
            Err(_) => Err(ticket.timed_out()),
        }
    }

    /// Waits for a place in the queue; false when it is closed.
    async fn enqueue(&self, item: Item) -> bool {
        let Ok(place) = self.ways.queue.reserve().await else { return false };
        self.ways.ahead();
        place.send(item);
        true
    }

    /// Sends a notification, or the answer to a question, as it is; waits for a place in the
    /// queue at most `limit`.
    pub(in crate::upstream) async fn send(
        &self,
        message: Bytes,
        limit: Duration,
    ) -> Result<(), LinkError> {
        if !self.answers(&message) {
            tracing::debug!(upstream = %self.upstream, "an answer to a question that is not open");
            return Ok(());
        }
        let item = Item::Note(Bytes::from(line(message.into())));
        match tokio::time::timeout(limit, self.enqueue(item)).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let end = self.ended();
                Err(LinkError::before(&self.upstream, end.cause, end.detail))
            }
            Err(_) => Err(LinkError::before(
                &self.upstream,
                Cause::Timeout,
                "it does not read its standard input",
            )),
        }
    }

    /// Sends a short message of the proxy's own past the queue. A child that does not read even
    /// these loses them.
    pub(in crate::upstream) fn control(&self, message: Bytes) {
        self.ways.ahead();
        if self.ways.control.try_send(Bytes::from(line(message.into()))).is_err() {
            self.ways.not_ahead();
            tracing::debug!(upstream = %self.upstream, "a control message was not sent");
        }
    }

    /// Tells the upstream that nobody waits for request `id` any more.
    pub(in crate::upstream) fn cancel(&self, id: u64, reason: &str) {
        self.control(Bytes::from(format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\
             \"params\":{{\"requestId\":{id},\"reason\":\"{reason}\"}}}}"
        )));
    }

    /// Remembers how long a call took that has its response now.
    pub(super) fn note_time(&self, call: &Call) {
        let took = u64::try_from(call.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took.store(took, Ordering::Relaxed);
    }

    /// How long the call took that was answered last.
    pub(super) fn took(&self) -> Duration {
        Duration::from_micros(self.took.load(Ordering::Relaxed))
    }

    /// Calls that wait for their responses.
    pub(super) fn open_calls(&self) -> usize {
        self.calls().open.len()
    }

    /// Finds out when an upstream has read the cancellation of `call`: a ping behind it is
    /// answered after it was read. Of one that may go on with what is cancelled that says nothing.
    pub(in crate::upstream) fn sound(&self, call: u64) {
        if !self.cancels || self.era.get() != Some(&Era::Legacy) {
            return;
        }
        let ping = self.mint();
        if self.calls().questions.sounded(call, ping) {
            self.control(own_request(Era::Legacy, CapSet::NONE, "ping", "").render(ping));
        }
    }

    /// True when `id` is a ping of `sound`.
    pub(in crate::upstream) fn has_read(&self, id: u64) -> bool {
        self.cancels && self.calls().questions.has_read(id, now())
    }

    /// False for an answer to a question that is not open.
    fn answers(&self, message: &Bytes) -> bool {
        let Ok(text) = std::str::from_utf8(message) else { return true };
        match Inbound::read(text) {
            Ok(Inbound { kind: InboundKind::Result | InboundKind::Error, id, .. }) => {
                id.is_some_and(|id| self.settle(&text[id]).is_some())
            }
            _ => true,
        }
    }

    /// Takes a call out that nobody waits for any more, tells the upstream so when it was `written`
    /// with the reason, and refuses its open questions: in this order, so that none of its work goes
    /// on because of a refusal. `left` is until when the upstream may go on all the same. False when
    /// the call is not there (any more).
    pub(in crate::upstream) fn give_up(
        &self,
        call: &Call,
        left: Option<Instant>,
        written: Option<&str>,
    ) -> bool {
        let mut calls = self.calls();
        if calls.open.remove(&call.id).is_none() {
            return false;
        }
        let refusals = calls.questions.close(call.id);
        if let Some(until) = left {
            calls.questions.leave(call.id, call.asker(), until, now());
        }
        drop(calls);
        if let Some(reason) = written {
            self.cancel(call.id, reason);
        }
        refusals.into_iter().for_each(|refusal| self.control(refusal));
        true
    }

    /// Takes a call out whose response has come. Questions that it left open are refused.
    pub(in crate::upstream) fn take(&self, id: u64) -> Option<Arc<Call>> {
        let mut calls = self.calls();
        let call = calls.open.remove(&id);
        if call.is_none() {
            calls.questions.ended_late(id);
        }
        let refusals = calls.questions.close(id);
        drop(calls);
        refusals.into_iter().for_each(|refusal| self.control(refusal));
        call
    }

    /// Many servers ask for roots as soon as the handshake is done, and keep what the first caller
    /// says for all. An answered ping shows that this is over; until then no call is asked.
    pub(in crate::upstream) fn settle_in(&self) {
        let id = self.mint();
        self.settling.store(id, Ordering::Release);
        self.control(own_request(Era::Legacy, CapSet::NONE, "ping", "").render(id));
    }

    /// True when `id` is the ping of `settle_in`.
    pub(in crate::upstream) fn settled_in(&self, id: u64) -> bool {
        let change = (Ordering::AcqRel, Ordering::Relaxed);
        self.settling.compare_exchange(id, 0, change.0, change.1).is_ok()
    }

    /// Finds the call that a question of a legacy child belongs to and opens the question there.
    /// `None` when it must be refused.
    pub(in crate::upstream) fn attribute(&self, question: &Question<'_>) -> Option<Arc<Call>> {
        let need = question.need.filter(|need| self.capabilities.has(*need))?;
        if self.settling.load(Ordering::Acquire) != 0 {
            return None;
        }
        let mut calls = self.calls();
        let Calls { open, questions, .. } = &mut *calls;
        let owner = questions.owner(open.values().filter_map(|call| call.seat()), need, now())?;
        let call = open.get(&owner)?;
        questions.open(question, owner).then(|| {
            call.asked();
            Arc::clone(call)
        })
    }

    /// The question with this id has its answer or was withdrawn; gives the call that was asked.
    pub(in crate::upstream) fn settle(&self, id: &str) -> Option<Arc<Call>> {
        let mut calls = self.calls();
        let number = calls.questions.settle(id)?;
        let call = calls.open.get(&number)?;
        call.settled();
        Some(Arc::clone(call))
    }

    /// The call that was asked to open the page of this elicitation.
    pub(in crate::upstream) fn elicited(&self, elicitation: &str) -> Option<Arc<Call>> {
        let calls = self.calls();
        calls.open.get(&calls.questions.elicited(elicitation)?).cloned()
    }

    /// The call with this number.
    pub(in crate::upstream) fn find(&self, id: u64) -> Option<Arc<Call>> {
        self.calls().open.get(&id).cloned()
    }

    /// The call in flight when there is exactly one, and none of another caller that was given up
    /// and may still be worked on.
    pub(in crate::upstream) fn only(&self) -> Option<Arc<Call>> {
        let mut calls = self.calls();
        let Calls { open, questions, .. } = &mut *calls;
        let call = open.values().next().filter(|_| open.len() == 1)?;
        (!questions.left_by_others(call.asker(), now)).then(|| Arc::clone(call))
    }

    /// Hands an event to the owner of the link. Before the handshake is done there is no link,
    /// so the end of a child that was only a try is nobody's event.
    pub(in crate::upstream) fn tell(&self, event: Event) {
        if self.era.get().is_some() {
            (self.sink)(event);
        }
    }

    /// True until `finish`.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        self.calls().ended.is_none() && !self.stop.is_cancelled()
    }

    /// Fails every call in flight and every later one, and says once that the link has ended.
    pub(in crate::upstream) fn finish(&self, end: &End) {
        let open = {
            let mut calls = self.calls();
            if calls.ended.is_some() {
                return;
            }
            calls.ended = Some(end.clone());
            std::mem::take(&mut calls.open)
        };
        for call in open.into_values() {
            call.end(Err(end.clone()));
        }
        self.tell(Event::Gone);
    }

    /// Why it has ended, or is about to.
    pub(in crate::upstream) fn ended(&self) -> End {
        self.calls().ended.clone().unwrap_or_else(|| End {
            cause: if self.closing.load(Ordering::Relaxed) { Cause::Closing } else { Cause::Gone },
            detail: "its standard input is closed".to_owned(),
        })
    }
}
