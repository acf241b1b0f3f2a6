//! What was done is what is counted.

use std::time::Duration;

use serde_json::json;

use crate::{
    metrics::access::{OPERATOR, ask, page, proxy},
    metrics::page::Page,
    metrics::recorder::Recorder,
    support::{ABSENT, Era, Raw, everything, post, until},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn calls(page: &Page, upstream: &str, outcome: &str) -> f64 {
    let labels = [("upstream", upstream), ("method", "tools/call"), ("outcome", outcome)];
    page.get("mcp_proxy_requests_total", &labels)
}

#[test]
fn what_was_done_is_what_is_counted() {
    let upstream = Recorder::upstream(false);
    let toml = format!(
        "[upstreams.a]\nurl = \"http://{}/mcp\"\n[upstreams.dead]\nurl = \"http://127.0.0.1:9/mcp\"\n\
         [upstreams.ev]\ncommand = [{:?}]\n[limits]\ntools = {{ a = {{ see = {{ per_day = 4 }} }} }}\n",
        upstream.address,
        everything(),
    );
    let proxy = proxy(&toml);
    for era in [Era::Legacy, Era::Modern] {
        let mut client = proxy.client(era, "/mcp");
        client.list("tools/list", "tools");
        for _ in 0..2 {
            client.call("a__see", json!({}));
        }
        client.call("a__see", json!({"over": "the limit"}));
        client.call("ev__test_error_handling", json!({}));
        client.call("dead__x", json!({}));
        client.send("tools/call", era.params(json!({"name": "nobody__x"})));
        client.send("no/such/method", era.params(json!({})));
    }
    let refused = |authorization: &str| {
        post(proxy.address(), "/mcp", &[("Authorization", authorization)], b"{}")
    };
    for bytes in [refused(ABSENT), refused("Bearer wrong-key-of-nobody-that-is-long-enough")] {
        assert_eq!(Raw::exchange(proxy.address(), &bytes).unwrap().status, 401);
    }
    let huge = vec![b' '; 5 << 20];
    let huge = post(
        proxy.address(),
        "/mcp",
        &[("Authorization", &format!("Bearer {}", proxy.key()))],
        &huge,
    );
    assert_eq!(Raw::exchange(proxy.address(), &huge).unwrap().status, 413);
    // Whoever has an answer may ask before the proxy has counted it.
    let page = until("the last count", PATIENCE, || {
        let page = page(proxy.address());
        (calls(&page, "dead", "upstream_failed") > 1.5).then_some(page)
    });
    let is = |name: &str, labels: &[(&str, &str)], count: f64| {
        let found = page.get(name, labels);
        assert!((found - count).abs() < 1e-9, "{name} {labels:?} is {found} and not {count}");
    };
    let outcome = |upstream, outcome, count: f64| {
        let found = calls(&page, upstream, outcome);
        assert!((found - count).abs() < 1e-9, "{upstream} {outcome} is {found} and not {count}");
    };
    outcome("a", "ok", 4.0);
    outcome("a", "limited", 2.0);
    outcome("ev", "error", 2.0);
    outcome("dead", "upstream_failed", 2.0);
    outcome("", "refused", 2.0);
    let other = [("upstream", ""), ("method", "other"), ("outcome", "refused")];
    is("mcp_proxy_requests_total", &other, 2.0);
    let hello = [("upstream", ""), ("method", "initialize"), ("outcome", "ok")];
    is("mcp_proxy_requests_total", &hello, 1.0);
    let lists = [("upstream", ""), ("method", "tools/list"), ("outcome", "ok")];
    is("mcp_proxy_requests_total", &lists, 2.0);
    is("mcp_proxy_request_duration_seconds_count", &[("upstream", "a")], 6.0);
    is("mcp_proxy_requests_in_flight", &[("upstream", "a")], 0.0);
    is("mcp_proxy_denials_total", &[("reason", "no_key")], 1.0);
    is("mcp_proxy_denials_total", &[("reason", "unknown")], 1.0);
    is("mcp_proxy_http_replies_total", &[("surface", "mcp"), ("code", "401")], 2.0);
    is("mcp_proxy_http_replies_total", &[("surface", "mcp"), ("code", "413")], 1.0);
    is("mcp_proxy_sessions", &[], 1.0);
    is("mcp_proxy_active_tenants", &[], 1.0);
    is("mcp_proxy_store_up", &[], 1.0);
    is("mcp_proxy_audit_up", &[], 1.0);
    // The guardian, and the program that it guards.
    is("mcp_proxy_upstream_processes", &[("upstream", "ev")], 2.0);
    is("mcp_proxy_upstream_processes", &[("upstream", "a")], 0.0);
    is("mcp_proxy_upstream_links", &[("upstream", "ev"), ("state", "open")], 1.0);
    is("mcp_proxy_upstream_starts_total", &[("upstream", "ev"), ("result", "ok")], 1.0);
    is("mcp_proxy_list_reads_total", &[("upstream", "ev"), ("result", "ok")], 1.0);
    is("mcp_proxy_upstream_troubled_tenants", &[("upstream", "dead")], 1.0);
    assert!(
        page.get("mcp_proxy_upstream_starts_total", &[("upstream", "dead"), ("result", "failed")])
            > 0.5
    );
    assert!(page.get("mcp_proxy_request_bytes_total", &[("upstream", "a")]) > 100.0);
    assert!(page.get("mcp_proxy_response_bytes_total", &[("upstream", "a")]) > 100.0);
    assert!(page.get("mcp_proxy_upstream_resident_memory_bytes", &[("upstream", "ev")]) > 1e6);
    assert!(page.get("process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn labels_are_what_the_file_and_the_code_name() {
    let upstream = Recorder::upstream(false);
    let proxy = proxy(&format!("[upstreams.a]\nurl = \"http://{}/mcp\"\n", upstream.address));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    client.call("a__see", json!({}));
    let before = until("the first count", PATIENCE, || {
        let page = page(proxy.address());
        (calls(&page, "a", "ok") > 0.5).then_some(page)
    });
    for n in 0..40 {
        client.send("tools/call", json!({"name": format!("a__tool-{n}")}));
        client.send("tools/call", json!({"name": format!("nobody-{n}")}));
        client.send(&format!("method/{n}"), json!({}));
        client.send("resources/read", json!({"uri": format!("file:///{n}")}));
    }
    let other = [("upstream", ""), ("method", "other"), ("outcome", "refused")];
    let after = until("the last count", PATIENCE, || {
        let page = page(proxy.address());
        (page.get("mcp_proxy_requests_total", &other) > 39.5).then_some(page)
    });
    assert_eq!(after.values("upstream"), ["", "a"].into());
    let names = [
        "code", "kind", "le", "method", "outcome", "reason", "result", "state", "surface",
        "upstream", "version",
    ];
    assert_eq!(after.labels(), names.into());
    let grown = after.series().len() - before.series().len();
    assert!(
        grown <= 8,
        "{grown} series more: {:?}",
        after.series().difference(&before.series()).collect::<Vec<_>>()
    );
    let text = ask(proxy.address(), &format!("X-API-Key: {OPERATOR}\r\n")).text();
    for absent in ["tool-", "nobody", "file:", "see", "test", proxy.key(), "127.0.0.1"] {
        assert!(!text.replace("test_", "").contains(absent), "{absent} is on the page");
    }
}

#[test]
fn a_child_that_dies_and_comes_back_is_counted() {
    let proxy = proxy(&format!("[upstreams.ev]\ncommand = [{:?}]\n", everything()));
    let mut client = proxy.client(Era::Modern, "/mcp");
    client.call("ev__test_simple_text", json!({}));
    let children = || {
        let all = proxy.descendants();
        all.into_iter().filter(|(_, _, name)| name.contains("everything")).collect::<Vec<_>>()
    };
    for (pid, ..) in children() {
        assert!(
            std::process::Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
    let gone = [("upstream", "ev"), ("reason", "gone")];
    let page = until("its second start", PATIENCE, || {
        client.call("ev__test_simple_text", json!({}));
        let page = page(proxy.address());
        let starts =
            page.get("mcp_proxy_upstream_starts_total", &[("upstream", "ev"), ("result", "ok")]);
        (starts > 1.5).then_some(page)
    });
    assert!((page.get("mcp_proxy_upstream_ends_total", &gone) - 1.0).abs() < 0.5);
    let processes = until("the end of the old ones", PATIENCE, || {
        let count = crate::metrics::access::page(proxy.address())
            .get("mcp_proxy_upstream_processes", &[("upstream", "ev")]);
        (count < 2.5).then_some(count)
    });
    assert!((processes - 2.0).abs() < 0.5, "{processes}");
}
