//! A child's standard output, read as it comes; from one that has more to do than it has looked at
//! a little later.
//!
//! One that works off calls one after the other says something with each of them, and to be woken
//! for each costs more than all the rest of its way. While calls wait in front of such a child it
//! does not work less because an answer lies in the pipe for a moment, so then the pipe is looked
//! at in a fixed rhythm, and what has come meanwhile is taken together.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::frame::{Frame, Framer, LINE_LIMIT};
use super::shared::Shared;

/// How long an answer may lie in the pipe of a child that is behind. (The runtime's clock has no
/// finer steps, so it can be twice as long.)
const RHYTHM: Duration = Duration::from_millis(1);
/// So many calls must still be open.
const MANY: usize = 8;
/// And so long must the last one have taken, so that the rhythm adds little to it.
const LONG: Duration = Duration::from_millis(4);
/// After so many looks without a sign that it is behind it is read as it comes: whoever reads much
/// at once shows one only now and then.
const SIGNLESS: u32 = 3;
/// What one look takes. A pipe holds twice as much: whoever says more is read as it comes.
const LOOK: usize = 32 * 1024;

/// The reader of one child.
pub(super) struct Output {
    pub(super) shared: Arc<Shared>,
    /// The child's standard input, to see whether it has read all of it.
    pub(super) input: Weak<Sender>,
}

/// How a look at the pipe went.
enum Look {
    More,
    Nothing,
    End,
}

impl Output {
    /// Reads until the child closes it.
    pub(super) async fn read(self, mut pipe: Receiver) {
        let mut framer = Framer::new(LINE_LIMIT);
        let mut garbage = 0;
        let mut scratch = Vec::new();
        loop {
            if !pipe.read_buf(framer.space()).await.is_ok_and(|count| count > 0)
                || !self.take(&mut framer, &mut garbage)
            {
                return;
            }
            if !self.is_busy() || !self.has_unread() {
                continue;
            }
            // Out of the runtime's sight, which would be woken by each line all the same.
            let Ok(quiet) = pipe.into_nonblocking_fd() else { return };
            scratch.resize(LOOK, 0);
            let mut signless = 0;
            while signless < SIGNLESS {
                tokio::time::sleep(RHYTHM).await;
                let look = look(&quiet, &mut scratch, &mut framer);
                if matches!(look, Look::End) || !self.take(&mut framer, &mut garbage) {
                    return;
                }
                if matches!(look, Look::Nothing) || !self.is_busy() {
                    break;
                }
                signless = if self.has_unread() { 0 } else { signless + 1 };
            }
            let Ok(again) = Receiver::from_owned_fd_unchecked(quiet) else { return };
            pipe = again;
        }
    }

    /// Hands on the lines that are whole. False when the link does not survive one of them.
    fn take(&self, framer: &mut Framer, garbage: &mut u64) -> bool {
        while let Some(frame) = framer.next() {
            match frame {
                Frame::Line(bytes) => self.shared.line(bytes, garbage),
                Frame::TooLong(head) => {
                    if !self.shared.too_long(&head) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether so much lies before the child that a moment makes no difference to anybody.
    fn is_busy(&self) -> bool {
        self.shared.took() >= LONG && self.shared.open_calls() >= MANY
    }

    /// Whether the child has work before it that it has not even read.
    fn has_unread(&self) -> bool {
        self.input
            .upgrade()
            .is_some_and(|input| rustix::io::ioctl_fionread(&*input).is_ok_and(|unread| unread > 0))
    }
}

/// Takes what is there now.
fn look(pipe: &OwnedFd, scratch: &mut [u8], framer: &mut Framer) -> Look {
    loop {
        return match rustix::io::read(pipe, &mut *scratch) {
            Ok(0) => Look::End,
            Ok(count) => {
                framer.space().extend_from_slice(&scratch[..count]);
                // More than a look takes is more than may lie there.
                if count < scratch.len() { Look::More } else { Look::Nothing }
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => Look::Nothing,
            Err(_) => Look::End,
        };
    }
}
