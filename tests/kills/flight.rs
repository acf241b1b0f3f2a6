//! One call of a caller who hides nothing, split into its begin and its end.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    book::Fate,
    support::{Era, Raw, Stream, post, sentence},
};

/// What a client hears that comes back for an answer which an earlier proxy has begun.
const RESTARTED: &str = "The proxy was restarted while it worked on this. The request may have been executed; \
                         check before you repeat it.";

/// Where calls go and with what.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    pub(crate) key: &'static str,
    pub(crate) session: String,
}

/// Which tool.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    Echo,
    /// Answers after so many milliseconds.
    Sleep(u64),
    /// Does not answer as long as any test runs.
    Forever,
}

/// What is called.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) upstream: &'static str,
    /// The name under which the upstream writes it down.
    pub(crate) call: String,
    pub(crate) tool: Tool,
    /// Whether progress is asked for, so that its answer has begun before it ends.
    pub(crate) progress: bool,
}

impl Ask {
    /// The tool's public name, its arguments, and what a right answer says.
    pub(crate) fn tool(&self) -> (String, Value, String) {
        let Self { upstream, call, .. } = self;
        match self.tool {
            Tool::Echo => {
                (format!("{upstream}__echo"), json!({"text": call, "call": call}), call.clone())
            }
            Tool::Sleep(ms) => {
                let arguments = json!({"ms": ms, "call": call});
                (format!("{upstream}__sleep"), arguments, format!("slept {ms} ms"))
            }
            Tool::Forever => {
                let arguments = json!({"count": 3_600, "ms": 1_000, "call": call});
                (format!("{upstream}__tick"), arguments, "tick ticked 3600 times".to_owned())
            }
        }
    }

    /// What a tool's result, or an error, means.
    pub(crate) fn fate(&self, result: &Value, error: &Value) -> Fate {
        let (.., right) = self.tool();
        let said = result["content"][0]["text"].as_str();
        let failed = result["isError"] == true;
        if !failed && said == Some(&right) {
            return Fate::Right;
        }
        told(self.upstream, failed, said.unwrap_or_default())
            .unwrap_or_else(|| Fate::Wrong(format!("{result} {error}")))
    }
}

/// Reads the typed sentence.
fn told(upstream: &str, failed: bool, said: &str) -> Option<Fate> {
    if failed && said == RESTARTED {
        return Some(Fate::MayHaveRun("the proxy was restarted".to_owned()));
    }
    let told = sentence(upstream, failed, said)?;
    let (happened, ran) = told.rsplit_once(", ")?;
    Some(match ran {
        "was not executed" => Fate::NotRun(happened.to_owned()),
        _ => Fate::MayHaveRun(happened.to_owned()),
    })
}

/// A call whose answer is still to come.
pub(crate) struct Flight {
    raw: Raw,
    pub(crate) ask: Ask,
    began: Instant,
}

impl Flight {
    /// Sends it, if somebody listens.
    pub(crate) fn begin(way: &Way, era: Era, ask: Ask) -> Result<Self, (Ask, Fate)> {
        let (name, arguments, _) = ask.tool();
        let mut params = era.params(json!({"name": name, "arguments": arguments}));
        if ask.progress {
            params["_meta"]["progressToken"] = json!(ask.call);
        }
        let body =
            json!({"jsonrpc": "2.0", "id": ask.call, "method": "tools/call", "params": params});
        let mut headers = era.headers("tools/call", &params);
        headers.push(("Authorization", format!("Bearer {}", way.key)));
        if era == Era::Legacy {
            headers.push(("Mcp-Session-Id", way.session.clone()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let bytes = post(way.address, "/mcp", &headers, body.to_string().as_bytes());
        let began = Instant::now();
        let Ok(mut raw) = Raw::try_connect(way.address) else { return Err((ask, Fate::Unreached)) };
        match raw.send(&bytes) {
            Ok(()) => Ok(Self { raw, ask, began }),
            Err(_) => Err((ask, Fate::Ended)),
        }
    }

    /// Waits for its answer.
    pub(crate) fn finish(mut self) -> (Ask, Fate, Duration) {
        let fate = match self.raw.answer() {
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                Fate::Wrong("no answer in time".to_owned())
            }
            Err(_) => Fate::Ended,
            Ok(answer) => {
                let found = answer
                    .messages()
                    .into_iter()
                    .find(|m| m["id"] == self.ask.call && m["method"].is_null());
                match found {
                    Some(message) => self.ask.fate(&message["result"], &message["error"]),
                    None => Fate::Wrong(format!("{} {}", answer.status, answer.text())),
                }
            }
        };
        (self.ask, fate, self.began.elapsed())
    }
}

/// A call of the legacy era whose answer has begun, so that its client can come back for the rest.
pub(crate) struct Cut {
    stream: Stream,
    event: String,
    pub(crate) ask: Ask,
}

impl Cut {
    /// Sends it and waits for its first event.
    pub(crate) fn begin(way: &Way, ask: Ask) -> Self {
        let (name, arguments, _) = ask.tool();
        let body = json!({"jsonrpc": "2.0", "id": ask.call, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}});
        let mut stream =
            Stream::open(way.address, "POST /mcp", &Self::headers(way), &body.to_string());
        let event = stream.event().expect("its first event").id;
        Self { stream, event, ask }
    }

    fn headers(way: &Way) -> String {
        format!("Authorization: Bearer {}\r\nMcp-Session-Id: {}", way.key, way.session)
    }

    /// The connection ends; then its client comes back.
    pub(crate) fn ends(&mut self) {
        assert!(self.stream.event().is_none(), "{:?}", self.ask);
    }

    /// Comes back for the answer.
    pub(crate) fn finish(self, way: &Way) -> (Ask, Fate) {
        let headers = format!("{}\r\nLast-Event-ID: {}", Self::headers(way), self.event);
        let mut stream = Stream::open(way.address, "GET /mcp", &headers, "");
        let message = stream.event().expect("an answer").message;
        assert_eq!(message["id"], self.ask.call, "{message}");
        let fate = self.ask.fate(&message["result"], &message["error"]);
        assert!(stream.event().is_none(), "nothing follows");
        (self.ask, fate)
    }
}
