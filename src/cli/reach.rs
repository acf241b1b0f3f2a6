//! Where a command does its work: at the proxy that serves the store, at one on the network, or
//! at the store itself when no proxy runs. All three answer the same requests, so that a command
//! is written once.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use serde_json::Value;
use url::Url;

use super::exchange::{Network, ask_local};
use super::open::Opened;
use super::refusal::{ReachError, refused, usage};
use super::screen::Screen;
use crate::app::{Desk, connect_local, socket_path};
use crate::auth::local_token;
use crate::base::{Role, Secret, Tasks};
use crate::config::{self, Config, SecretSource};
use crate::seal::{Ring, RootKey};
use crate::upstream::stdio::Launcher;

/// Where a key for a proxy on the network is looked for.
const KEY: &str = "MCP_PROXY_KEY";
const OWN: &str = env!("CARGO_PKG_VERSION");

/// Which proxy is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Remote {
    /// Speak to the proxy at this URL instead of the one that serves the store here, with the key
    /// in MCP_PROXY_KEY or --key-file.
    #[arg(long, global = true, value_name = "URL", env = "MCP_PROXY_URL")]
    url: Option<String>,
    /// Read the key for --url from this file, which nobody else may read.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Remote {
    /// Whether a proxy on the network is meant.
    pub(super) fn is_given(&self) -> bool {
        self.url.is_some() || self.key_file.is_some()
    }
}

enum Way {
    Local(Box<Config>),
    Network(Box<Network>),
    Store(Box<Desk>),
}

/// Where a command does its work.
pub struct Reach {
    way: Way,
    /// What stands before the path.
    base: String,
    key: HeaderValue,
    /// How it is called in what is said about it.
    name: String,
    /// Who the command is there.
    role: Role,
    tenant: Option<String>,
    /// What its `GET /api/v1/health` answered.
    health: Value,
}

impl Reach {
    /// The proxy at a URL.
    ///
    /// # Errors
    /// When the URL or the key is none, or the proxy does not answer or refuses it.
    pub(super) async fn remote(remote: &Remote, screen: &mut Screen) -> anyhow::Result<Self> {
        let Some(given) = &remote.url else {
            return Err(usage("--key-file needs --url: without it no key is asked for"));
        };
        let url = base_url(given)?;
        let source = match &remote.key_file {
            Some(path) => SecretSource::File(path.clone()),
            None => SecretSource::Env(KEY.to_owned()),
        };
        let key = config::resolve(&source).map_err(|error| {
            usage(format!("{error}; the proxy at {url} needs a key, in {KEY} or by --key-file"))
        })?;
        let network = Network::new().map_err(ReachError::Unreachable)?;
        let way = Way::Network(Box::new(network));
        let mut reach = Self::new(way, &url, &key, format!("the proxy at {url}"))?;
        reach.learn().await?;
        let me = reach.get(None, "/api/v1/me").await?;
        reach.role = me["role"].as_str().unwrap_or_default().parse()?;
        reach.tenant = me["tenant"].as_str().map(str::to_owned);
        say(screen, &format!("using {}", reach.name))?;
        Ok(reach)
    }

    /// The proxy that serves the store of this configuration, if one does.
    ///
    /// # Errors
    /// When one does, and cannot be spoken to.
    pub(super) async fn running(
        config: &Config,
        given: &Path,
        screen: &mut Screen,
    ) -> anyhow::Result<Option<Self>> {
        let socket = socket_path(config);
        let unusable = |reason: &dyn std::fmt::Display| {
            ReachError::Unreachable(format!(
                "a proxy serves this store, and its socket {} cannot be used: {reason}; run the \
                 command as the user of the proxy, or name the proxy with --url",
                socket.display()
            ))
        };
        match connect_local(config).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(unusable(&error).into()),
        }
        let root = RootKey::load(&config.seal.key_file).map_err(|error| unusable(&error))?;
        let key = local_token(&Ring::new(&root))?;
        let way = Way::Local(Box::new(config.clone()));
        let name = format!("the running proxy at {}", socket.display());
        let mut reach = Self::new(way, "", &key, name)?;
        reach.learn().await?;
        if let Some(url) = reach.health["url"].as_str() {
            reach.name = format!("the running proxy at {url}");
        }
        let own = std::fs::canonicalize(given).ok().map(|file| file.display().to_string());
        if reach.health["file"].as_str() != own.as_deref() {
            let other = reach.health["file"].as_str().unwrap_or("no file");
            let name = &reach.name;
            say(screen, &format!("{name} serves this store with {other}, and is not asked"))?;
            return Ok(None);
        }
        say(screen, &format!("using {}", reach.name))?;
        Ok(Some(reach))
    }

    /// The store itself.
    ///
    /// # Errors
    /// When a proxy could not be built over it.
    pub async fn store(opened: Opened, screen: &mut Screen, tasks: &Tasks) -> anyhow::Result<Self> {
        let store = opened.config.store.path.display().to_string();
        let (foundation, config, resolve) = opened.parts();
        let key = local_token(&foundation.ring)?;
        let launcher = Launcher::new(super::serve::own_program()?, std::env::vars_os());
        let desk = Desk::open(config, &foundation, &*resolve, launcher, tasks).await?;
        say(screen, &format!("no proxy is running; working on the store {store}"))?;
        for key in &desk.left_out {
            say(screen, &format!("{key}; it is left out"))?;
        }
        let way = Way::Store(Box::new(desk));
        Self::new(way, "", &key, format!("the store {store}"))
    }

    fn new(way: Way, base: &str, key: &Secret, name: String) -> anyhow::Result<Self> {
        let value = bearer(key)?;
        let (base, health) = (base.to_owned(), Value::Null);
        Ok(Self { way, base, key: value, name, role: Role::Operator, tenant: None, health })
    }

    async fn learn(&mut self) -> anyhow::Result<()> {
        self.health = self.get(None, "/api/v1/health").await?;
        Ok(())
    }

    /// Whether it decides about all tenants.
    pub(super) fn is_operator(&self) -> bool {
        self.role == Role::Operator
    }

    /// The tenant of the key, where it is one of a tenant.
    pub(super) fn own_tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Whether a proxy runs there.
    pub(super) fn is_running(&self) -> bool {
        !matches!(self.way, Way::Store(_))
    }

    /// A document, as whoever has this key.
    pub(super) async fn get_as(&self, key: &Secret, path: &str) -> anyhow::Result<Value> {
        let mut request = Request::get(format!("{}{path}", self.base)).body(Full::default())?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer(key)?);
        self.ask(request).await
    }

    /// What it says of its health.
    pub(super) fn health(&self) -> &Value {
        &self.health
    }

    /// A document, about a tenant where one is named.
    pub(super) async fn get(&self, tenant: Option<&str>, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, tenant, path, None).await
    }

    /// All entries of a list.
    pub(super) async fn all(&self, tenant: Option<&str>, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get(tenant, &format!("{path}?limit=200{next}")).await?;
            all.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return Ok(all),
            }
        }
    }

    /// Changes something; a document where there is one to show.
    pub(super) async fn send(
        &self,
        method: Method,
        tenant: Option<&str>,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = match tenant {
            Some(tenant) => request.header("x-tenant", tenant),
            None => request,
        };
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body.to_string()))),
            None => request.body(Full::default()),
        };
        self.ask(request?).await
    }

    /// Removes something. With `meant`, also where that takes more with it.
    pub(super) async fn delete(
        &self,
        tenant: Option<&str>,
        path: &str,
        meant: bool,
    ) -> anyhow::Result<()> {
        let request = Request::delete(format!("{}{path}", self.base));
        let request = match tenant {
            Some(tenant) => request.header("x-tenant", tenant),
            None => request,
        };
        let request = if meant { request.header(header::IF_MATCH, "*") } else { request };
        self.ask(request.body(Full::default())?).await.map(drop)
    }

    async fn ask(&self, mut request: Request<Full<Bytes>>) -> anyhow::Result<Value> {
        let version = self.health["version"].as_str().unwrap_or(OWN);
        if version != OWN && request.method() != Method::GET {
            return Err(ReachError::Refused(format!(
                "{} is version {version} and this command is {OWN}; nothing was changed: use the \
                 program of that version, or restart the proxy with this one",
                self.name
            ))
            .into());
        }
        let headers = request.headers_mut();
        headers.entry(header::AUTHORIZATION).or_insert_with(|| self.key.clone());
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"))),
        );
        let silent = |reason: String| {
            ReachError::Unreachable(format!(
                "{} gives no answer: {reason}; see whether it runs and whether it is the right one",
                self.name
            ))
        };
        let answer = match &self.way {
            Way::Network(network) => network.ask(request).await.map_err(silent)?,
            Way::Local(config) => {
                headers_of_this_machine(&mut request);
                let stream =
                    connect_local(config).await.map_err(|error| silent(error.to_string()))?;
                let stream = stream.ok_or_else(|| silent("it has just ended".to_owned()))?;
                ask_local(stream, request).await.map_err(silent)?
            }
            Way::Store(desk) => {
                headers_of_this_machine(&mut request);
                desk.ask(request).await
            }
        };
        self.read(&answer)
    }

    fn read(&self, answer: &Response<Bytes>) -> anyhow::Result<Value> {
        let status = answer.status();
        let document = serde_json::from_slice::<Value>(answer.body());
        if status == http::StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        match document {
            Ok(document) if status.is_success() => Ok(document),
            Ok(problem) if problem["detail"].is_string() => {
                let network = matches!(self.way, Way::Network(_));
                Err(refused(&self.name, network, status.as_u16(), &problem).into())
            }
            _ => Err(ReachError::Unreachable(format!(
                "{} does not answer as an mcp-proxy does ({status}); name the address of its API \
                 (the operator's, where the file has one)",
                self.name
            ))
            .into()),
        }
    }

    /// Ends what was started for the command.
    pub async fn close(self) {
        if let Way::Store(desk) = self.way {
            desk.close().await;
        }
    }
}

fn bearer(key: &Secret) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| usage("the key holds what no key can; was the right file read?"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a listener of this machine is called.
fn headers_of_this_machine(request: &mut Request<Full<Bytes>>) {
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
}

/// A line about the way, beside the answer.
fn say(screen: &mut Screen, line: &str) -> std::io::Result<()> {
    writeln!(screen.notes, "{line}")
}

/// Scheme and authority of the URL that was given. A key must not pass the network in clear.
fn base_url(given: &str) -> anyhow::Result<String> {
    let wrong = |why: &str| {
        usage(format!("--url {given:.100}: {why}; write it as https://mcp.example.com"))
    };
    let url = Url::parse(given).map_err(|error| wrong(&error.to_string()))?;
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(wrong("it has no host")),
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err(wrong("the key would pass the network in clear")),
        _ => return Err(wrong("it is neither http nor https")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong("it has more than scheme, host and port"));
    }
    // Whoever copies the URL of a door means the proxy behind it.
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_that_a_key_may_be_sent_to() {
        for (given, base) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://mcp.example.com:8443/mcp", "https://mcp.example.com:8443"),
            ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(base_url(given).unwrap(), base);
        }
        for (given, why) in [
            ("http://mcp.example.com", "in clear"),
            ("https://me@mcp.example.com", "more than"),
            ("ftp://127.0.0.1", "neither"),
            ("mcp.example.com", "relative"),
        ] {
            let line = base_url(given).unwrap_err().to_string();
            assert!(line.contains(why) && line.contains("https://"), "{given}: {line}");
        }
    }
}
