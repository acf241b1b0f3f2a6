//! Writing to a child's standard input: by whoever makes a request while nothing else waits, and
//! else by one task.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::net::unix::pipe::Sender;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::Call;

/// Requests and notifications that may wait for the writer.
pub(super) const QUEUE: usize = 64;
/// Cancellations and answers that may wait for it.
pub(super) const CONTROL: usize = 1_024;
/// So much is collected for one write.
const BATCH: usize = 256 * 1024;

/// Something to write, line end included.
#[derive(Debug)]
pub(in crate::upstream) enum Item {
    /// A request.
    Call(Arc<Call>, Bytes),
    /// A notification.
    Note(Bytes),
}

/// Makes one line of a message. Between its tokens a message may hold line breaks, which would
/// cut it in two here; within JSON strings they cannot stand.
pub(super) fn line(mut message: Vec<u8>) -> Vec<u8> {
    if memchr::memchr2(b'\n', b'\r', &message).is_some() {
        for byte in &mut message {
            if matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    message.push(b'\n');
    message
}

/// The right to write past the writer: while nothing is on its way to it, a request that the pipe
/// takes whole or not at all is written where it is made, without a task in between.
#[derive(Debug)]
pub(in crate::upstream) struct Pen {
    /// The writer's: it alone keeps the pipe open.
    pipe: Weak<Sender>,
    /// What was given to the writer and is not written yet.
    ahead: AtomicUsize,
    /// Held from the look at `ahead` until what follows from it is written.
    hand: Mutex<()>,
}

impl Pen {
    pub(super) fn new(pipe: &Arc<Sender>) -> Self {
        Self { pipe: Arc::downgrade(pipe), ahead: AtomicUsize::new(0), hand: Mutex::new(()) }
    }

    /// Something goes to the writer. Called before it is in a queue.
    pub(super) fn wait_for(&self) {
        self.ahead.fetch_add(1, Ordering::AcqRel);
    }

    /// So much of it is written, or will never be.
    pub(super) fn written(&self, count: usize) {
        self.ahead.fetch_sub(count, Ordering::AcqRel);
    }

    /// Writes a request; false when the writer has to.
    pub(super) fn write(&self, call: &Call, line: &[u8]) -> bool {
        // Up to here a pipe takes all or nothing (pipe(7)).
        if line.len() > rustix::pipe::PIPE_BUF {
            return false;
        }
        let Ok(_hand) = self.hand.try_lock() else { return false };
        if self.ahead.load(Ordering::Acquire) > 0 {
            return false;
        }
        let Some(pipe) = self.pipe.upgrade() else { return false };
        if !call.take() {
            return false;
        }
        let written = pipe.try_write(line).is_ok();
        if !written {
            call.give_back();
        }
        written
    }

    /// When this returns, nobody writes past the writer before it has written.
    fn settle(&self) {
        drop(self.hand.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Writes until it is told to stop, or the child closes its standard input. Dropping the pipe
/// at the end is what tells the child, and its guardian, to end.
pub(super) async fn write(
    pipe: Arc<Sender>,
    pen: Arc<Pen>,
    mut queue: mpsc::Receiver<Item>,
    mut control: mpsc::Receiver<Bytes>,
    stop: CancellationToken,
) {
    let mut items = Vec::with_capacity(QUEUE);
    let mut batch = Vec::new();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let mut count = 1;
        tokio::select! {
            biased;
            () = &mut stopped => return,
            Some(message) = control.recv() => batch.extend_from_slice(&message),
            some = queue.recv_many(&mut items, QUEUE) => {
                if some == 0 {
                    return;
                }
                count = some;
            }
        }
        pen.settle();
        for item in items.drain(..) {
            match item {
                Item::Call(call, message) if call.take() => batch.extend_from_slice(&message),
                Item::Call(..) => {}
                Item::Note(message) => batch.extend_from_slice(&message),
            }
            if batch.len() >= BATCH {
                if !write_all(&pipe, &batch, &stop).await {
                    return;
                }
                batch.clear();
            }
        }
        while batch.len() < BATCH
            && let Ok(message) = control.try_recv()
        {
            batch.extend_from_slice(&message);
            count += 1;
        }
        if !batch.is_empty() && !write_all(&pipe, &batch, &stop).await {
            return;
        }
        pen.written(count);
        batch.clear();
        batch.shrink_to(BATCH);
    }
}

/// Gives false when writing is over.
async fn write_all(pipe: &Sender, mut bytes: &[u8], stop: &CancellationToken) -> bool {
    while !bytes.is_empty() {
        match pipe.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::select! {
                    ready = pipe.writable() => if ready.is_err() {
                        stop.cancel();
                        return false;
                    },
                    () = stop.cancelled() => return false,
                }
            }
            // The other end was closed: nothing can be asked of this child any more.
            Err(_) => {
                stop.cancel();
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_means_the_same() {
        let pretty = "{\r\n  \"a\": \"x\\ny\"\n}";
        let text = line(pretty.as_bytes().to_vec());
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(pretty).unwrap());
    }
}
