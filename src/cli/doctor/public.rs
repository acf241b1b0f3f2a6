//! The proxy as clients reach it: through its public URL, with everything that lies between.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use super::finding::Findings;
use super::wire::{Asked, Certificate, Got, Wanted, Wire, WireError};
use crate::base::{Secret, parse_time, unix_seconds};
use crate::config::Config;

/// More than this, and tokens and certificates are judged wrongly.
const SKEW: u64 = 60;
/// How long the beginning of a stream may take.
const BEGIN: Duration = Duration::from_secs(3);

/// Where no key door has metadata: a client that finds some asks for a login and ignores its key.
pub(super) const ROOTS: &[&str] = &[
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server/mcp",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration/mcp",
    "/.well-known/openid-configuration",
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
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(None);
        url
    }

    fn place(&self, path: &str) -> String {
        self.url(path).to_string()
    }

    async fn ask(&self, path: &str, asked: &Asked) -> Result<Got, WireError> {
        self.wire.ask(&self.url(path), asked, Wanted::Whole).await
    }

    /// Looks at everything that an outsider sees.
    pub(super) async fn look(&self, findings: &mut Findings) {
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

    /// Whether a proxy of ours answers at all.
    async fn is_ours(&self, first: &Got, findings: &mut Findings) -> bool {
        let place = self.place("/livez");
        if first.status == 200 && first.text() == "ok\n" {
            findings.good("public-url", &place, "is reached, and an mcp-proxy answers");
            return true;
        }
        let (what, why) = match first.status {
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
            // Below the door a stranger is refused like anywhere else.
            let refused = path.starts_with("/mcp/")
                && got.status == 401
                && got.header("www-authenticate") == "Bearer";
            if got.status == 404 || refused {
                continue;
            }
            clean = false;
            let place = self.place(path);
            let is_metadata = serde_json::from_slice::<Value>(&got.body).is_ok_and(|document| {
                ["resource", "issuer", "authorization_servers", "token_endpoint"]
                    .iter()
                    .any(|name| document.get(name).is_some())
            });
            let what = if is_metadata {
                format!("{}: metadata of a login stands where none may be", got.status)
            } else {
                format!("{} where 404 is due", got.status)
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
    async fn compare_with_own(&self, path: &str, got: &Got, findings: &mut Findings) {
        let Some(config) = self.config.filter(|config| config.server.tls.is_none()) else { return };
        let mut address = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let Ok(url) = Url::parse(&format!("http://{address}{path}")) else { return };
        let Ok(own) = self.wire.direct().ask(&url, &Asked::get(), Wanted::Whole).await else {
            return;
        };
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

    /// A stream must begin at once: what holds it back holds back every progress and question.
    async fn stream(&self, key: &Secret, findings: &mut Findings) {
        let place = self.place("/mcp");
        let bearer = format!("Bearer {}", key.expose());
        let asked = Asked::post(initialize("doctor"))
            .with("content-type", "application/json")
            .with("accept", "application/json, text/event-stream")
            .with("authorization", &bearer);
        let got = match self.ask("/mcp", &asked).await {
            Ok(got) => got,
            Err(error) => return unreached(&place, self.base, &error, findings),
        };
        if got.status == 401 {
            let next =
                "give a key of this proxy: `mcp-proxy key create --tenant TENANT --name doctor`";
            findings.bad("key-refused", &place, "the key is refused", ("", next));
            return;
        }
        if got.status != 200 {
            findings.bad(
                "session-refused",
                &place,
                format!("{} where 200 is due", got.status),
                ("", ""),
            );
            return;
        }
        let session = got.header("mcp-session-id").to_owned();
        // Its first event comes at once, whatever anybody does.
        let asked = Asked::get().with("accept", "text/event-stream").with("authorization", &bearer);
        let url = self.url("/sse");
        let held = match self.wire.ask(&url, &asked, Wanted::Begin(BEGIN)).await {
            Err(WireError::Late(_)) => true,
            Ok(got) => {
                got.status == 200
                    && got.header("content-type").starts_with("text/event-stream")
                    && got.body.is_empty()
            }
            Err(_) => false,
        };
        if held {
            findings.bad(
                "buffered",
                &self.place("/sse"),
                format!("a stream has not begun after {} seconds", BEGIN.as_secs()),
                (
                    "something in between collects answers before it hands them on, so progress, questions \
                     and news come late or never",
                    "nginx: `proxy_buffering off;` for these paths; others: switch off buffering and \
                     compression of text/event-stream",
                ),
            );
        } else {
            findings.good("stream", &place, "streams begin at once");
        }
        let end = Asked { method: "DELETE", ..Asked::default() }
            .with("authorization", &bearer)
            .with("mcp-session-id", session);
        // A session that is left goes by itself.
        let _ = self.ask("/mcp", &end).await;
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

/// Names the layer that failed.
pub(super) fn unreached(place: &str, base: &Url, error: &WireError, findings: &mut Findings) {
    let host = base.host_str().unwrap_or_default();
    let (code, why, next) = match error {
        WireError::Name(_) => (
            "name-unknown",
            "`public_url` has a typing error, or the DNS has no entry yet",
            format!("correct `public_url` in [server], or add the name `{host}` to the DNS"),
        ),
        WireError::Refused(_) => (
            "port-closed",
            "the reverse proxy does not run, listens at another port, or a firewall is before it",
            "start it, or correct the port in `public_url`".to_owned(),
        ),
        WireError::Connect(..) | WireError::Late(_) => (
            "no-connection",
            "the address does not answer: a firewall, or a route that is missing",
            "see from another network; clients in a cloud need an address of the Internet"
                .to_owned(),
        ),
        WireError::Certificate(Certificate::Expired) => (
            "certificate-expired",
            "it was not renewed, or the server has not read the new one",
            "renew it and reload the server".to_owned(),
        ),
        WireError::Certificate(Certificate::Early) => (
            "certificate-early",
            "the clock of this machine may be wrong",
            "see the clock of both machines".to_owned(),
        ),
        WireError::Certificate(Certificate::Name) => (
            "certificate-name",
            "the server has another certificate for this name, or `public_url` has another name",
            format!("get one for `{host}`"),
        ),
        WireError::Certificate(Certificate::Issuer) => (
            "certificate-issuer",
            "it is self-signed or of a private authority, or the certificates in between are missing; \
             clients refuse it",
            "serve the whole chain; for a private authority give its certificate with --cacert"
                .to_owned(),
        ),
        WireError::Certificate(Certificate::Other) | WireError::Tls(_) => (
            "tls",
            "the server speaks no TLS there, or one that is not safe any more",
            "see that the port speaks TLS 1.2 or 1.3".to_owned(),
        ),
        WireError::Http(_) | WireError::Request(_) => (
            "http",
            "something there does not speak HTTP, or breaks the connection",
            "see that `public_url` names the right port and scheme".to_owned(),
        ),
    };
    findings.silent(code, place, error.to_string(), (why, &next));
}

/// How far the clock there is from ours (RFC 9110, section 6.6.1).
pub(super) fn clock(place: &str, headers: &HeaderMap, findings: &mut Findings) {
    let Some(date) = headers.get("date").and_then(|date| date.to_str().ok()) else { return };
    let Some(there) = http_date(date) else { return };
    let here = unix_seconds();
    let skew = here.abs_diff(there);
    if skew <= SKEW {
        findings.good("clock", place, "its clock and ours agree");
        return;
    }
    let way = if there > here { "ahead of" } else { "behind" };
    findings.bad(
        "clock",
        place,
        format!("its clock is {skew} s {way} ours"),
        (
            "tokens and certificates are judged by the clock, and a login fails without a plain word",
            "set both by NTP: `timedatectl set-ntp true`",
        ),
    );
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? / 3 + 1;
    parse_time(&format!("{year}-{month:02}-{day}T{time}Z"))
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

fn around(text: &str, at: usize) -> String {
    text.get(at..).unwrap_or_default().chars().take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
    }
}
