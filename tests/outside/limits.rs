//! Limits as clients meet them: what is refused, what its refusal says, and that nobody else pays.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Answer, Client, Era, Process, Proxy, Raw, Setup, post, serve_everything, until,
};
use serde_json::json;

const ACME: &str = "acme-key-for-the-tests-of-limits-0001";
const OTHER: &str = "other-key-for-the-tests-of-limits-002";
/// Longest wait for what ought to come soon.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy with two tenants before `everything`, with these limits.
fn proxy(limits: &str) -> (Process, Proxy) {
    let (server, address) = serve_everything(&[]);
    let toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.up]\nurl = \"http://{address}/mcp\"\n\
         [tenants.acme]\nkeys = [{{ name = \"a\", env = \"ACME\" }}]\n\
         [tenants.other]\nkeys = [{{ name = \"o\", env = \"OTHER\" }}]\n{limits}"
    );
    let proxy = Setup::new().env("ACME", ACME).env("OTHER", OTHER).config(&toml).serve();
    (server, proxy)
}

fn client(proxy: &Proxy, era: Era, key: &str) -> Client {
    Client::connect(era, proxy.address(), "/mcp", Some(key))
}

fn call(client: &mut Client, tool: &str) -> Answer {
    client.send(
        "tools/call",
        json!({"name": format!("up__{tool}"), "arguments": {"text": "x", "ms": 0}}),
    )
}

/// The seconds of a refusal, which must say the same in its head and its body.
fn refused(answer: &Answer, limit: &str) -> u64 {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").expect("it says when").parse().expect("whole");
    let error = &answer.messages()[0]["error"];
    assert_eq!(
        (&error["data"]["limit"], &error["data"]["retryAfter"]),
        (&json!(limit), &json!(seconds))
    );
    assert_eq!(error["code"], -31429);
    assert!(error["message"].as_str().is_some_and(|told| told.contains("not executed")), "{error}");
    seconds
}

#[test]
fn a_rate_refuses_with_the_time_to_come_back_and_only_whom_it_concerns() {
    let (_server, proxy) = proxy("[limits]\nkey = { rate = \"6/m\", burst = 4 }\n");
    for era in Era::BOTH {
        let key = if era == Era::Modern { ACME } else { OTHER };
        let mut client = client(&proxy, era, key);
        // A session has been opened with one of the four.
        let most = if era == Era::Modern { 4 } else { 3 };
        for _ in 0..most {
            assert_eq!(call(&mut client, "echo").status, 200);
        }
        let answer = call(&mut client, "echo");
        let seconds = refused(&answer, "key.rate");
        assert!((1..=10).contains(&seconds), "{seconds}");
        let lists = client.send("tools/list", json!({}));
        assert_eq!(lists.status, 429, "every request counts");
    }
}

#[test]
fn the_time_that_a_refusal_names_is_true() {
    let (_server, proxy) = proxy("[limits.tools.up]\n\"ec*\" = { rate = \"1/2s\" }\n");
    let mut client = client(&proxy, Era::Modern, ACME);
    assert_eq!(call(&mut client, "echo").status, 200);
    let seconds = refused(&call(&mut client, "echo"), "tool.rate");
    let began = Instant::now();
    // Other tools are not concerned.
    assert_eq!(call(&mut client, "sleep").status, 200);
    until("the next one is let in", PATIENCE, || {
        let late = began.elapsed() >= Duration::from_secs(seconds);
        let answer = call(&mut client, "echo");
        assert!(answer.status == 200 || !late, "refused after the time that it was told");
        (answer.status == 200).then_some(())
    });
}

#[test]
fn calls_at_a_time_are_counted_until_they_end() {
    let (_server, proxy) = proxy("[limits.upstreams]\nup = { concurrent = 1 }\n");
    let mut acme = client(&proxy, Era::Modern, ACME);
    assert_eq!(call(&mut acme, "echo").status, 200);
    let (long, refusal) = until("a refusal", PATIENCE, || {
        // It may be overtaken, and is refused itself then.
        let long = hold(&proxy, ACME);
        let mut answers = (0..20).map(|_| call(&mut acme, "echo"));
        Some((long, answers.find(|answer| answer.status == 429)?))
    });
    assert_eq!(refused(&refusal, "upstream.concurrent"), 1);
    assert_eq!(call(&mut client(&proxy, Era::Modern, OTHER), "echo").status, 200);
    // Its client goes away, and its place is free.
    drop(long);
    until("a free place", PATIENCE, || (call(&mut acme, "echo").status == 200).then_some(()));
}

#[test]
fn quotas_of_a_day_end_with_it() {
    let limits = "[limits.tenants]\nacme = { per_day = 2 }\nother = { per_month = 1 }\n";
    let (_server, proxy) = proxy(limits);
    let mut acme = client(&proxy, Era::Legacy, ACME);
    assert_eq!(call(&mut acme, "echo").status, 200);
    assert_eq!(call(&mut acme, "echo").status, 200);
    assert!(refused(&call(&mut acme, "echo"), "tenant.per_day") <= 86_400);
    // What goes to no upstream is no call.
    assert_eq!(acme.send("ping", json!({})).status, 200);
    let mut other = client(&proxy, Era::Modern, OTHER);
    assert_eq!(call(&mut other, "echo").status, 200);
    assert!(refused(&call(&mut other, "echo"), "tenant.per_month") <= 31 * 86_400);
}

#[test]
fn bytes_of_a_day_are_counted() {
    let (_server, proxy) = proxy("[limits]\ntenant = { bytes_per_day = \"64KiB\" }\n");
    let mut acme = client(&proxy, Era::Modern, ACME);
    let big = json!({"name": "up__big", "arguments": {"bytes": 40_000}});
    assert_eq!(acme.send("tools/call", big.clone()).status, 200);
    assert_eq!(acme.send("tools/call", big.clone()).status, 200);
    refused(&acme.send("tools/call", big), "tenant.bytes_per_day");
}

#[test]
fn a_full_proxy_serves_tenants_in_turns() {
    let (_server, proxy) = proxy("[limits]\ncalls = 1\n");
    let mut other = client(&proxy, Era::Modern, OTHER);
    assert_eq!(call(&mut other, "echo").status, 200);
    // One call of the greedy tenant runs for half a minute, forty stand in line behind it.
    let long = hold(&proxy, ACME);
    let behind: Vec<Raw> = (0..40).map(|_| ask(&proxy, ACME, 200)).collect();
    let waiting = thread::spawn({
        let mut other = client(&proxy, Era::Modern, OTHER);
        move || (call(&mut other, "echo"), Instant::now())
    });
    let began = Instant::now();
    drop(long);
    let (answer, ended) = waiting.join().expect("it ends");
    assert_eq!(answer.status, 200);
    // All forty together take eight seconds.
    assert!(ended - began < Duration::from_secs(4), "it waited behind the others");
    for mut call in behind {
        assert_eq!(call.answer().expect("each gets its turn").status, 200);
    }
}

/// A call that runs until its connection is dropped.
fn hold(proxy: &Proxy, key: &str) -> Raw {
    ask(proxy, key, 30_000)
}

/// A call on a connection of its own that takes so many milliseconds.
fn ask(proxy: &Proxy, key: &str, ms: u64) -> Raw {
    let params = Era::Modern.params(json!({"name": "up__sleep", "arguments": {"ms": ms}}));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let authorization = format!("Bearer {key}");
    let mut headers = vec![("Authorization", authorization.as_str())];
    let own = Era::Modern.headers("tools/call", &params);
    headers.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
    let request = post(proxy.address(), "/mcp", &headers, body.to_string().as_bytes());
    let mut raw = Raw::connect(proxy.address());
    raw.send(&request).expect("it is sent");
    raw
}

#[test]
fn a_restart_gives_nothing_of_the_day_back() {
    let (_server, proxy) = proxy(
        "[limits]\nkey = { per_day = 3 }\ntools = { up = { \"ec*\" = { per_month = 3 } } }\n",
    );
    let mut acme = client(&proxy, Era::Modern, ACME);
    for _ in 0..2 {
        assert_eq!(call(&mut acme, "echo").status, 200);
    }
    let proxy = proxy.stop().serve();
    let mut acme = client(&proxy, Era::Modern, ACME);
    assert_eq!(call(&mut acme, "echo").status, 200);
    refused(&call(&mut acme, "echo"), "key.per_day");
    let mut other = client(&proxy, Era::Modern, OTHER);
    for _ in 0..3 {
        assert_eq!(call(&mut other, "echo").status, 200);
    }
    // After a kill what was written lately is there, too.
    let kept = until("the counts are written", PATIENCE, || {
        let database = proxy.setup().folder().join("mcp-proxy.audit.db");
        let read = rusqlite::Connection::open(database).expect("the database");
        let sum = "SELECT count(*) FROM quota WHERE calls = 3";
        read.query_row(sum, (), |row| row.get::<_, u32>(0)).ok().filter(|count| *count >= 4)
    });
    assert!(kept >= 4);
    let proxy = proxy.kill().serve();
    refused(&call(&mut client(&proxy, Era::Modern, OTHER), "echo"), "key.per_day");
}
