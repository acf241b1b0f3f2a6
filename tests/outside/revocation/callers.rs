//! Callers that never stop calling, each call with a name of its own.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::revocation::bed::{Bed, Key};
use crate::support::{Answer, Client, Era, Raw, post};

/// Between two calls of a caller.
const PAUSE: Duration = Duration::from_millis(10);
/// Calls of one that is refused, to be sure that it stays so.
const AFTER: usize = 3;

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) call: String,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    /// 0 when the connection broke.
    pub(crate) status: u16,
    /// The upstream's own answer came.
    pub(crate) right: bool,
}

/// One caller, of one of three kinds.
pub(crate) struct Caller {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    era: Option<Era>,
    address: std::net::SocketAddr,
    line: Option<Raw>,
}

impl Caller {
    /// The one at this place: of either era, or over plain HTTP.
    pub(crate) fn new(bed: &Bed, key: &Key, place: usize) -> Self {
        let address = bed.proxy.address();
        let era = [Some(Era::Modern), Some(Era::Legacy), None][place % 3];
        let mut headers = vec![("Authorization", format!("Bearer {}", key.text))];
        headers.push(("Connection", "keep-alive".to_owned()));
        if era == Some(Era::Legacy) {
            let client = Client::connect(Era::Legacy, address, "/mcp", Some(&key.text));
            headers.push(("Mcp-Session-Id", client.session().expect("a session").to_owned()));
        }
        let path = if era.is_some() { "/mcp" } else { "/api/v1/tools/up__echo/call" };
        Self { path, headers, era, address, line: None }
    }

    fn call(&mut self, call: String) -> Told {
        let arguments = json!({ "text": call, "call": call });
        let (body, mut headers) = match self.era {
            Some(era) => {
                let params = era.params(json!({ "name": "up__echo", "arguments": arguments }));
                let headers = era.headers("tools/call", &params);
                (
                    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }),
                    headers,
                )
            }
            None => {
                (json!({ "arguments": arguments }), vec![("Accept", "application/json".to_owned())])
            }
        };
        headers.extend(self.headers.clone());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let bytes = post(self.address, self.path, &headers, body.to_string().as_bytes());
        let sent = Instant::now();
        let answer = self.exchange(&bytes);
        let answered = Instant::now();
        if answer.as_ref().is_none_or(|a| a.header("connection").is_some_and(|c| c == "close")) {
            self.line = None;
        }
        let right = answer.as_ref().is_some_and(|answer| {
            answer.status == 200 && answer.text().contains(&format!("\"text\":\"{call}\""))
        });
        Told { call, sent, answered, status: answer.map_or(0, |answer| answer.status), right }
    }

    fn exchange(&mut self, bytes: &[u8]) -> Option<Answer> {
        let address = self.address;
        let line = self.line.get_or_insert_with(|| Raw::connect(address));
        line.send(bytes).and_then(|()| line.answer()).ok()
    }

    /// Calls until it is refused, and then a few times more.
    pub(crate) fn until_refused(mut self, name: &str, calls: &AtomicUsize) -> Vec<Told> {
        let (mut told, mut refused) = (Vec::new(), 0);
        while refused < AFTER {
            let one = self.call(format!("{name}-{}", told.len()));
            refused += usize::from(one.status == 401);
            told.push(one);
            calls.fetch_add(1, Ordering::Relaxed);
            thread::park_timeout(PAUSE);
        }
        told
    }

    /// Calls until it is told to stop.
    pub(crate) fn until_stopped(
        mut self,
        name: &str,
        calls: &AtomicUsize,
        stop: &AtomicBool,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            told.push(self.call(format!("{name}-{}", told.len())));
            calls.fetch_add(1, Ordering::Relaxed);
            thread::park_timeout(PAUSE);
        }
        told
    }
}
