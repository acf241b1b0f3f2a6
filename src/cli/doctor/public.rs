//! The proxy as clients reach it: through its public URL, with everything that lies between.

use std::net::IpAddr;

use serde_json::{Value, json};
use url::Url;

use super::finding::Findings;
use super::layer::{clock, unreached};
use super::replay::{PAGE, is_page};
use super::wire::{Asked, Got, Wanted, Wire, WireError};
use crate::base::Secret;
use crate::config::Config;

/// Where no key door has metadata: a client that finds some asks for a login and ignores its key.
pub(super) const ROOTS: &[&str] = &[
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server/mcp",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration/mcp",
    "/.well-known/openid-configuration",
    "/mcp/.well-known/oauth-protected-resource",
    "/mcp/.well-known/oauth-authorization-server",
    "/mcp/.well-known/openid-configuration",
];

/// What is known before the first request.
pub(super) struct Public<'a> {
    pub(super) wire: &'a Wire,
    /// The URL without a path.
    pub(super) base: &'a Url,
    /// The file, where this machine has it.
    pub(super) config: Option<&'a Config>,
    pub(super) key: Option<&'a Secret>,
}

impl Public<'_> {
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(None);
        url
    }

    pub(super) fn place(&self, path: &str) -> String {
        self.url(path).to_string()
    }

    pub(super) async fn ask(&self, path: &str, asked: &Asked) -> Result<Got, WireError> {
        self.wire.ask(&self.url(path), asked, Wanted::Whole).await
    }

    /// Looks at everything that an outsider sees.
    pub(super) async fn look(&self, findings: &mut Findings) {
        self.addresses(findings).await;
        let first = match self.ask("/livez", &Asked::get()).await {
            Ok(got) => got,
            Err(error) => return unreached(&self.place(""), self.base, &error, findings),
        };
        clock(&self.place(""), &first.headers, findings);
        if !self.is_ours(&first, findings).await {
            return;
        }
        if !self.door(findings).await {
            return;
        }
        self.roots(findings).await;
        self.connector(findings).await;
        match self.key {
            Some(key) => self.stream(key, findings).await,
            None => findings.note(
                "stream",
                &self.place("/mcp"),
                "whether something in between holds streams back was not looked at",
                ("that needs a key", "put one into MCP_PROXY_KEY"),
            ),
        }
    }

    /// Where its name leads, or what stands in the place of one: clients in a cloud come over IPv4,
    /// to addresses of the Internet.
    async fn addresses(&self, findings: &mut Findings) {
        let all = self.wire.addresses(self.base).await;
        let place = self.base.host_str().unwrap_or_default();
        if all.is_empty() {
            return;
        }
        if all.iter().all(std::net::SocketAddr::is_ipv6) {
            findings.note(
                "name-six",
                place,
                "there are addresses of IPv6 alone",
                (
                    "claude.ai, ChatGPT and many networks come over IPv4 alone",
                    "use a name that has an A record in the DNS",
                ),
            );
        }
        let inner = all.iter().map(std::net::SocketAddr::ip).find(|ip| is_inner(*ip));
        if let Some(ip) = inner {
            findings.note(
                "name-inner",
                place,
                format!("it leads to {ip} here, an address of this machine or of its network"),
                (
                    "claude.ai and ChatGPT come from the Internet, where that is nowhere",
                    "for them, use a name that has an address of the Internet",
                ),
            );
        }
    }

    /// Whether a proxy of ours answers at all.
    async fn is_ours(&self, first: &Got, findings: &mut Findings) -> bool {
        let place = self.place("/livez");
        if first.status == 200 && first.text() == "ok\n" {
            findings.good("public-url", &place, "is reached, and an mcp-proxy answers");
            return true;
        }
        let to = Url::parse(first.header("location")).ok().filter(|_| first.status / 100 == 3);
        let secure = |to: &Url| {
            let same = to.host_str() == self.base.host_str();
            same && to.scheme() == "https" && self.base.scheme() == "http"
        };
        if let Some(to) = to.filter(secure) {
            let next = format!(
                "write public_url = \"{}\" in [server], and give clients that",
                to.origin().ascii_serialization()
            );
            let what = format!("{} leads on to https", first.status);
            let why = "clients do not follow with their key, and do not send it without TLS";
            findings.bad("public-url-wrong", &place, what, (why, &next));
            return false;
        }
        if self.is_blocked(&place, first, findings) {
            return false;
        }
        let (what, why) = match first.status {
            200 if is_page(first) => ("a page of 200 where `ok` is due".to_owned(), PAGE),
            status @ 300..=399 => (
                format!("{status} leads on to {}", first.header("location")),
                "clients do not follow with their key, so the address that is written must be the one \
                 that answers",
            ),
            status @ (502..=504) => (
                format!("{status}: the reverse proxy answers, and does not reach mcp-proxy"),
                "it forwards to another address than `listen` says, or the proxy does not run",
            ),
            status => {
                let body: String = first.text().chars().take(40).collect();
                (
                    format!(
                        "something else answers: {status} and `{body}` where 200 and `ok` are due"
                    ),
                    "the public URL leads to another server, or not all paths are forwarded",
                )
            }
        };
        let next =
            "correct `public_url` in [server], or what the reverse proxy forwards to mcp-proxy";
        findings.bad("public-url-wrong", &place, what, (why, next));
        false
    }

    /// What a stranger gets at the key door.
    async fn door(&self, findings: &mut Findings) -> bool {
        let place = self.place("/mcp");
        let asked = Asked::post(initialize("doctor"))
            .with("content-type", "application/json")
            .with("accept", "application/json, text/event-stream");
        let got = match self.ask("/mcp", &asked).await {
            Ok(got) => got,
            Err(error) => {
                unreached(&place, self.base, &error, findings);
                return false;
            }
        };
        match got.status {
            401 => {}
            403 if self.is_blocked(&place, &got, findings) => return false,
            403 => {
                self.refused_host(&place, findings).await;
                return false;
            }
            status @ (301 | 302 | 303 | 307 | 308) => {
                let to = got.header("location").to_owned();
                let slash =
                    to.trim_end_matches('/') == place.trim_end_matches('/') || to == "/mcp/";
                let why = if slash {
                    "something in between adds a slash; clients then send nothing or another method"
                } else {
                    "clients do not follow with their key"
                };
                let code = if slash { "trailing-slash" } else { "redirect" };
                let next = "make the reverse proxy forward /mcp as it is, without a redirect";
                findings.bad(code, &place, format!("{status} leads on to {to}"), (why, next));
                return false;
            }
            404 => {
                let with = self.ask("/mcp/", &asked).await.map_or(0, |got| got.status);
                let why = if with == 401 {
                    "with a slash behind it the door is found: something in between changes the path"
                } else {
                    "the path is not forwarded, or is changed on the way"
                };
                let code = if with == 401 { "trailing-slash" } else { "path" };
                findings.bad(
                    code,
                    &place,
                    "404 where 401 is due",
                    (why, "forward paths unchanged"),
                );
                return false;
            }
            status => {
                let next = "look at what the reverse proxy does with POST to /mcp";
                findings.bad("door", &place, format!("{status} where 401 is due"), ("", next));
                return false;
            }
        }
        let challenge = got.header("www-authenticate");
        if challenge == "Bearer" {
            findings.good("door", &place, "refuses strangers, and leads them to no login");
        } else {
            let at = first_difference("Bearer", challenge);
            findings.bad(
                "door-challenge",
                &place,
                format!(
                    "header WWW-Authenticate, byte {at}: `Bearer` is due and `{challenge}` came"
                ),
                (
                    "clients that are led to a login here ignore the key in their header",
                    "take out what changes the answer on the way",
                ),
            );
        }
        true
    }

    /// Whether something in front answers 403 by a page: the proxy itself never does.
    fn is_blocked(&self, place: &str, got: &Got, findings: &mut Findings) -> bool {
        let is_blocked = got.status == 403 && is_page(got);
        if is_blocked {
            findings.bad(
                "blocked",
                place,
                "403 and a page: the request does not reach mcp-proxy",
                (
                    "a firewall for the web or a guard against robots stands in front; clients are programs, and \
                     such a thing refuses programs",
                    "let requests to this name through to mcp-proxy, whatever their User-Agent and address",
                ),
            );
        }
        is_blocked
    }

    /// Why the proxy says that the host is not its own.
    async fn refused_host(&self, place: &str, findings: &mut Findings) {
        let host = self.base.host_str().unwrap_or_default();
        let known = self.config.map(|config| config.server.hosts.iter().any(|known| known == host));
        match known {
            Some(false) => findings.bad(
                "host-unknown",
                place,
                format!("403: the name `{host}` is not one that the proxy takes"),
                (
                    "`hosts` in [server] does not have it",
                    &format!("write hosts = [\"{host}\"] in [server]"),
                ),
            ),
            _ => findings.bad(
                "host-missing",
                place,
                format!("403: the header Host that reaches the proxy is not `{host}`"),
                (
                    "the reverse proxy leaves it out or puts another name in its place",
                    "hand it on: nginx `proxy_set_header Host $host;`, Apache `ProxyPreserveHost On`",
                ),
            ),
        }
    }

    /// No metadata where it would lead clients with keys astray.
    async fn roots(&self, findings: &mut Findings) {
        let mut clean = true;
        for path in ROOTS {
            let Ok(got) = self.ask(path, &Asked::get()).await else { continue };
            if got.status == 404 {
                continue;
            }
            clean = false;
            let place = self.place(path);
            let is_metadata = serde_json::from_slice::<Value>(&got.body).is_ok_and(|document| {
                ["resource", "issuer", "authorization_servers", "token_endpoint"]
                    .iter()
                    .any(|name| document.get(name).is_some())
            });
            let what = match got.status {
                status if is_metadata => {
                    format!("{status}: metadata of a login stands where none may be")
                }
                status if is_page(&got) => format!("{status} and a page where 404 is due"),
                status => format!("{status} where 404 is due"),
            };
            findings.bad(
                "metadata-at-root",
                &place,
                what,
                (
                    "Cursor, VS Code and others find it, ask for a login and ignore the key in their header",
                    "let this path answer 404; logins have a door of their own, /connect/mcp",
                ),
            );
        }
        if clean {
            findings.good(
                "well-known",
                &self.place("/mcp"),
                "has no metadata beside it, as keys need it",
            );
        }
    }

    /// The metadata of the door for logins, byte for byte as the proxy itself gives it.
    async fn connector(&self, findings: &mut Findings) {
        let base = self.base.as_str().trim_end_matches('/');
        for (path, field, due) in [
            (
                "/.well-known/oauth-protected-resource/connect/mcp",
                "resource",
                format!("{base}/connect/mcp"),
            ),
            (
                "/.well-known/oauth-authorization-server/connect",
                "issuer",
                format!("{base}/connect"),
            ),
        ] {
            let place = self.place(path);
            let got = match self.ask(path, &Asked::get()).await {
                Ok(got) => got,
                Err(error) => {
                    findings.silent("metadata", &place, error.to_string(), ("", ""));
                    continue;
                }
            };
            if got.status == 404 {
                let why = "the door for logins is open only where `public_url` is set to https://…";
                findings.note(
                    "metadata",
                    &place,
                    "404: there is no door for claude.ai and ChatGPT",
                    (why, ""),
                );
                continue;
            }
            compare(&place, &got, field, &due, findings);
            self.compare_with_own(path, &got, findings).await;
        }
    }

    /// What the listener itself answers, without what lies in between.
    pub(super) async fn own(&self, path: &str, asked: &Asked) -> Option<Got> {
        let config = self.config.filter(|config| config.server.tls.is_none())?;
        let mut address = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let url = Url::parse(&format!("http://{address}{path}")).ok()?;
        self.wire.direct().ask(&url, asked, Wanted::Whole).await.ok()
    }

    /// A document must come as the listener gives it.
    async fn compare_with_own(&self, path: &str, got: &Got, findings: &mut Findings) {
        let Some(own) = self.own(path, &Asked::get()).await else { return };
        if own.status != 200 || own.body == got.body {
            return;
        }
        let (due, came) = (own.text(), got.text());
        let at = first_difference(&due, &came);
        findings.bad(
            "metadata-changed",
            &self.place(path),
            format!(
                "body, byte {at}: `{}` is due and `{}` came",
                around(&due, at),
                around(&came, at)
            ),
            ("something in between rewrites the answer", "forward it unchanged"),
        );
    }
}

/// The request that begins a session.
pub(super) fn initialize(name: &str) -> String {
    json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": format!("mcp-proxy-{name}"), "version": env!("CARGO_PKG_VERSION") },
        },
    })
    .to_string()
}

/// One field of a document, as it must be.
pub(super) fn compare(place: &str, got: &Got, field: &str, due: &str, findings: &mut Findings) {
    let document: Value = serde_json::from_slice(&got.body).unwrap_or_default();
    let Some(came) = document[field].as_str().filter(|_| got.status == 200) else {
        let body: String = got.text().chars().take(60).collect();
        findings.bad(
            "metadata-wrong",
            place,
            format!("{} and `{body}` where a document with `{field}` is due", got.status),
            ("", "forward /.well-known/ and /connect/ to the proxy as they are"),
        );
        return;
    };
    if came == due {
        findings.good("metadata", place, format!("`{field}` is {due}"));
        return;
    }
    let at = got.text().find(came).unwrap_or_default() + first_difference(due, came);
    findings.bad(
        "public-url-wrong",
        place,
        format!("body, byte {at} (`{field}`): `{due}` is due and `{came}` came"),
        (
            "clients compare it with the URL that they were given, letter by letter",
            "`public_url` in [server] must be what clients write, with scheme and port and without a slash",
        ),
    );
}

/// The first byte that differs.
pub(super) fn first_difference(due: &str, came: &str) -> usize {
    due.bytes().zip(came.bytes()).take_while(|(a, b)| a == b).count()
}

/// An address that is reached from near by only.
fn is_inner(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is shared by the customers of a provider (RFC 6598).
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            ip.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

fn around(text: &str, at: usize) -> String {
    text.get(at..).unwrap_or_default().chars().take(24).collect()
}
