//! What was said on the streams of one session, for a client whose connection was cut (protocol.md
//! 1.9). No I/O and no clock: the time comes in, items come out.
//!
//! An event's id names the process, the stream and the event. So an id of another process is an
//! unknown one, and a stream is resumed with its own events alone (R50).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::base::Fault;
use crate::wire::sse;

/// One event in its wire form, or a fault that is worded at the door.
pub type Item = Result<Bytes, Fault>;

/// The stream that belongs to no request.
pub(in crate::session) const GENERAL: u32 = 0;
/// How long something is kept for a client that has gone, in seconds.
pub(super) const KEEP: u32 = 300;
/// Events, and bytes, that one session keeps.
pub(super) const EVENTS: usize = 256;
pub(super) const BYTES: usize = 1 << 20;
/// Bytes that all sessions together keep.
const ALL_BYTES: usize = 256 << 20;
/// Streams of one session that can be resumed; the oldest that has ended goes first.
const STREAMS: usize = 64;
/// What an entry costs besides its bytes.
const ENTRY: usize = 128;
/// After how many milliseconds a client is to come back.
const RETRY: &[u8] = b"retry: 1000\n";

/// What the sessions of a process keep together, in bytes.
#[derive(Debug, Default)]
pub(in crate::session) struct Budget(AtomicUsize);

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > ALL_BYTES {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(in crate::session) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The streams of one session.
#[derive(Debug)]
pub(in crate::session) struct Tapes {
    process: u32,
    streams: Vec<Stream>,
    pub(super) kept: VecDeque<Entry>,
    pub(super) bytes: usize,
    next_stream: u32,
    next_event: u64,
    pub(super) budget: Arc<Budget>,
}

#[derive(Debug)]
struct Stream {
    number: u32,
    /// The request that it answers: its id as JSON text, and whether it calls a tool.
    request: Option<(String, bool)>,
    live: Option<mpsc::Sender<Item>>,
    ended: bool,
    /// Since when nobody hears it.
    left_at: Option<u32>,
    /// The last of its events that is no longer kept.
    lost: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Entry {
    stream: u32,
    event: u64,
    at: u32,
    last: bool,
    item: Item,
}

impl Entry {
    fn weight(&self) -> usize {
        ENTRY + self.item.as_ref().map_or(0, Bytes::len)
    }
}

/// A stream that goes on where it was cut.
#[derive(Debug)]
pub(in crate::session) struct Continued {
    pub(in crate::session) events: mpsc::Receiver<Item>,
    pub(in crate::session) request: Option<(String, bool)>,
    /// Something was said that is no longer kept.
    pub(in crate::session) gap: bool,
}

impl Tapes {
    /// `process` differs for each start of the proxy.
    pub(in crate::session) fn new(process: u32, budget: Arc<Budget>) -> Self {
        Self {
            process,
            streams: Vec::new(),
            kept: VecDeque::new(),
            bytes: 0,
            next_stream: GENERAL + 1,
            next_event: 0,
            budget,
        }
    }

    /// Opens a stream for the answer to a request, or, without one, the general stream in the
    /// place of an older one. With `prime` the first event carries nothing but its id (2025-11-25).
    pub(in crate::session) fn open(
        &mut self,
        request: Option<(String, bool)>,
        prime: bool,
        queue: usize,
        now: u32,
    ) -> (u32, mpsc::Receiver<Item>) {
        let number = if request.is_some() {
            self.next_stream += 1;
            self.next_stream - 1
        } else {
            self.streams.retain(|stream| stream.number != GENERAL);
            GENERAL
        };
        if self.streams.len() >= STREAMS
            && let Some(at) = self.streams.iter().position(|stream| stream.ended)
        {
            let gone = self.streams.remove(at).number;
            self.forget(|entry| entry.stream == gone);
        }
        let (sender, events) = mpsc::channel(queue);
        if prime {
            // Its id says: everything after this.
            let mut out = RETRY.to_vec();
            sse::encode(&mut out, Some(&self.event_id(number)), b"");
            self.next_event += 1;
            // The queue is new and empty.
            let _ = sender.try_send(Ok(Bytes::from(out)));
        }
        let live = Some(sender);
        self.streams.push(Stream {
            number,
            request,
            live,
            ended: false,
            left_at: None,
            lost: None,
        });
        self.expire(now);
        (number, events)
    }

    /// Says something on a stream: gives it with the queue of whoever listens. It is kept, too.
    pub(in crate::session) fn say(
        &mut self,
        stream: u32,
        message: Result<&[u8], Fault>,
        last: bool,
        now: u32,
    ) -> Option<(mpsc::Sender<Item>, Item)> {
        let event = self.next_event;
        let item = message.map(|message| {
            let mut out = Vec::with_capacity(message.len() + 48);
            sse::encode(&mut out, Some(&self.event_id(stream)), message);
            Bytes::from(out)
        });
        let found = self.streams.iter_mut().find(|found| found.number == stream)?;
        self.next_event += 1;
        found.ended |= last;
        let live = if last { found.live.take() } else { found.live.clone() };
        self.keep(Entry { stream, event, at: now, last, item: item.clone() }, now);
        Some((live?, item))
    }

    /// Nothing more is said on a stream.
    pub(in crate::session) fn end(&mut self, stream: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|found| found.number == stream) {
            stream.ended = true;
            stream.live = None;
        }
    }

    /// Whoever had this queue has gone, or does not read.
    pub(in crate::session) fn leave(&mut self, stream: u32, queue: &mpsc::Sender<Item>, now: u32) {
        let found = self.streams.iter_mut().find(|found| found.number == stream);
        if let Some(stream) = found
            && stream.live.as_ref().is_some_and(|live| live.same_channel(queue))
        {
            stream.live = None;
            stream.left_at = Some(now);
        }
    }

    /// Ends the connection on which a stream is heard.
    pub(in crate::session) fn hang_up(&mut self, stream: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|found| found.number == stream) {
            stream.live = None;
        }
    }

    /// Whether somebody hears the general stream, or has heard it within `grace` seconds.
    pub(in crate::session) fn is_heard(&mut self, grace: u32, now: u32) -> bool {
        let found = self.streams.iter_mut().find(|found| found.number == GENERAL);
        found.is_some_and(|stream| {
            if stream.live.as_ref().is_some_and(|live| !live.is_closed()) {
                return true;
            }
            stream.live = None;
            now.saturating_sub(*stream.left_at.get_or_insert(now)) < grace.min(KEEP)
        })
    }

    /// Goes on after the event of this id; none when the id is not one of these streams'.
    pub(in crate::session) fn resume(
        &mut self,
        id: &str,
        queue: usize,
        now: u32,
    ) -> Option<Continued> {
        let (stream, after) = self.read_id(id)?;
        self.expire(now);
        let missed: Vec<Item> = self
            .kept
            .iter()
            .filter(|entry| entry.stream == stream && entry.event > after)
            .map(|entry| entry.item.clone())
            .collect();
        let found = self.streams.iter_mut().find(|found| found.number == stream)?;
        let (sender, events) = mpsc::channel(queue + missed.len());
        for item in missed {
            // There is room for all of them.
            let _ = sender.try_send(item);
        }
        let gap = found.lost.is_some_and(|lost| lost > after);
        found.left_at = None;
        found.live = (!found.ended).then_some(sender);
        Some(Continued { events, request: found.request.clone(), gap })
    }

    /// Forgets what is too old.
    pub(in crate::session) fn expire(&mut self, now: u32) {
        let old = |at: u32| now.saturating_sub(at) >= KEEP;
        self.forget(|entry| old(entry.at));
        let kept = &self.kept;
        self.streams.retain(|stream| {
            !stream.ended || kept.iter().any(|entry| entry.stream == stream.number)
        });
    }

    /// True when nothing is kept and nothing open.
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.kept.is_empty()
    }

    fn event_id(&self, stream: u32) -> String {
        format!("{:x}-{stream:x}-{:x}", self.process, self.next_event)
    }

    fn read_id(&self, id: &str) -> Option<(u32, u64)> {
        let mut parts = id.split('-');
        let process = u32::from_str_radix(parts.next()?, 16).ok()?;
        let stream = u32::from_str_radix(parts.next()?, 16).ok()?;
        let event = u64::from_str_radix(parts.next()?, 16).ok()?;
        let whole = parts.next().is_none() && process == self.process && event < self.next_event;
        whole.then_some((stream, event))
    }

    fn keep(&mut self, entry: Entry, now: u32) {
        while self.kept.front().is_some_and(|entry| now.saturating_sub(entry.at) >= KEEP) {
            self.drop_at(0);
        }
        let weight = entry.weight();
        while !self.kept.is_empty() && (self.kept.len() >= EVENTS || self.bytes + weight > BYTES) {
            self.drop_one();
        }
        while !self.budget.take(weight) {
            if self.kept.is_empty() {
                self.lose(entry.stream, entry.event);
                return;
            }
            self.drop_one();
        }
        if self.bytes + weight > BYTES {
            self.budget.give(weight);
            self.lose(entry.stream, entry.event);
            return;
        }
        self.bytes += weight;
        self.kept.push_back(entry);
    }

    /// Drops the oldest, answers last: news can be asked for again, an answer cannot.
    fn drop_one(&mut self) {
        self.drop_at(self.kept.iter().position(|entry| !entry.last).unwrap_or(0));
    }

    fn drop_at(&mut self, at: usize) {
        if let Some(entry) = self.kept.remove(at) {
            self.bytes -= entry.weight();
            self.budget.give(entry.weight());
            self.lose(entry.stream, entry.event);
        }
    }

    fn lose(&mut self, stream: u32, event: u64) {
        if let Some(stream) = self.streams.iter_mut().find(|found| found.number == stream) {
            stream.lost = stream.lost.max(Some(event));
        }
    }

    fn forget(&mut self, gone: impl Fn(&Entry) -> bool) {
        while let Some(at) = self.kept.iter().position(&gone) {
            self.drop_at(at);
        }
    }
}

impl Drop for Tapes {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}
