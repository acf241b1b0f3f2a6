//! Why nobody answers, by the layer that failed, and how far the clocks are apart.

use http::HeaderMap;
use url::Url;

use super::finding::Findings;
use super::wire::{Certificate, WireError};
use crate::base::{parse_time, unix_seconds};

/// More than this, and tokens and certificates are judged wrongly.
const SKEW: u64 = 60;

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
        WireError::Six(..) => (
            "name-six",
            "this machine has no way there, and neither have claude.ai, ChatGPT and many networks",
            "use a name that has an A record in the DNS".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
    }
}
