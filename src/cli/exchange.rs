//! One HTTP exchange with a proxy: over the socket of the one that serves the store here, or over
//! the network. No redirect is followed, and no proxy of the environment is used, since every
//! request carries a key.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

/// Longest answer in bytes: a page of the longest entries.
const LONGEST: usize = 16 << 20;
/// Longest time that an answer may take: an upstream may have to start for it.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

/// A client for one server on the network.
pub(super) struct Network(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Network {
    /// With the certificates that this machine trusts.
    pub(super) fn new() -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| {
            format!("no root certificates on this machine, install ca-certificates ({error})")
        })?;
        let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(tls)))
    }

    /// Sends a request and reads the answer.
    pub(super) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, String> {
        let asked = async {
            let response = self.0.request(request).await.map_err(|error| causes(&error))?;
            whole(response).await
        };
        in_time(asked).await
    }
}

/// Sends a request over a connection of its own and reads the answer.
pub(super) async fn ask_local(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String> {
    let asked = async {
        let made = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = made.map_err(|error| causes(&error))?;
        let mut connection = pin!(connection);
        let mut asked = pin!(async {
            let response = sender.send_request(request).await.map_err(|error| causes(&error))?;
            whole(response).await
        });
        tokio::select! {
            answer = &mut asked => answer,
            // What it read before its end is still there.
            _ = &mut connection => asked.await,
        }
    };
    in_time(asked).await
}

async fn whole(response: Response<Incoming>) -> Result<Response<Bytes>, String> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

async fn in_time<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} seconds", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(late)
}

/// An error with what caused it: the outermost one alone says little.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
