//! Who reads `/metrics`.

use std::{net::SocketAddr, time::Duration};

use crate::{
    metrics::page::Page,
    support::{Answer, Proxy, Raw, Setup, until},
};

const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const OPERATOR: &str = "the-key-of-the-operator-in-the-tests-0001";

/// Asks for the page.
pub(crate) fn ask(address: SocketAddr, more: &str) -> Answer {
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
    Raw::exchange(address, head.as_bytes()).expect("an answer")
}

/// The page as the operator reads it.
pub(crate) fn page(address: SocketAddr) -> Page {
    let answer = ask(address, &format!("Authorization: Bearer {OPERATOR}\r\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let media = answer.header("content-type").unwrap_or_default();
    assert!(media.starts_with("text/plain; version=0.0.4"), "{media}");
    Page::read(&answer.text(), false)
}

/// A proxy whose operator has a key.
pub(crate) fn proxy(toml: &str) -> Proxy {
    let admin = "[admin]\nkeys = [{ name = \"ops\", env = \"OPS\" }]\n";
    Setup::new().env("OPS", OPERATOR).config(&format!("{admin}{toml}")).serve()
}

#[test]
fn without_a_word_of_the_file_it_takes_a_key_of_the_operator() {
    let proxy = proxy("");
    let with = |key: &str| ask(proxy.address(), &format!("Authorization: Bearer {key}\r\n")).status;
    assert_eq!(ask(proxy.address(), "").status, 401);
    assert_eq!(with("wrong-key-of-nobody-that-is-long-enough"), 401);
    assert_eq!(with(proxy.key()), 403, "a key of a tenant");
    assert_eq!(with(OPERATOR), 200);
    let key = format!("X-API-Key: {OPERATOR}\r\n");
    assert_eq!(ask(proxy.address(), &key).status, 200);
    let host = "Origin: http://evil.example\r\n";
    assert_eq!(ask(proxy.address(), &format!("{key}{host}")).status, 403, "a foreign page");
    let answer = ask(
        proxy.address(),
        &format!("{key}Accept: application/openmetrics-text; version=1.0.0\r\n"),
    );
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let open = Page::read(&answer.text(), true);
    let plain = page(proxy.address());
    // The same numbers in both forms, but for the endings of families.
    assert_eq!(open.labels(), plain.labels());
    assert!(open.get("process_start_time_seconds", &[]) > 1e9);
}

#[test]
fn the_dashboard_asks_for_what_is_there() {
    let dashboard = include_str!("../../../deploy/grafana.json");
    let proxy = proxy("[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n");
    let page = page(proxy.address());
    let there: Vec<&str> = page.series().into_iter().map(|(name, _)| name.as_str()).collect();
    let words = dashboard.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let mut asked = 0;
    for name in words.filter(|word| word.starts_with("mcp_proxy_") || word.starts_with("process_"))
    {
        asked += 1;
        assert!(there.contains(&name), "the dashboard asks for {name}");
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn the_file_opens_it_or_takes_it_away() {
    let open = proxy("[telemetry]\nmetrics = \"open\"\n");
    assert_eq!(ask(open.address(), "").status, 200);
    let off = proxy("[telemetry]\nmetrics = \"off\"\n");
    let key = format!("X-API-Key: {OPERATOR}\r\n");
    assert_eq!(ask(off.address(), &key).status, 404);
}

#[test]
fn with_a_listener_of_the_operators_own_it_is_there_alone() {
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\nkeys = [{ name = \"ops\", env = \"OPS\" }]\n";
    let proxy = Setup::new().env("OPS", OPERATOR).config(admin).serve();
    let key = format!("X-API-Key: {OPERATOR}\r\n");
    assert_eq!(ask(proxy.address(), &key).status, 404);
    let own = until("the operator's address", PATIENCE, || {
        let log = proxy.log();
        let rest = log.split_once("routes are at http://")?.1;
        rest.split_once('/')?.0.parse::<SocketAddr>().ok()
    });
    assert_eq!(ask(own, "").status, 401);
    assert_eq!(ask(own, &key).status, 200);
}
