//! Where discovery may not lead: nobody outside sends us into this machine or its network
//! (security.md T7).

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::login::bed::{Browser, call, link, setup};
use crate::login::server::World;
use crate::support::Era;

/// Hosts that are inside, in every spelling; `PORT` is that of a listener that counts.
const HOSTS: [&str; 64] = [
    "127.0.0.1:PORT",
    "127.0.0.2:PORT",
    "127.1:PORT",
    "127.0.1:PORT",
    "0x7f.1:PORT",
    "0x7f000001:PORT",
    "2130706433:PORT",
    "0177.0.0.1:PORT",
    "017700000001:PORT",
    "0x7f.0x0.0x0.0x1:PORT",
    "127.0.0.1.:PORT",
    "localhost:PORT",
    "LOCALHOST:PORT",
    "localhost.:PORT",
    "[::1]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[::127.0.0.1]:PORT",
    "0.0.0.0:PORT",
    "0:PORT",
    "[::]:PORT",
    "127。0。0。1:PORT",
    "127．0．0．1:PORT",
    "１２７.0.0.1:PORT",
    "%31%32%37.0.0.1:PORT",
    "user@127.0.0.1:PORT",
    "user:pass@localhost:PORT",
    "example.com@127.0.0.1:PORT",
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.255.254",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a00:1]",
    "[2001:db8::1]",
    "[fec0::1]",
];

#[test]
fn no_packet_goes_to_an_address_inside_that_a_stranger_names() {
    let world = World::start();
    // Nothing allows this upstream's documents to lead into this machine.
    let text = crate::login::bed::config(&world, "", "").replace("allow_private = true\n", "");
    let text =
        text.replace("secrets = { up = { client_secret = { env = \"CLIENT_SECRET\" } } }\n", "");
    let proxy = setup(&world, "").config(&text).serve();
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (_, said) = call(&mut proxy.client(Era::Legacy, "/mcp"));
    let link = link(&said);
    let mut browser = Browser::default();
    browser.press(&link, "sign-in", proxy.key());
    let mut tried = 0;
    for host in HOSTS {
        for scheme in ["https", "http"] {
            let place = format!("{scheme}://{}", host.replace("PORT", &port));
            world.state().prm = json!({"authorization_servers": [place]});
            let page = browser.press(&link, "log-in", "");
            assert!(
                page.header("refresh").is_none() && page.status >= 400,
                "{place}: {}",
                page.text()
            );
            assert!(!page.text().contains("169.254"), "{place}: {}", page.text());
            tried += 1;
        }
    }
    assert!(tried >= 120, "{tried}");
    assert_eq!(met.load(Ordering::SeqCst), 0, "somebody has connected");
    world.state().prm = Value::Null;
}
