//! The way of spans to a collector: gathered, sent with a deadline, tried again when the collector
//! says that it may be, and dropped and counted when it does not take them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::context::written;
use super::encode::{encode, spans};
use super::span::{Ended, Trace};
use crate::base::now;
use crate::config::Otlp;
use crate::telemetry::metrics::meters;

/// Requests whose spans go together, and how long the first of them waits for others.
const BATCH: usize = 512;
const WAIT: Duration = Duration::from_secs(1);
/// Longest time for one export with all its tries, and the pause between them.
const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time for what is sent when the process stops.
const LAST: Duration = Duration::from_secs(2);
/// Longest answer that is looked at.
const ANSWER: usize = 64 * 1024;

type Web<C> = Client<C, Full<Bytes>>;

enum Sender {
    Plain(Web<HttpConnector>),
    Tls(Web<HttpsConnector<HttpConnector>>),
}

/// Where spans go.
pub(super) struct Collector {
    sender: Sender,
    url: http::Uri,
    headers: HeaderMap,
    service: String,
    instance: String,
}

impl Collector {
    pub(super) fn new(settings: &Otlp, mut headers: HeaderMap) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(DEADLINE));
        let builder = || Client::builder(TokioExecutor::new());
        let sender = if settings.url.scheme() == "https" {
            let tls =
                HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| {
                    format!(
                        "no root certificates on this machine, install ca-certificates ({error})"
                    )
                })?;
            Sender::Tls(builder().build(tls.https_only().enable_http1().wrap_connector(tcp)))
        } else {
            Sender::Plain(builder().build(tcp))
        };
        let url = settings.url.as_str().parse().map_err(|error| format!("{error}"))?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let instance = written(&getrandom::u64().unwrap_or_default().to_be_bytes());
        Ok(Self { sender, url, headers, service: settings.service.clone(), instance })
    }

    /// One try.
    async fn post(&self, body: Bytes) -> Result<(), Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        let response = match &self.sender {
            Sender::Plain(web) => web.request(request).await,
            Sender::Tls(web) => web.request(request).await,
        };
        let response = response.map_err(|error| Failure { again: true, detail: told(&error) })?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER).collect().await;
        let answer = answer.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        match status.as_u16() {
            200..=299 => match rejected(&answer) {
                0 => Ok(()),
                count => {
                    Err(Failure { again: false, detail: format!("it rejected {count} spans") })
                }
            },
            429 | 502..=504 => Err(Failure { again: true, detail: answered(status) }),
            _ => Err(Failure { again: false, detail: answered(status) }),
        }
    }

    /// All tries.
    async fn send(&self, body: &Bytes, limit: Duration) -> Result<(), String> {
        let mut last = "no answer in time".to_owned();
        let tries = async {
            loop {
                match self.post(body.clone()).await {
                    Ok(()) => return Ok(()),
                    Err(Failure { again: false, detail }) => return Err(detail),
                    Err(Failure { detail, .. }) => last = detail,
                }
                sleep(PAUSE).await;
            }
        };
        let done = timeout(limit, tries).await;
        done.unwrap_or(Err(last))
    }
}

struct Failure {
    again: bool,
    detail: String,
}

fn answered(status: StatusCode) -> String {
    format!("it answered {status}")
}

/// An error with its causes. Its headers are in none of them.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// How many spans a collector did not take, as its answer says (`partialSuccess`).
fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default()
}

/// Sends what comes until the stop, and then what is left.
pub(super) async fn run(
    collector: Collector,
    mut queue: mpsc::Receiver<(Arc<Trace>, Ended)>,
    stop: CancellationToken,
) {
    let mut batch: Vec<Value> = Vec::new();
    let mut well = true;
    loop {
        tokio::select! {
            one = queue.recv() => match one {
                Some((trace, ended)) => batch.extend(spans(&trace, &ended)),
                None => return,
            },
            () = stop.cancelled() => break,
        }
        let until = now() + WAIT;
        while batch.len() < BATCH {
            tokio::select! {
                one = queue.recv() => match one {
                    Some((trace, ended)) => batch.extend(spans(&trace, &ended)),
                    None => break,
                },
                () = sleep_until(until) => break,
                () = stop.cancelled() => break,
            }
        }
        if stop.is_cancelled() {
            break;
        }
        export(&collector, &mut batch, &mut well, &stop).await;
    }
    queue.close();
    while let Ok((trace, ended)) = queue.try_recv() {
        batch.extend(spans(&trace, &ended));
    }
    if !batch.is_empty() {
        export(&collector, &mut batch, &mut well, &stop).await;
    }
}

/// One export. The first failure in a row is told, and the end of the row.
async fn export(
    collector: &Collector,
    batch: &mut Vec<Value>,
    well: &mut bool,
    stop: &CancellationToken,
) {
    let count = batch.len() as u64;
    let body = Bytes::from(encode(&collector.service, &collector.instance, batch));
    batch.clear();
    let hurried = async {
        stop.cancelled().await;
        sleep(LAST).await;
    };
    let sent = tokio::select! {
        sent = collector.send(&body, DEADLINE) => sent,
        () = hurried => Err("the proxy stops".to_owned()),
    };
    match sent {
        Ok(()) => {
            meters().spans_sent.add(count);
            if !std::mem::replace(well, true) {
                tracing::info!("the collector takes spans again");
            }
        }
        Err(reason) => {
            meters().spans_failed.add(count);
            if std::mem::replace(well, false) {
                tracing::warn!(
                    reason,
                    spans = count,
                    "the collector takes no spans (`otlp` in [telemetry]); they are dropped and counted"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_collector_says_what_it_did_not_take() {
        for (answer, count) in [
            (&b""[..], 0),
            (b"{}", 0),
            (b"{\"partialSuccess\":{}}", 0),
            (b"{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3),
            (b"{\"partialSuccess\":{\"rejectedSpans\":4}}", 4),
        ] {
            assert_eq!(super::rejected(answer), count);
        }
    }
}
