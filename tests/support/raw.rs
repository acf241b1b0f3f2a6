//! HTTP/1.1 written and read by hand, for bytes that no honest client sends.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Header names in lower case, values as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The messages in the body: one of JSON, or each event of a stream.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let stream =
            self.header("content-type").is_some_and(|t| t.starts_with("text/event-stream"));
        if !stream {
            return serde_json::from_slice(&self.body).into_iter().collect();
        }
        let text = self.text().replace("\r\n", "\n");
        let data = |event: &str| {
            event.lines().filter_map(|l| l.strip_prefix("data:")).map(str::trim).collect::<String>()
        };
        text.split("\n\n").filter_map(|event| serde_json::from_str(&data(event)).ok()).collect()
    }

    /// The JSON-RPC error code in the body.
    pub(crate) fn code(&self) -> Option<i64> {
        self.messages().iter().find_map(|message| message["error"]["code"].as_i64())
    }
}

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    pending: Vec<u8>,
    /// Streams are not read to their end.
    endless: bool,
}

impl Raw {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the server listens")
    }

    /// Connects, if somebody listens.
    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, pending: Vec::new(), endless: false })
    }

    /// One request on a connection of its own.
    pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Answer> {
        let mut raw = Self::connect(address);
        // A server that refuses early may close before all is written; its answer still counts.
        let _ = raw.send(bytes);
        // The answer to HEAD has the length of a body and no body.
        if bytes.starts_with(b"HEAD ") {
            return raw.head();
        }
        // A stream that does not end by itself is its head here.
        raw.endless = bytes.starts_with(b"GET /api/v1/events");
        raw.answer()
    }

    /// Writes as it is.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Reads one answer; 1xx are passed over.
    pub(crate) fn answer(&mut self) -> std::io::Result<Answer> {
        loop {
            let answer = self.one()?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    /// Reads status and headers only, of a stream that does not end by itself.
    pub(crate) fn head(&mut self) -> std::io::Result<Answer> {
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at;
            }
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        self.pending.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {head:?}")))?;
        Ok(Answer { status, headers, body: Vec::new() })
    }

    /// True when the server closes within this time; what it still sends is read away.
    pub(crate) fn closes_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a TCP socket");
            self.pending.clear();
            match self.more() {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    let waiting = matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    );
                    if !waiting {
                        return true;
                    }
                }
            }
        }
    }

    fn one(&mut self) -> std::io::Result<Answer> {
        let mut answer = self.head()?;
        let streams = answer.header("content-type") == Some("text/event-stream");
        if self.endless && streams {
            return Ok(answer);
        }
        let length = answer.header("content-length").and_then(|value| value.parse().ok());
        if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            answer.body = self.chunks()?;
        } else if let Some(length) = length {
            answer.body = self.exactly(length)?;
        } else if answer.status >= 200 && answer.status != 204 && answer.status != 304 {
            while self.more()? > 0 {}
            answer.body = std::mem::take(&mut self.pending);
        }
        Ok(answer)
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.pending, b"\r\n") {
                    break self.pending.drain(..at + 2).collect::<Vec<_>>();
                }
                if self.more()? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            };
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
                .map_err(std::io::Error::other)?;
            let chunk = self.exactly(size + 2)?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn exactly(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        while self.pending.len() < length {
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let length = self.stream.read(&mut buffer)?;
        self.pending.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// Stands for a header that is not sent.
pub(crate) const ABSENT: &str = "\u{0}";

/// A POST of JSON with the headers that every MCP client sends, and these besides.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut text = format!("POST {path} HTTP/1.1\r\n");
    let length = body.len().to_string();
    let host = address.to_string();
    let usual = [
        ("Host", host.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Length", length.as_str()),
        ("Connection", "close"),
    ];
    for (name, value) in usual.iter().filter(|(name, _)| !has(name)).chain(headers) {
        if *value == ABSENT {
            continue;
        }
        text += &format!("{name}: {value}\r\n");
    }
    [text.as_bytes(), b"\r\n", body].concat()
}
