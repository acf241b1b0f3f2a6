//! Following a message that arrives in pieces down to where it is changed.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::rules::{Care, Role, Rules};
use crate::pipeline::relay::Asked;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{Malformed, Skip};

/// Most that is held of a value that must be read whole (a URI, `_meta`) in the midst of an
/// answer, in bytes.
const HELD: usize = 1 << 20;

/// The answer is not what it began as, or no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is broken, or says late that it is no answer")]
pub struct Broken;

impl From<JsonError> for Broken {
    fn from(_: JsonError) -> Self {
        Self
    }
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// Changes an answer while it goes through.
#[derive(Debug)]
pub struct Sieve {
    rules: Rules,
    /// The containers that are looked into, from the outermost to the one that it stands in.
    roles: Vec<Role>,
    due: Due,
    /// A value that is passed over.
    skip: Option<Skip>,
    /// What has come of a key or value that is read whole.
    held: BytesMut,
    /// The result has no member so far.
    empty: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The first member of the innermost container, or its end.
    First,
    /// A member.
    Member,
    /// The value of a member.
    Value(Care),
    /// A comma, or the end of the innermost container.
    More,
    /// Nothing.
    Nothing,
}

/// What became of a piece that was looked at.
enum Seen {
    /// All up to here can go out.
    Up(usize),
    /// The same, with something else from here to there.
    Changed(usize, usize, Bytes),
    /// More must come before what begins here can be read.
    Begun(usize),
}

impl Sieve {
    /// For the answer to our request of this number; `None` when it must be read whole.
    pub(in crate::pipeline) fn new(asked: &Asked, ours: u64) -> Option<Self> {
        Rules::new(asked, ours).map(Self::with)
    }

    pub(super) fn with(rules: Rules) -> Self {
        Self {
            rules,
            roles: Vec::with_capacity(5),
            due: Due::Value(Care::Enter(Role::Envelope)),
            skip: None,
            held: BytesMut::new(),
            empty: true,
        }
    }

    /// Whether enough has been seen to let the rest go through; if so it must.
    pub(in crate::pipeline) fn settle(&mut self) -> bool {
        self.rules.settle()
    }

    /// The result says that it is an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.rules.failed()
    }

    /// To be asked when nothing more comes.
    ///
    /// # Errors
    /// When the message is not whole.
    pub fn end(&self) -> Result<(), Broken> {
        if self.due == Due::Nothing && self.held.is_empty() { Ok(()) } else { Err(Broken) }
    }

    /// Takes the next piece of the message, and appends to `out` what of it goes on.
    ///
    /// # Errors
    /// When it is no JSON, or no answer that may go through.
    pub fn take(&mut self, piece: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        let text = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            self.held.split().freeze()
        };
        let (mut gone, mut at) = (0, 0);
        let mut send = |bytes: Bytes| {
            if !bytes.is_empty() {
                out.push_back(bytes);
            }
        };
        while at < text.len() {
            match self.look(&text, at)? {
                Seen::Up(to) => at = to,
                Seen::Changed(from, to, bytes) => {
                    send(text.slice(gone..from));
                    send(bytes);
                    (gone, at) = (to, to);
                }
                Seen::Begun(from) => {
                    send(text.slice(gone..from));
                    if text.len() - from > HELD {
                        return Err(Broken);
                    }
                    self.held.extend_from_slice(&text[from..]);
                    return Ok(());
                }
            }
        }
        send(text.slice(gone..));
        Ok(())
    }

    /// Looks at the next thing in `text`, which begins at `at` or, after white space, behind it.
    fn look(&mut self, text: &Bytes, at: usize) -> Result<Seen, Broken> {
        if let Some(skip) = &mut self.skip {
            let end = skip.take(&text[at..])?;
            if end.is_some() {
                self.skip = None;
            }
            return Ok(Seen::Up(end.map_or(text.len(), |length| at + length)));
        }
        let at = at + blanks(&text[at..]);
        let Some(&byte) = text.get(at) else { return Ok(Seen::Up(at)) };
        match (self.due, self.roles.last().copied()) {
            (Due::First | Due::More, Some(role)) if byte == role.closes() => {
                Ok(self.close(role, at))
            }
            (Due::More, Some(_)) if byte == b',' => {
                self.due = Due::Member;
                Ok(Seen::Up(at + 1))
            }
            (Due::First | Due::Member, Some(role)) if role.is_array() => {
                self.due = Due::Value(Rules::item(role));
                Ok(Seen::Up(at))
            }
            (Due::First | Due::Member, Some(role)) if byte == b'"' => self.key(role, text, at),
            (Due::Value(care), _) => self.value(care, text, at),
            _ => Err(Broken),
        }
    }

    fn close(&mut self, role: Role, at: usize) -> Seen {
        self.roles.pop();
        self.due = if self.roles.is_empty() { Due::Nothing } else { Due::More };
        let missing = if role == Role::Result { self.rules.missing(self.empty) } else { None };
        match missing {
            Some(mut members) => {
                members.push('}');
                Seen::Changed(at, at + 1, Bytes::from(members))
            }
            None => Seen::Up(at + 1),
        }
    }

    /// A key and its colon.
    fn key(&mut self, role: Role, text: &[u8], at: usize) -> Result<Seen, Broken> {
        let Some(length) = Skip::new(0).take(&text[at..])? else { return Ok(Seen::Begun(at)) };
        let key = std::str::from_utf8(&text[at..at + length]).map_err(|_| Broken)?;
        let key = Reader::new(key, 0).string()?;
        let colon = at + length + blanks(&text[at + length..]);
        match text.get(colon) {
            None => return Ok(Seen::Begun(at)),
            Some(b':') => {}
            Some(_) => return Err(Broken),
        }
        self.empty &= role != Role::Result;
        self.due = Due::Value(self.rules.member(role, &key)?);
        Ok(Seen::Up(colon + 1))
    }

    fn value(&mut self, care: Care, text: &[u8], at: usize) -> Result<Seen, Broken> {
        let begins = matches!(text[at], b'"' | b'{' | b'[');
        if let Care::Enter(role) = care
            && text[at] == role.opens()
        {
            self.roles.push(role);
            self.due = Due::First;
            return Ok(Seen::Up(at + 1));
        }
        // A message is an object.
        if self.roles.is_empty() || care == Care::Object && text[at] != b'{' {
            return Err(Broken);
        }
        let mut skip = Skip::new(UPSTREAM_DEPTH - u32::try_from(self.roles.len()).unwrap_or(0));
        if begins && !matches!(care, Care::Keep(_)) {
            self.skip = Some(skip);
            self.due = Due::More;
            return Ok(Seen::Up(at));
        }
        let length = if begins { skip.take(&text[at..])? } else { scalar(&text[at..]) };
        let Some(length) = length else { return Ok(Seen::Begun(at)) };
        let value = std::str::from_utf8(&text[at..at + length]).map_err(|_| Broken)?;
        let mut reader = Reader::new(value, UPSTREAM_DEPTH);
        reader.value()?;
        reader.end()?;
        self.due = Due::More;
        let changed = match care {
            Care::Keep(word) => self.rules.keep(word, value)?,
            _ => None,
        };
        Ok(match changed {
            Some(changed) => {
                let bytes = Bytes::copy_from_slice(changed.as_bytes());
                Seen::Changed(at, at + length, bytes)
            }
            None => Seen::Up(at + length),
        })
    }
}

fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Length of a number or literal; `None` when it may go on.
fn scalar(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
}
