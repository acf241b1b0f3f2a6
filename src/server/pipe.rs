//! The door of clients that start a process: one message a line, in on one pipe and out on the
//! other (both eras; protocol.md 1.8, R73).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::conversation::Conversation;
use super::message::Messages;
use crate::base::{Fault, Kind, Tasks};
use crate::pipeline::{Line, Outcome, Posting};
use crate::wire::{Era, IdText};

/// Messages that wait for a client that reads slowly.
const QUEUE: usize = 16;
/// How long requests may still run when the client says nothing more.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the last messages may take to be written.
const LAST: Duration = Duration::from_secs(1);

/// Why a conversation over pipes is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client closed its end.
    Client,
    /// The process is to stop.
    Stop,
    /// The key was revoked, or its tenant is gone.
    Key,
    /// The session is over, or the client takes nothing any more.
    Session,
}

/// Speaks with whoever `template` names until either end is closed or `stop` fires. A line is
/// at most `longest` bytes.
pub async fn pipe(
    line: Arc<Line>,
    tasks: &Tasks,
    template: Posting,
    longest: usize,
    (input, output): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin + Send + 'static),
    stop: CancellationToken,
) -> Ended {
    let (out, messages) = mpsc::channel(QUEUE);
    let key = template.principal.ended().clone();
    let conversation = Conversation::new(line.clone(), tasks.clone(), template, out, framed);
    let over = conversation.ended().clone();
    let mut writer = tasks.spawn("standard output", write(messages, output, over.clone()));
    let ended = tokio::select! {
        () = hear(BufReader::new(input), &conversation, longest) => Ended::Client,
        () = stop.cancelled() => Ended::Stop,
        () = key.cancelled() => Ended::Key,
        () = over.cancelled() => Ended::Session,
    };
    if matches!(ended, Ended::Client | Ended::Stop) {
        line.drain();
        conversation.settle(SETTLE).await;
    }
    // Bounded as well: it may have to tell an upstream.
    let _ = tokio::time::timeout(LAST, conversation.end()).await;
    let _ = tokio::time::timeout(LAST, &mut writer).await;
    ended
}

/// Hears the client out. What goes wrong with its pipe is the same as its end.
async fn hear(
    mut input: impl AsyncBufRead + Unpin,
    conversation: &Arc<Conversation>,
    longest: usize,
) {
    loop {
        let refused = match next_line(&mut input, longest).await {
            Ok(Some(Some(body))) if body.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(Some(Some(body))) => match conversation.take(body).await {
                Ok(()) => continue,
                Err(refused) => *refused,
            },
            Ok(Some(None)) => too_long(longest),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "standard input broke off");
                return;
            }
        };
        let (mut messages, _) = Messages::of(refused);
        while let Some(message) = messages.next().await {
            conversation.say(&message).await;
        }
    }
}

/// The next line without its end; an inner `None` when it was too long and was passed over, an
/// outer one at the end of the input.
async fn next_line(
    input: &mut (impl AsyncBufRead + Unpin),
    longest: usize,
) -> std::io::Result<Option<Option<Bytes>>> {
    let (mut line, mut fits) = (Vec::new(), true);
    loop {
        let some = input.fill_buf().await?;
        if some.is_empty() {
            // A last line may lack its end.
            return Ok((!line.is_empty() && fits).then(|| Some(Bytes::from(line))));
        }
        let end = memchr::memchr(b'\n', some);
        let piece = &some[..end.unwrap_or(some.len())];
        fits &= line.len() + piece.len() <= longest;
        if fits {
            line.extend_from_slice(piece);
        }
        let read = end.map_or(some.len(), |end| end + 1);
        input.consume(read);
        if end.is_some() {
            return Ok(Some(fits.then(|| Bytes::from(line))));
        }
    }
}

fn too_long(longest: usize) -> Outcome {
    let sentence = format!("The message is larger than {longest} bytes (`max_body` in [server])");
    let answer = Err(Fault::client(Kind::TooLarge, sentence));
    Outcome { id: IdText::new_static("null"), era: Era::Legacy, tool: false, answer }
}

/// Writes messages until the conversation is over, and then those that wait already.
async fn write(
    mut messages: mpsc::Receiver<Result<Bytes, Box<Fault>>>,
    mut output: impl AsyncWrite + Unpin,
    over: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = messages.recv() => next,
            () = over.cancelled() => None,
        };
        let Some(Ok(message)) = next else { break };
        let written = async {
            output.write_all(&message).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "standard output broke off");
            break;
        }
    }
    over.cancel();
}

/// One message as one line. Outside of strings, where it cannot stand, a line break is space.
fn framed(message: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend_from_slice(message);
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &line[from..]) {
        line[from + at] = b' ';
        from += at + 1;
    }
    line.push(b'\n');
    Bytes::from(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_and_long_ones_not_at_all() {
        let mut input = BufReader::with_capacity(3, &b"ab\n\n12345678\r\nlong long long\nlast"[..]);
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, 9).await.unwrap() {
            lines.push(line.map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(lines, [some("ab"), some(""), some("12345678\r"), None, some("last")]);
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(framed(b"{\n \"a\":\r\n1}\n"), "{  \"a\":  1} \n");
        assert_eq!(framed(b"{}"), "{}\n");
    }
}
