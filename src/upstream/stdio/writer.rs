//! The one task that writes to a child's standard input.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
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
pub(super) fn line(mut message: Vec<u8>) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &message).is_some() {
        for byte in &mut message {
            if matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    message.push(b'\n');
    Bytes::from(message)
}

/// Writes until it is told to stop, or the child closes its standard input. Dropping the pipe
/// at the end is what tells the child, and its guardian, to end.
pub(super) async fn write(
    mut pipe: ChildStdin,
    mut queue: mpsc::Receiver<Item>,
    mut control: mpsc::Receiver<Bytes>,
    stop: CancellationToken,
) {
    let mut items = Vec::with_capacity(QUEUE);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(message) = control.recv() => batch.extend_from_slice(&message),
            count = queue.recv_many(&mut items, QUEUE) => if count == 0 { return },
        }
        // Most often there is one message, which goes out without a copy.
        if let (true, Some(Item::Call(call, message))) = (items.len() == 1, items.first()) {
            let sent = !call.take() || write_all(&mut pipe, message, &stop).await;
            items.clear();
            if !sent {
                return;
            }
        }
        for item in items.drain(..) {
            match item {
                Item::Call(call, message) if call.take() => batch.extend_from_slice(&message),
                Item::Call(..) => {}
                Item::Note(message) => batch.extend_from_slice(&message),
            }
            if batch.len() >= BATCH {
                if !write_all(&mut pipe, &batch, &stop).await {
                    return;
                }
                batch.clear();
            }
        }
        while batch.len() < BATCH
            && let Ok(message) = control.try_recv()
        {
            batch.extend_from_slice(&message);
        }
        if !batch.is_empty() && !write_all(&mut pipe, &batch, &stop).await {
            return;
        }
        batch.clear();
        batch.shrink_to(BATCH);
    }
}

/// Gives false when writing is over.
async fn write_all(pipe: &mut ChildStdin, bytes: &[u8], stop: &CancellationToken) -> bool {
    tokio::select! {
        result = pipe.write_all(bytes) => {
            // The other end was closed: nothing can be asked of this child any more.
            if result.is_err() {
                stop.cancel();
            }
            result.is_ok()
        }
        () = stop.cancelled() => false,
    }
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
