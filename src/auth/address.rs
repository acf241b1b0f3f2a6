//! Where a request comes from: the address of the peer; or, where the file trusts the peer to say
//! it, what that has put into `X-Forwarded-For` or `Forwarded` (RFC 7239).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

/// Networks, as (address, prefix length).
type Networks<'a> = &'a [(IpAddr, u8)];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client behind `peer`: the last one of the list that no trusted proxy has, or
/// the first one where all are trusted. The list ends at what is no address. A peer that nobody
/// trusts says nothing; where both headers are there and differ, one of them is the client's own
/// work, and the peer's address stands.
#[must_use]
pub fn client_address(trusted: Networks<'_>, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(trusted, peer) {
        return peer;
    }
    let told = |name: &HeaderName, read: fn(&str, &mut Vec<Option<IpAddr>>)| {
        let mut lines = headers.get_all(name).iter().peekable();
        lines.peek()?;
        let mut hops = Vec::new();
        for line in lines {
            match line.to_str() {
                Ok(line) => read(line, &mut hops),
                Err(_) => hops.push(None),
            }
        }
        Some(last_stranger(trusted, &hops, peer))
    };
    match (told(&FORWARDED_FOR, plain), told(&header::FORWARDED, forwarded)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(address), _) | (None, Some(address)) => address,
        (None, None) => peer,
    }
}

fn last_stranger(trusted: Networks<'_>, hops: &[Option<IpAddr>], peer: IpAddr) -> IpAddr {
    let mut address = peer;
    for hop in hops.iter().rev() {
        let Some(hop) = hop else { break };
        address = hop.to_canonical();
        if !is_trusted(trusted, address) {
            break;
        }
    }
    address
}

fn is_trusted(trusted: Networks<'_>, address: IpAddr) -> bool {
    let same = |one: u128, two: u128, width: u32, length: u8| {
        let rest = width.saturating_sub(u32::from(length));
        one.checked_shr(rest).unwrap_or(0) == two.checked_shr(rest).unwrap_or(0)
    };
    trusted.iter().any(|(network, length)| match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same(network.to_bits().into(), address.to_bits().into(), 32, *length)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            same(network.to_bits(), address.to_bits(), 128, *length)
        }
        _ => false,
    })
}

/// A line of `X-Forwarded-For`. Empty parts of a list are none (RFC 9110, section 5.6.1).
fn plain(line: &str, hops: &mut Vec<Option<IpAddr>>) {
    let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
    hops.extend(parts.map(node));
}

/// A line of `Forwarded`: what `for` says in each part; none where it says nothing.
fn forwarded(line: &str, hops: &mut Vec<Option<IpAddr>>) {
    let Some(parts) = split(line, ',') else {
        // A quote that never ends: nobody knows what belongs to whom.
        hops.push(None);
        return;
    };
    for part in parts.into_iter().filter(|part| !part.trim().is_empty()) {
        let pairs = split(part, ';').unwrap_or_default();
        let mut named = pairs.iter().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then(|| unquoted(value.trim()))
        });
        hops.push(match (named.next(), named.next()) {
            (Some(value), None) => node(&value),
            _ => None,
        });
    }
}

/// Splits where a separator stands outside quotes; `None` when a quote is left open.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return value.to_owned() };
    let mut escaped = false;
    let meant = inner.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    meant.collect()
}

/// The address of a node with or without its port: `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]:80`. A port may be a word that hides it (RFC 7239, section 6.3).
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let is_port = |port: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        port.parse::<u16>().is_ok() || (port.starts_with('_') && port.chars().all(word))
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let good = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return address.parse().ok().filter(|_| good).map(IpAddr::V6);
    }
    let (address, port) = text.split_once(':')?;
    address.parse().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks() -> Vec<(IpAddr, u8)> {
        let network = |text: &str, length| (text.parse().unwrap(), length);
        vec![network("10.0.0.0", 8), network("fd00::", 8), network("192.0.2.7", 32)]
    }

    fn address(lines: &[(&'static str, &str)], peer: &str) -> String {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, line.parse().unwrap());
        }
        client_address(&networks(), &headers, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn the_last_address_that_nobody_trusts_is_the_clients() {
        for (line, client) in [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
            ("198.51.100.1,203.0.113.9 ,192.0.2.7,fd00::1", "203.0.113.9"),
            ("203.0.113.9, 192.0.2.8", "192.0.2.8"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            (", 203.0.113.9,,", "203.0.113.9"),
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
            ("203.0.113.9 198.51.100.1", "10.0.0.1"),
            ("203.0.113.9:x", "10.0.0.1"),
            ("[203.0.113.9]", "10.0.0.1"),
            ("localhost", "10.0.0.1"),
        ] {
            assert_eq!(address(&[("x-forwarded-for", line)], "10.0.0.1"), client, "{line}");
            assert_eq!(address(&[("x-forwarded-for", line)], "::ffff:10.0.0.1"), client, "{line}");
            assert_eq!(address(&[("x-forwarded-for", line)], "203.0.113.1"), "203.0.113.1");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(address(&lines, "10.0.0.1"), "203.0.113.9");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        for (line, client) in [
            ("for=203.0.113.9", "203.0.113.9"),
            ("For=\"203.0.113.9:4711\";proto=https;by=10.0.0.1", "203.0.113.9"),
            ("proto=http ; for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
            ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8::1]:_port\"", "2001:db8::1"),
            ("for=198.51.100.1;x=\"a,for=10.0.0.9;\\\"\", for=203.0.113.9", "203.0.113.9"),
            ("for=203.0.113.9, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=203.0.113.9, proto=https", "10.0.0.1"),
            ("for=203.0.113.9;for=198.51.100.1", "10.0.0.1"),
            ("for=198.51.100.1, for=\"203.0.113.9", "10.0.0.1"),
            ("203.0.113.9", "10.0.0.1"),
        ] {
            assert_eq!(address(&[("forwarded", line)], "10.0.0.1"), client, "{line}");
            assert_eq!(address(&[("forwarded", line)], "203.0.113.1"), "203.0.113.1");
        }
        let both = |other| {
            address(&[("forwarded", "for=203.0.113.9"), ("x-forwarded-for", other)], "10.0.0.1")
        };
        assert_eq!(both("203.0.113.9"), "203.0.113.9");
        assert_eq!(both("198.51.100.1"), "10.0.0.1", "one of them is made up");
    }

    fn hop() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
            (0..9_u8).prop_map(|last| IpAddr::from([10, 0, 0, last])),
            any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        ]
    }

    proptest! {
        #[test]
        fn both_headers_mean_the_same(hops in prop::collection::vec(hop(), 1..6)) {
            let quoted = |hop: &IpAddr| match hop {
                IpAddr::V4(hop) => format!("for={hop}"),
                IpAddr::V6(hop) => format!("for=\"[{hop}]\""),
            };
            let list = |one: &dyn Fn(&IpAddr) -> String| hops.iter().map(one).collect::<Vec<_>>().join(", ");
            let plain = address(&[("x-forwarded-for", &list(&|hop| hop.to_string()))], "10.0.0.1");
            let forwarded = address(&[("forwarded", &list(&quoted))], "10.0.0.1");
            prop_assert_eq!(&plain, &forwarded);
            let ours = |hop: &&IpAddr| !is_trusted(&networks(), hop.to_canonical());
            let meant = hops.iter().rev().find(ours).unwrap_or(&hops[0]).to_canonical();
            prop_assert_eq!(plain, meant.to_string());
        }

        #[test]
        fn no_header_makes_it_stumble(line in "[ -~]{0,60}") {
            for name in ["forwarded", "x-forwarded-for"] {
                let _ = address(&[(name, &line)], "10.0.0.1");
            }
        }
    }
}
