//! Which addresses lead into this machine or its network, where nobody from outside may send us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True for an address that the world does not reach, or that may stand for one: private,
/// loopback, link-local (where clouds have their metadata), shared, reserved, multicast, and IPv6
/// addresses that carry such an IPv4 address in them (RFC 4291, 6052, 3056, 4380).
#[must_use]
pub fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inner_v4(v4),
        IpAddr::V6(v6) => is_inner_v6(v6),
    }
}

fn is_inner_v4(v4: Ipv4Addr) -> bool {
    let [first, second, third, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        // This network (RFC 1122), multicast, and what is reserved beyond (RFC 1112).
        || first == 0
        || first >= 224
        // Shared between a provider and its customers (RFC 6598).
        || (first == 100 && (64..128).contains(&second))
        // Protocol assignments (RFC 6890), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        || (first == 198 && (18..20).contains(&second))
}

fn is_inner_v6(v6: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([one, two], [three, four]) = (high.to_be_bytes(), low.to_be_bytes());
        is_inner_v4(Ipv4Addr::new(one, two, three, four))
    };
    match (a, b) {
        // Mapped and compatible addresses, loopback, unspecified.
        (0, 0) if [c, d, e] == [0; 3] => f != 0xffff || v4(g, h),
        // Translated by a prefix that all know (RFC 6052), or by one of the network's own (8215).
        (0x64, 0xff9b) => [c, d, e, f] != [0; 4] || v4(g, h),
        // Protocol assignments (RFC 2928), among them Teredo, in which the client's address stands
        // inverted, benchmarks (RFC 5180) and ORCHID (RFC 7343); documentation (RFC 3849).
        (0x2001, ..=0x01ff | 0x0db8) => true,
        // 6to4.
        (0x2002, _) => v4(b, c),
        // Only 2000::/3 is given out to the world.
        _ => a & 0xe000 != 0x2000 || a & 0xfff0 == 0x3ff0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_world_does_not_reach_is_inner() {
        for inner in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.0.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:1.1.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1::1",
            "2001:2::1",
            "2001:1ff::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_inner(inner.parse().unwrap()), "{inner}");
        }
        for outer in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(!is_inner(outer.parse().unwrap()), "{outer}");
        }
    }
}
