//! Host and Origin, judged on every request before anything else: a page in somebody's browser
//! must not reach a proxy on that machine by a name of its own (DNS rebinding).

use http::{HeaderMap, Request, header};

use crate::base::{Fault, Kind};
use crate::config::Server;

/// Which names and origins are ours.
#[derive(Debug, Clone, Copy)]
pub struct Guard<'a> {
    hosts: &'a [String],
    origins: &'a [String],
}

impl<'a> Guard<'a> {
    /// From `hosts` and `origins` of `[server]`.
    #[must_use]
    pub fn new(server: &'a Server) -> Self {
        Self { hosts: &server.hosts, origins: &server.origins }
    }

    /// Judges one request.
    ///
    /// # Errors
    /// When it names a host that is not ours, names it twice, or comes from a foreign origin.
    pub fn check<B>(self, request: &Request<B>) -> Result<(), Fault> {
        let refuse = |what: &str, value: &str, key: &str| {
            let sentence = format!(
                "{what} `{value:.100}` is not accepted here; add it to `{key}` in [server]"
            );
            Err(Fault::client(Kind::ForeignOrigin, sentence))
        };
        let host = match single(request.headers(), &header::HOST) {
            Ok(host) => host,
            Err(()) => return refuse("Host", "twice", "hosts"),
        };
        // An absolute-form target or `:authority` counts as much as the header.
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        match (host, authority) {
            (None, None) => return refuse("Host", "", "hosts"),
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                return refuse("Host", host, "hosts");
            }
            (Some(host), _) | (None, Some(host)) if !self.is_ours(host) => {
                return refuse("Host", host, "hosts");
            }
            _ => {}
        }
        match single(request.headers(), &header::ORIGIN) {
            Ok(None) => Ok(()),
            Ok(Some(origin)) if self.is_our_origin(origin) => Ok(()),
            Ok(Some(origin)) => refuse("Origin", origin, "origins"),
            Err(()) => refuse("Origin", "twice", "origins"),
        }
    }

    fn is_ours(self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        is_loopback(name) || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn is_our_origin(self, origin: &str) -> bool {
        if self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.and_then(without_port).is_some_and(is_loopback)
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// The name of `name[:port]`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    let valid =
        port.is_empty() || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    (valid && !name.is_empty()).then_some(name)
}

/// The spellings of loopback that clients use. Others (`127.1`, decimal, mapped) are how
/// attackers write it.
fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<B>(request: &Request<B>) -> Result<(), Fault> {
        let (hosts, origins) = (["mcp.example.com".into()], ["https://app.example.com".into()]);
        Guard { hosts: &hosts, origins: &origins }.check(request)
    }

    fn judge(host: &str, origin: Option<&str>) -> bool {
        let mut request = Request::builder().uri("/mcp").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        check(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn only_our_hosts_pass() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8808",
            "[::1]:8808",
            "[::1]",
            "mcp.example.com",
            "MCP.example.com:443",
        ] {
            assert!(judge(host, None), "{host}");
        }
        for host in [
            "",
            "evil.com",
            "localhost.evil.com",
            "evil.com:127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "[::ffff:7f00:1]",
            "[::]",
            "0.0.0.0",
            "127.0.0.1.",
            "localhost.",
            "localhost:",
            "localhost:x",
            "mcp.example.com.evil.com",
            "a@localhost",
            "localhost/",
            "127.0.0.2",
        ] {
            assert!(!judge(host, None), "{host}");
        }
        assert!(check(&Request::builder().uri("/mcp").body(()).unwrap()).is_err());
        let twice =
            Request::builder().uri("/").header("host", "localhost").header("host", "localhost");
        assert!(check(&twice.body(()).unwrap()).is_err());
        let absolute = Request::builder().uri("http://evil.com/mcp").header("host", "localhost");
        assert!(check(&absolute.body(()).unwrap()).is_err());
    }

    #[test]
    fn only_our_origins_pass() {
        for origin in [
            "http://localhost",
            "http://localhost:6274",
            "https://127.0.0.1:1",
            "http://[::1]:1",
            "https://app.example.com",
        ] {
            assert!(judge("localhost", Some(origin)), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://evil.com",
            "http://localhost.evil.com",
            "https://app.example.com.evil.com",
            "http://app.example.com",
            "file://",
            "http://127.1",
            "chrome-extension://x",
            "localhost",
        ] {
            assert!(!judge("localhost", Some(origin)), "{origin}");
        }
    }
}
