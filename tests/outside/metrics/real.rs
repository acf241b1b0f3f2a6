//! A real Prometheus scrapes the page, and a real collector joins the spans of the official SDKs
//! with the proxy's.

use std::{collections::BTreeMap, net::TcpListener, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    metrics::access::{OPERATOR, ask, proxy},
    support::{Era, Peers, Process, Raw, Setup, everything, install, until},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Longest run of a client: its libraries take long to load where much else runs.
const RUN: Duration = Duration::from_secs(240);

/// Some programs say which port they were told, not which they got.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("loopback has free ports").port()
}

/// The one value of a query, as Prometheus knows it.
fn value(port: u16, query: &str) -> Option<f64> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let head = format!(
        "GET /api/v1/query?query={query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    );
    let address = ([127, 0, 0, 1], port).into();
    Raw::try_connect(address).ok()?;
    let answer = Raw::exchange(address, head.as_bytes()).ok()?;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let Some(programs) = install("peers/prometheus", &[]) else { return };
    let programs = Path::new(&programs);
    let proxy = proxy(&format!("[upstreams.ev]\ncommand = [{:?}]\n", everything()));
    let mut client = proxy.client(Era::Modern, "/mcp");
    for _ in 0..3 {
        client.call("ev__test_simple_text", json!({}));
    }
    client.call("ev__test_error_handling", json!({}));
    let key = format!("X-API-Key: {OPERATOR}\r\n");
    let page = ask(proxy.address(), &key).text();
    let mut command = Command::new(programs.join("promtool"));
    let (status, output, errors) =
        Process::run(command.args(["check", "metrics"]), page.as_bytes(), PATIENCE);
    assert!(status.success(), "{output}{errors}");
    assert_eq!(format!("{output}{errors}").trim(), "", "promtool has something to say");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: mcp-proxy\n  scrape_interval: 1s\n  authorization:\n    credentials: {OPERATOR}\n  \
         static_configs:\n  - targets: ['{}']\n",
        proxy.address()
    );
    std::fs::write(&file, text).expect("the folder is ours");
    let port = free_port();
    let mut command = Command::new(programs.join("prometheus"));
    command.current_dir(folder.path());
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    let _prometheus = Process::start(command.arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let query = "mcp_proxy_requests_total{upstream=\"ev\",method=\"tools/call\",outcome=\"ok\"}";
    let count =
        until("the scraped count", PATIENCE, || value(port, query).filter(|count| *count > 2.5));
    assert!((count - 3.0).abs() < 1e-9, "{count}");
    assert_eq!(value(port, "up"), Some(1.0));
    let slow = "histogram_quantile(1, mcp_proxy_request_duration_seconds_bucket{upstream=\"ev\"})";
    assert!(value(port, slow).is_some_and(|seconds| seconds <= 60.0), "{:?}", value(port, slow));
    assert!(value(port, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
}

/// A span as the collector shows it.
#[derive(Debug, Clone, Default)]
struct Span {
    service: String,
    trace: String,
    parent: String,
    id: String,
    name: String,
}

/// Reads what the collector prints of spans.
fn spans(text: &str) -> Vec<Span> {
    let (mut spans, mut service): (Vec<Span>, _) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("-> service.name: Str(") {
            service = rest.trim_end_matches(')').to_owned();
        } else if line.starts_with("Span #") {
            spans.push(Span { service: service.clone(), ..Span::default() });
        }
        let (Some((word, value)), Some(span)) = (line.split_once(':'), spans.last_mut()) else {
            continue;
        };
        let slot = match word.trim() {
            "Trace ID" => &mut span.trace,
            "Parent ID" => &mut span.parent,
            "ID" => &mut span.id,
            "Name" => &mut span.name,
            _ => continue,
        };
        value.trim().clone_into(slot);
    }
    spans
}

#[test]
fn a_real_collector_joins_client_proxy_and_upstream() {
    let Some(peers) = Peers::installed() else { return };
    let (port, other) = (free_port(), free_port());
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(peers.collector());
    command.current_dir(folder.path()).args(["start", "--exporter", "blackhole"]);
    command.args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
    command.arg("--otlp-http-endpoint").arg(format!("127.0.0.1:{port}"));
    command.arg("--otlp-grpc-endpoint").arg(format!("127.0.0.1:{other}"));
    let collector = Process::start(&mut command);
    collector.line("that it listens", |line| line.contains("Starting Rotel").then_some(()));
    until("its listener", PATIENCE, || Raw::try_connect(([127, 0, 0, 1], port).into()).ok());
    let url = format!("http://127.0.0.1:{port}");
    let (python, server) = peers.traced("traced_server.py");
    let toml = format!(
        "[upstreams.py]\ncommand = [{python:?}, {server:?}]\nenv = {{ COLLECTOR = {url:?} }}\n\
         [telemetry]\notlp = {url:?}\n"
    );
    let proxy = Setup::new().config(&toml).serve();
    for era in ["legacy", "2026-07-28"] {
        let before = spans(&collector.log()).len();
        let (python, client) = peers.traced("traced_client.py");
        let mut command = Command::new(python);
        command.arg(client).args([&proxy.url("/mcp"), era, "py__see"]);
        command.env("COLLECTOR", &url).env("MCP_KEY", proxy.key()).env("NO_PROXY", "127.0.0.1");
        let (status, output, errors) = Process::run(&mut command, b"", RUN);
        assert!(status.success() && output.contains("seen"), "{era}: {output}{errors}");
        let chain = until("the whole trace", PATIENCE, || {
            let all = spans(&collector.log()).split_off(before);
            chain(&all)
        });
        let services: Vec<&str> = chain.iter().map(|span| span.service.as_str()).collect();
        assert_eq!(
            services,
            ["upstream", "mcp-proxy", "mcp-proxy", "client", "client"],
            "{era}: {chain:#?}"
        );
        assert!(chain.iter().all(|span| span.trace == chain[0].trace), "{era}: {chain:#?}");
    }
}

/// The way from the upstream's span of the call up to the root, once all of it is there.
fn chain(all: &[Span]) -> Option<Vec<Span>> {
    let by_id: BTreeMap<&str, &Span> = all.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut at =
        all.iter().find(|span| span.service == "upstream" && span.name == "tools/call see")?;
    let mut chain = vec![at.clone()];
    while !at.parent.is_empty() {
        at = by_id.get(at.parent.as_str())?;
        chain.push(at.clone());
    }
    Some(chain)
}
