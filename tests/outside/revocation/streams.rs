//! Streams that stay open until somebody ends them.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::revocation::bed::{Bed, Key};
use crate::support::{Client, Era};

const PATIENCE: Duration = Duration::from_secs(60);
/// How many open streams at a time.
const OPENERS: usize = 4;

/// What kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// GET of a session.
    Session,
    /// `subscriptions/listen`.
    Listen,
    /// A call over plain HTTP that tells how it goes on.
    Rest,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Session, Self::Listen, Self::Rest];
}

/// One that is open, or was.
pub(crate) struct Held {
    pub(crate) kind: Kind,
    socket: TcpStream,
    /// The last bytes that came.
    tail: Vec<u8>,
    ended: bool,
}

impl Held {
    fn open(bed: &Bed, kind: Kind, key: &Key) -> Self {
        let address = bed.proxy.address();
        let (line, headers, body) = match kind {
            Kind::Session => {
                let client = Client::connect(Era::Legacy, address, "/mcp", Some(&key.text));
                let session = client.session().expect("a session");
                let headers =
                    format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
                ("GET /mcp", headers, String::new())
            }
            Kind::Listen => {
                let wanted = json!({ "notifications": { "toolsListChanged": true } });
                let params = Era::Modern.params(wanted);
                let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params });
                let headers =
                    "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
                ("POST /mcp", headers.to_owned(), body.to_string())
            }
            Kind::Rest => {
                let body = json!({ "arguments": { "ms": 250_000 } }).to_string();
                ("POST /api/v1/tools/up__sleep/call", String::new(), body)
            }
        };
        let accept = if kind == Kind::Listen { "application/json, " } else { "" };
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(
            socket,
            "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n{headers}\
             Accept: {accept}text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            key.text,
            body.len()
        )
        .expect("it takes the request");
        let mut held = Self { kind, socket, tail: Vec::new(), ended: false };
        // It is open, and for a call: it runs, when the first event has come.
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(5).any(|bytes| bytes == b"data:") {
            let length = held.socket.read(&mut buffer).expect("its first event comes in time");
            assert!(length > 0, "{kind:?}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..length]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&seen));
        held.note(&seen);
        held.socket.set_nonblocking(true).expect("a socket");
        held
    }

    /// Opens so many for a key, of all kinds in turns.
    pub(crate) fn open_many(bed: &Bed, key: &Key, count: usize) -> Vec<Self> {
        thread::scope(|scope| {
            let some = (0..OPENERS).map(|opener| {
                let mine = (opener..count).step_by(OPENERS);
                let kinds = mine.map(|at| Kind::ALL[at % Kind::ALL.len()]);
                scope.spawn(|| kinds.map(|kind| Self::open(bed, kind, key)).collect::<Vec<_>>())
            });
            let some: Vec<_> = some.collect();
            some.into_iter().flat_map(|opener| opener.join().expect("it opens them")).collect()
        })
    }

    fn note(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.tail.drain(..self.tail.len().saturating_sub(7));
        self.ended |= self.tail == b"\r\n0\r\n\r\n";
    }

    /// Whether it has ended; reads what has come.
    pub(crate) fn has_ended(&mut self) -> bool {
        let mut buffer = [0; 4096];
        while !self.ended {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.note(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        self.ended
    }
}

/// Waits until all of these have ended; gives when that was.
pub(crate) fn all_ended(streams: &mut [Held]) -> Instant {
    let end = Instant::now() + PATIENCE;
    loop {
        let open: Vec<Kind> = streams
            .iter_mut()
            .filter_map(|held| (!held.has_ended()).then_some(held.kind))
            .collect();
        if open.is_empty() {
            return Instant::now();
        }
        assert!(Instant::now() < end, "{} are still open: {:?}", open.len(), &open[..1]);
        thread::park_timeout(Duration::from_millis(2));
    }
}
