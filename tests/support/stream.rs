//! An event stream, read line by line.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its id, empty when it has none.
    pub(crate) id: String,
    /// After how many milliseconds a client is to come back, when it says so.
    pub(crate) retry: Option<u64>,
    /// Its message; null when it carries none.
    pub(crate) message: Value,
}

/// An open event stream.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Sends a request whose answer is a stream.
    pub(crate) fn open(address: SocketAddr, line: &str, headers: &str, body: &str) -> Self {
        let (status, stream) = Self::ask(address, line, headers, body);
        assert!(status.contains(" 200 "), "{status}");
        stream
    }

    /// Sends a request and gives the line with its status, too.
    pub(crate) fn ask(
        address: SocketAddr,
        line: &str,
        headers: &str,
        body: &str,
    ) -> (String, Self) {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\n{headers}\r\nHost: {address}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("it takes the request");
        let mut lines = Self(BufReader::new(stream));
        let status = lines.line().expect("a status");
        (status, lines)
    }

    /// The next line; none when the stream has ended, which is the last chunk or the connection's
    /// end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            read => drop(read.expect("nothing came in time")),
        }
        let end = line.is_empty();
        let line = line.trim_end();
        (!end && line != "0").then(|| line.to_owned())
    }

    /// The next event; none when there is none within this time.
    pub(crate) fn event_within(&mut self, patience: Duration) -> Option<Event> {
        self.0.get_ref().set_read_timeout(Some(patience)).expect("a socket");
        let mut there = false;
        while let Ok(bytes) = self.0.fill_buf() {
            there = bytes.windows(5).any(|bytes| bytes == b"data:");
            if there || bytes.is_empty() {
                break;
            }
            // What frames the chunks is no event.
            let length = bytes.len();
            self.0.consume(length);
        }
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket");
        there.then(|| self.event()).flatten()
    }

    /// The next event; none when the stream has ended.
    ///
    /// # Panics
    /// When nothing but comments comes for half a minute.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let end = Instant::now() + PATIENCE;
        let mut event = Event { id: String::new(), retry: None, message: Value::Null };
        loop {
            let line = self.line()?;
            assert!(Instant::now() < end, "no event came in time");
            if let Some(id) = line.strip_prefix("id:") {
                event.id = id.trim().to_owned();
            } else if let Some(retry) = line.strip_prefix("retry:") {
                event.retry = retry.trim().parse().ok();
            } else if let Some(data) = line.strip_prefix("data:") {
                if !data.trim().is_empty() {
                    event.message = serde_json::from_str(data).expect("JSON");
                }
                return Some(event);
            }
        }
    }

    /// The next message of this method.
    pub(crate) fn hears(&mut self, method: &str) -> Value {
        loop {
            let event = self.event().unwrap_or_else(|| panic!("the stream ended before {method}"));
            if event.message["method"] == method {
                return event.message;
            }
        }
    }
}
