//! HTTP as an outsider speaks it: one request on a connection of its own, nothing followed,
//! nothing hidden. What fails is named by the layer that it failed in.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use crate::cli::exchange::causes;

/// Longest answer that is read.
const LONGEST: usize = 8 << 20;
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for a whole answer: an upstream may have to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the name `{0}` has no address")]
    Name(String),
    #[error("nobody listens at {0}")]
    Refused(SocketAddr),
    #[error("{0} cannot be connected to: {1}")]
    Connect(SocketAddr, String),
    #[error("there are addresses of IPv6 alone, and {0} cannot be connected to: {1}")]
    Six(SocketAddr, String),
    #[error("{0}")]
    Certificate(Certificate),
    #[error("TLS fails: {0}")]
    Tls(String),
    #[error("no answer within {} seconds", .0.as_secs())]
    Late(Duration),
    #[error("the answer is no HTTP/1.1: {0}")]
    Http(String),
    #[error("the request cannot be written: {0}")]
    Request(String),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Certificate {
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    Early,
    #[error("the certificate is for another name")]
    Name,
    #[error("the certificate is of an issuer that is not trusted here")]
    Issuer,
    #[error("the certificate is not valid")]
    Other,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// It is compressed.
    pub(super) fn is_coded(&self) -> bool {
        !matches!(self.header("content-encoding"), "" | "identity")
    }

    /// The message in it: a document, or the last event of a stream that holds an answer.
    pub(super) fn message(&self) -> Option<serde_json::Value> {
        if !self.header("content-type").starts_with("text/event-stream") {
            return serde_json::from_slice(&self.body).ok();
        }
        let text = self.text().replace("\r\n", "\n");
        let data = |event: &str| -> String {
            event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(str::trim_start)
                .collect()
        };
        text.split("\n\n")
            .filter_map(|event| serde_json::from_str::<serde_json::Value>(&data(event)).ok())
            .find(|message| message.get("id").is_some())
    }
}

/// What clients say that they can unpack.
pub(super) const CODINGS: &str = "gzip, deflate, br";

/// What is wrong with a stream that is compressed, why, and what to do.
pub(super) fn coded(got: &Got) -> (String, &'static str, &'static str) {
    (
        format!("header Content-Encoding: a stream comes as `{}`", got.header("content-encoding")),
        "what compresses on the way collects events before it hands them on, so that they come late",
        "compress no text/event-stream on the way (nginx: not in `gzip_types`; Caddy: `encode` for other types)",
    )
}

/// How much of an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// The head and the first bytes, within this time; then the connection is closed.
    Begin(Duration),
}

/// A request.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn get() -> Self {
        Self { method: "GET", ..Self::default() }
    }

    pub(super) fn post(body: impl Into<String>) -> Self {
        Self { method: "POST", headers: Vec::new(), body: body.into() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The way to one server.
#[derive(Clone)]
pub(super) struct Wire {
    address: Option<SocketAddr>,
    tls: Arc<ClientConfig>,
}

impl Wire {
    /// With the certificates that this machine trusts, or those of a file. `address` is connected
    /// to in the place of what the name says.
    ///
    /// # Errors
    /// With the line to print.
    pub(super) fn new(roots: Option<&Path>, address: Option<SocketAddr>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let tls = match roots {
            Some(path) => {
                let mut store = RootCertStore::empty();
                let certificates = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| format!("--cacert {}: {error}", path.display()))?;
                let (added, _) = store.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err(format!("--cacert {} holds no certificate", path.display()));
                }
                builder.with_root_certificates(store)
            }
            None => builder.try_with_platform_verifier().map_err(|error| {
                format!("no root certificates on this machine, install ca-certificates ({error})")
            })?,
        };
        Ok(Self { address, tls: Arc::new(tls.with_no_client_auth()) })
    }

    /// The addresses of a name, or the one that stands in its place; none where another one is
    /// connected to.
    pub(super) async fn addresses(&self, url: &Url) -> Vec<SocketAddr> {
        if self.address.is_some() {
            return Vec::new();
        }
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or(443);
        tokio::net::lookup_host((name, port)).await.map(Iterator::collect).unwrap_or_default()
    }

    /// The same server at the address that is written, whatever its name says.
    pub(super) fn direct(&self) -> Self {
        Self { address: None, tls: self.tls.clone() }
    }

    /// Sends a request and reads what comes.
    ///
    /// # Errors
    /// With the layer that failed.
    pub(super) async fn ask(
        &self,
        url: &Url,
        asked: &Asked,
        wanted: Wanted,
    ) -> Result<Got, WireError> {
        let patience = match wanted {
            Wanted::Whole => PATIENCE,
            Wanted::Begin(time) => time + CONNECT,
        };
        let done = tokio::time::timeout(patience, Box::pin(self.exchange(url, asked, wanted)));
        done.await.unwrap_or(Err(WireError::Late(patience)))
    }

    async fn exchange(&self, url: &Url, asked: &Asked, wanted: Wanted) -> Result<Got, WireError> {
        let host = url.host_str().unwrap_or_default();
        let stream = self.connect(url, host).await?;
        let request = request(url, asked)?;
        if url.scheme() != "https" {
            return talk(stream, request, wanted).await;
        }
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| WireError::Name(name))?;
        let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
        let stream = connector.connect(name, stream).await.map_err(|error| tls_error(&error))?;
        talk(stream, request, wanted).await
    }

    async fn connect(&self, url: &Url, host: &str) -> Result<TcpStream, WireError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses: Vec<SocketAddr> = match self.address {
            Some(address) => vec![address],
            None => {
                let name = host.trim_matches(['[', ']']);
                let found = tokio::net::lookup_host((name, port)).await;
                found.map_err(|_| WireError::Name(host.to_owned()))?.collect()
            }
        };
        let six = self.address.is_none() && addresses.iter().all(SocketAddr::is_ipv6);
        let mut last = WireError::Name(host.to_owned());
        for address in addresses.into_iter().take(4) {
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A small request that waits for nothing.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    last = WireError::Refused(address);
                }
                Ok(Err(error)) if six => last = WireError::Six(address, error.to_string()),
                Ok(Err(error)) => last = WireError::Connect(address, error.to_string()),
                Err(_) if six => last = WireError::Six(address, "no answer".to_owned()),
                Err(_) => last = WireError::Connect(address, "no answer".to_owned()),
            }
        }
        Err(last)
    }
}

fn request(url: &Url, asked: &Asked) -> Result<Request<Full<Bytes>>, WireError> {
    let wrong = |error: http::Error| WireError::Request(error.to_string());
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut request = Request::builder().method(asked.method).uri(target).header("host", host);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(asked.body.clone()))).map_err(wrong)
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>, wanted: Wanted) -> Result<Got, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let made = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = made.map_err(|error| WireError::Http(causes(&error)))?;
    let mut connection = pin!(connection);
    let mut read = pin!(async {
        let sent = sender.send_request(request);
        let response = match wanted {
            Wanted::Whole => sent.await,
            Wanted::Begin(time) => match tokio::time::timeout(time, sent).await {
                Ok(response) => response,
                Err(_) => return Err(WireError::Late(time)),
            },
        };
        let (head, mut body) = response.map_err(|e| WireError::Http(causes(&e)))?.into_parts();
        let mut bytes = Vec::new();
        loop {
            let frame = match wanted {
                Wanted::Whole => body.frame().await,
                Wanted::Begin(_) if !bytes.is_empty() => break,
                Wanted::Begin(time) => match tokio::time::timeout(time, body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => break,
                },
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|e| WireError::Http(causes(&e)))?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
            if bytes.len() > LONGEST {
                break;
            }
        }
        Ok(Got { status: head.status.as_u16(), headers: head.headers, body: bytes.into() })
    });
    tokio::select! {
        got = &mut read => got,
        // What it read before its end is still there.
        _ = &mut connection => read.await,
    }
}

fn tls_error(error: &std::io::Error) -> WireError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(problem)) = inner else {
        return WireError::Tls(error.to_string());
    };
    WireError::Certificate(match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Certificate::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Certificate::Early
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Certificate::Name
        }
        CertificateError::UnknownIssuer => Certificate::Issuer,
        _ => Certificate::Other,
    })
}
