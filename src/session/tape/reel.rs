//! What was said on the streams of one session, for a client whose connection was cut (protocol.md
//! 1.9). No I/O and no clock: the time comes in, items come out.
//!
//! An event's id names the process, the stream and the event. So an id of another process is an
//! unknown one, and a stream is resumed with its own events alone (R50). On the stream of a request
//! it names the request, too: after a restart that is all that is left of it, and enough to answer
//! a client that comes back.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::base::Fault;
use crate::wire::sse;

/// One event in its wire form, or a fault that is worded at the door.
pub type Item = Result<Bytes, Box<Fault>>;

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
/// Longest id of a request, as JSON text, that event ids carry along.
const REQUEST: usize = 64;
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
    /// The end of its event ids, which names the request.
    mark: String,
    live: Option<mpsc::Sender<Item>>,
    ended: bool,
    /// Since when nobody hears it.
    left_at: Option<u32>,
    /// The last of its events that is no longer kept.
    lost: Option<u64>,
    /// The last of its events.
    last: Option<u64>,
    /// The first of its events that nobody was there to hear.
    unheard: Option<u64>,
    /// Where it begins; what a stream whose place it has taken has said lies before.
    since: u64,
    /// It began with an event, so that whoever has heard it names none from before.
    primed: bool,
}

impl Stream {
    fn new(
        number: u32,
        request: Option<(String, bool)>,
        live: mpsc::Sender<Item>,
        since: u64,
    ) -> Self {
        Self {
            number,
            mark: mark(request.as_ref()),
            request,
            live: Some(live),
            ended: false,
            left_at: None,
            lost: None,
            last: None,
            unheard: None,
            since,
            primed: false,
        }
    }
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

/// What the id of an event leads to.
#[derive(Debug)]
pub(in crate::session) enum Found {
    /// Its stream, which goes on.
    Stream(Continued),
    /// The stream of a call of which nothing is kept any more.
    Ended,
    /// Nothing.
    Unknown,
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

    /// Opens a stream for the answer to a request. With `prime` the first event carries nothing
    /// but its id (2025-11-25).
    pub(in crate::session) fn open(
        &mut self,
        request: (String, bool),
        prime: bool,
        queue: usize,
        now: u32,
    ) -> (u32, mpsc::Receiver<Item>) {
        let number = self.next_stream;
        self.next_stream += 1;
        if self.streams.len() >= STREAMS
            && let Some(at) = self.streams.iter().position(|stream| stream.ended)
        {
            let gone = self.streams.remove(at).number;
            self.forget(|entry| entry.stream == gone);
        }
        let since = self.next_event;
        let (live, events) = mpsc::channel(queue);
        let stream = Stream::new(number, Some(request), live.clone(), since);
        if prime {
            self.next_event += 1;
            // The queue is new and empty.
            let _ = live.try_send(Ok(self.prime(number, since, &stream.mark)));
        }
        self.streams.push(stream);
        self.expire(now);
        (number, events)
    }

    /// Opens the general stream in the place of an older one, for a client that does not say what
    /// it has heard last. What was said when nobody was there to hear it is said now.
    pub(in crate::session) fn open_general(
        &mut self,
        prime: bool,
        queue: usize,
        now: u32,
    ) -> Continued {
        self.expire(now);
        let old = self.streams.iter().position(|stream| stream.number == GENERAL);
        let old = old.map(|at| self.streams.remove(at));
        let left = |old: &&Stream| old.live.as_ref().is_none_or(mpsc::Sender::is_closed);
        let unheard = old.as_ref().filter(left).and_then(|old| old.unheard);
        let from = unheard.unwrap_or(self.next_event);
        self.forget(|entry| entry.stream == GENERAL && entry.event < from);
        let missed: Vec<Item> = self.kept_after(GENERAL, None);
        let (live, events) = mpsc::channel(queue + missed.len());
        // With something to say, everything after the event before it.
        let since = if unheard.is_some() { from.saturating_sub(1) } else { from };
        if prime {
            // There is room for all of them.
            let _ = live.try_send(Ok(self.prime(GENERAL, since, "")));
            self.next_event = self.next_event.max(since + 1);
        }
        for item in missed {
            let _ = live.try_send(item);
        }
        let (last, lost) = old.map_or((None, None), |old| (old.last, old.lost));
        let gap = unheard.is_some() && lost.is_some_and(|lost| lost >= from);
        let heard = last.map(|last| last.min(from.saturating_sub(1)));
        // An older stream cannot be taken up where it was: all it has said is over.
        let lost = lost.max(heard);
        let stream = Stream::new(GENERAL, None, live, since);
        self.streams.push(Stream { last, lost, primed: prime, ..stream });
        Continued { events, request: None, gap }
    }

    /// An event that carries nothing but its id, which says: everything after this.
    fn prime(&self, stream: u32, event: u64, mark: &str) -> Bytes {
        let mut out = RETRY.to_vec();
        sse::encode(&mut out, Some(&self.event_id(stream, event, mark)), b"");
        Bytes::from(out)
    }

    fn kept_after(&self, stream: u32, after: Option<u64>) -> Vec<Item> {
        self.kept
            .iter()
            .filter(|entry| entry.stream == stream && Some(entry.event) > after)
            .map(|entry| entry.item.clone())
            .collect()
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
        let at = self.streams.iter().position(|found| found.number == stream)?;
        let item = message.map(|message| {
            let id = self.event_id(stream, event, &self.streams[at].mark);
            let mut out = Vec::with_capacity(message.len() + id.len() + 24);
            sse::encode(&mut out, Some(&id), message);
            Bytes::from(out)
        });
        let item = item.map_err(Box::new);
        let found = &mut self.streams[at];
        self.next_event += 1;
        found.ended |= last;
        found.last = Some(event);
        let live = if last { found.live.take() } else { found.live.clone() };
        if live.is_none() {
            found.unheard.get_or_insert(event);
        }
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

    /// Whoever had this queue has gone, or does not read, and has not got what was said last.
    pub(in crate::session) fn leave(&mut self, stream: u32, queue: &mpsc::Sender<Item>, now: u32) {
        let found = self.streams.iter_mut().find(|found| found.number == stream);
        if let Some(stream) = found
            && stream.live.as_ref().is_some_and(|live| live.same_channel(queue))
        {
            stream.live = None;
            stream.left_at = Some(now);
            stream.unheard = stream.last;
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

    /// Goes on after the event of this id.
    pub(in crate::session) fn resume(&mut self, id: &str, queue: usize, now: u32) -> Found {
        let Some((process, stream, after, mark)) = read_id(id) else { return Found::Unknown };
        self.expire(now);
        let known = process == self.process && after < self.next_event;
        let own = |found: &Stream| known && found.number == stream && found.mark == mark;
        let Some(place) = self.streams.iter().position(own) else {
            return if stream == GENERAL { Found::Unknown } else { Found::Ended };
        };
        // What was said since another stream has taken its place was said there; unless it may be
        // that very stream, which has not given an id yet.
        let own = after >= self.streams[place].since;
        let missed = if own { self.kept_after(stream, Some(after)) } else { Vec::new() };
        let (sender, events) = mpsc::channel(queue + missed.len());
        for item in missed {
            // There is room for all of them.
            let _ = sender.try_send(item);
        }
        let found = &mut self.streams[place];
        let perhaps = !own && !found.primed && found.last >= Some(found.since);
        let gap = perhaps || found.lost.is_some_and(|lost| lost > after);
        found.left_at = None;
        found.unheard = None;
        found.live = (!found.ended).then_some(sender);
        Found::Stream(Continued { events, request: found.request.clone(), gap })
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

    /// The request whose answer broke off with an earlier process, by the id of an event on its
    /// stream: its id as JSON text, and whether it called a tool. Whoever sends the id wrote it or
    /// was given it, and alone is answered: it needs no seal.
    pub(in crate::session) fn broken_off(&self, id: &str) -> Option<(String, bool)> {
        let (process, _, _, mark) = read_id(id)?;
        let request = read_mark(mark.strip_prefix('-')?)?;
        (process != self.process).then_some(request)
    }

    fn event_id(&self, stream: u32, event: u64, mark: &str) -> String {
        format!("{:x}-{stream:x}-{event:x}{mark}", self.process)
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

/// The process, the stream and the event of an event's id, and what names the request.
fn read_id(id: &str) -> Option<(u32, u32, u64, &str)> {
    let ends = id.match_indices('-').nth(2).map_or(id.len(), |(at, _)| at);
    let (id, mark) = id.split_at(ends);
    let mut parts = id.split('-');
    let process = u32::from_str_radix(parts.next()?, 16).ok()?;
    let stream = u32::from_str_radix(parts.next()?, 16).ok()?;
    let event = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((process, stream, event, mark))
}

impl Drop for Tapes {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

/// The end of the event ids on the stream of a request: `-t` for a tool's and `-r` for others,
/// and the request's id in hexadecimal digits.
fn mark(request: Option<&(String, bool)>) -> String {
    let Some((id, tool)) = request.filter(|(id, _)| id.len() <= REQUEST) else {
        return String::new();
    };
    let mut mark = String::with_capacity(2 + 2 * id.len());
    mark.push_str(if *tool { "-t" } else { "-r" });
    for byte in id.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(mark, "{byte:02x}");
    }
    mark
}

/// Reads what `mark` wrote, without its dash; none for what cannot be a request's id.
fn read_mark(mark: &str) -> Option<(String, bool)> {
    let tool = match mark.bytes().next()? {
        b't' => true,
        b'r' => false,
        _ => return None,
    };
    let digits = mark.get(1..).filter(|digits| digits.len() <= 2 * REQUEST)?;
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes = digits.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    let id = String::from_utf8(bytes).ok()?;
    let value: serde_json::Value = serde_json::from_str(&id).ok()?;
    ((value.is_string() || value.is_number()) && id.trim() == id).then_some((id, tool))
}
