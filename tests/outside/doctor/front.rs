//! A reverse proxy with TLS that can be broken in many ways.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The name under which it is reached.
pub(crate) const NAME: &str = "mcp.example.test";

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Another name in the place of Host.
    OtherHost,
    /// No Host at all.
    NoHost,
    /// Answers are collected before they are handed on.
    Buffer,
    /// Metadata of a login of its own at the roots.
    Metadata,
    /// A redirect that adds a slash.
    Slash,
    /// Its clock is ten minutes fast.
    Clock,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is for another name.
    OtherName,
    /// It leads to another server.
    Elsewhere,
    /// It compresses streams.
    Gzip,
    /// It speaks HTTP/1.0 to what is behind it, as the second of two.
    Old,
    /// It keeps the key to itself.
    NoKey,
    /// It takes no request without TLS.
    Secure,
    /// A guard against robots answers in the place of the proxy, but for probes.
    Guard,
    /// The same for everything.
    GuardOfAll,
}

/// The reverse proxy.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// The authority of its certificates, as PEM.
    pub(crate) authority: String,
    state: Arc<Mutex<(Fault, Option<SocketAddr>)>>,
}

impl Front {
    /// Listens, and answers 502 until there is something behind it.
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (authority, good, expired, other) = certificates();
        let state = Arc::new(Mutex::new((Fault::None, None)));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (fault, behind) = *shared.lock().expect("no holder panics");
                let config = match fault {
                    Fault::Expired => &expired,
                    Fault::OtherName => &other,
                    _ => &good,
                };
                let config = config.clone();
                thread::spawn(move || serve(stream, config, fault, behind));
            }
        });
        Self { address, authority, state }
    }

    /// From now on it forwards to this address.
    pub(crate) fn lead_to(&self, behind: SocketAddr) {
        self.state.lock().expect("no holder panics").1 = Some(behind);
    }

    /// From now on this is wrong with it.
    pub(crate) fn suffer(&self, fault: Fault) {
        self.state.lock().expect("no holder panics").0 = fault;
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{NAME}:{}", self.address.port())
    }
}

type Configs = (String, Arc<ServerConfig>, Arc<ServerConfig>, Arc<ServerConfig>);

fn certificates() -> Configs {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let config = |name: &str, until: i32| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("they fit"))
    };
    let configs = (config(NAME, 2100), config(NAME, 2021), config("other.example.test", 2100));
    (authority.as_ref().pem(), configs.0, configs.1, configs.2)
}

fn serve(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    fault: Fault,
    behind: Option<SocketAddr>,
) {
    if fault == Fault::Secure && stream.peek(&mut [0]).is_ok() {
        let port = stream.local_addr().expect("it is connected").port();
        let _ = read(&mut stream);
        let _ = write!(
            stream,
            "HTTP/1.1 301 Moved Permanently\r\nLocation: https://{NAME}:{port}/livez\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return;
    }
    let connection = ServerConnection::new(config).expect("a configuration");
    let mut client = StreamOwned::new(connection, stream);
    // Whoever refuses the certificate goes away.
    let _ = forward(&mut client, fault, behind);
    client.conn.send_close_notify();
    let _ = client.flush();
}

fn forward(
    client: &mut (impl Read + Write),
    fault: Fault,
    behind: Option<SocketAddr>,
) -> std::io::Result<()> {
    let (head, body) = read(client)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if fault == Fault::Elsewhere {
        return say(client, "200 OK", "text/html", "<h1>Welcome</h1>");
    }
    if fault == Fault::GuardOfAll || fault == Fault::Guard && path != "/livez" {
        return say(
            client,
            "403 Forbidden",
            "text/html; charset=UTF-8",
            "<title>Attention</title>",
        );
    }
    if fault == Fault::Slash && path == "/mcp" {
        return client.write_all(
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: /mcp/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    if fault == Fault::Metadata && path == "/.well-known/oauth-authorization-server" {
        let document = "{\"issuer\":\"https://login.example.test\",\"token_endpoint\":\"x\"}";
        return say(client, "200 OK", "application/json", document);
    }
    let Some(mut server) = behind.and_then(|behind| TcpStream::connect(behind).ok()) else {
        return say(client, "502 Bad Gateway", "text/html", "bad gateway");
    };
    // A stream that says nothing for long is of no use to any test.
    server.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut new = String::new();
    for line in head.trim_end().lines() {
        let lower = line.to_ascii_lowercase();
        match fault {
            _ if lower.starts_with("connection:") => continue,
            Fault::OtherHost if lower.starts_with("host:") => new += "Host: backend.internal\r\n",
            Fault::NoHost if lower.starts_with("host:") => continue,
            Fault::NoKey if lower.starts_with("authorization:") => continue,
            Fault::Old if lower.ends_with(" http/1.1") => {
                new += &line.replace(" HTTP/1.1", " HTTP/1.0");
                new += "\r\nVia: 1.1 first, 1.1 second\r\nX-Forwarded-For: 192.0.2.1, 198.51.100.2\r\n";
            }
            _ => new += &format!("{line}\r\n"),
        }
    }
    server.write_all(format!("{new}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    if fault == Fault::Buffer {
        let mut all = Vec::new();
        server.read_to_end(&mut all)?;
        return client.write_all(&all);
    }
    let mut buffer = [0; 16_384];
    loop {
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let mut bytes = buffer[..length].to_vec();
        if fault == Fault::Clock && bytes.starts_with(b"HTTP/1.1") {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let date = text.lines().find(|line| line.to_ascii_lowercase().starts_with("date:"));
            let date = date.expect("every answer has a date").to_owned();
            bytes = text.replace(&date, "date: Sun, 06 Nov 1994 08:49:37 GMT").into_bytes();
        }
        if fault == Fault::Gzip && bytes.starts_with(b"HTTP/1.1") {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let stream = "content-type: text/event-stream";
            let coded = format!("{stream}\r\ncontent-encoding: gzip");
            bytes = text.replacen(stream, &coded, 1).into_bytes();
        }
        client.write_all(&bytes)?;
        client.flush()?;
    }
}

fn say(client: &mut impl Write, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Head and body of a request.
fn read(client: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    loop {
        let length = client.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..length]);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
        let wanted = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = bytes[end + 4..].to_vec();
        while body.len() < wanted.unwrap_or_default() {
            let length = client.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&buffer[..length]);
        }
        return Ok((head, body));
    }
}
