//! A proxy that is named by its URL.

use crate::cli::desk::{Done, run, run_with, world};
use crate::support::{Proxy, Setup};

/// A command in a folder of its own, which has no file, for the proxy at this URL.
fn at(setup: &Setup, url: &str, words: &str, key: Option<&str>) -> Done {
    run_with(setup, words, b"", |command| {
        command.env("MCP_PROXY_URL", url);
        if let Some(key) = key {
            command.env("MCP_PROXY_KEY", key);
        }
    })
}

fn made(proxy: &Proxy, words: &str) -> String {
    let made = run(proxy.setup(), &format!("{words} --json")).json();
    made["key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_key_of_the_operator_works_from_another_folder() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    let key = made(&proxy, "key create --operator --name ops");
    let elsewhere = Setup::new();
    let (url, key) = (proxy.url("/mcp"), Some(key.as_str()));
    let done = at(&elsewhere, &url, "tenant create acme", key);
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(done.errors.contains(&format!("using the proxy at {}", proxy.url(""))));
    let there = at(&elsewhere, &url, "key list --json", key).json();
    let here = run(proxy.setup(), "key list --json").json();
    // The key that is used there has been used.
    let plain = |value: &serde_json::Value| {
        let keys = value.as_array().expect("a list").iter();
        keys.map(|key| (key["id"].clone(), key["tenant"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(plain(&there), plain(&here));
    assert_eq!(at(&elsewhere, &url, "status --json", key).json()["tenants"], 2);
    assert!(std::fs::read_dir(elsewhere.folder()).expect("ours").next().is_none(), "nothing made");
}

#[test]
fn a_key_of_a_tenant_does_there_what_it_may() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    assert_eq!(run(proxy.setup(), "tenant create acme").code, Some(0));
    let boss = made(&proxy, "key create --tenant acme --name boss --role admin");
    let (elsewhere, url) = (Setup::new(), proxy.url(""));
    let listed = at(&elsewhere, &url, "key list --json", Some(&boss)).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let done = at(&elsewhere, &url, "key create --tenant acme --name laptop", Some(&boss));
    assert_eq!(done.code, Some(0), "{}", done.errors);
    for words in ["key list --tenant filed", "tenant list", "key create --operator --name x"] {
        let done = at(&elsewhere, &url, words, Some(&boss));
        assert_eq!(done.code, Some(1), "{words}: {}{}", done.out, done.errors);
    }
}

#[test]
fn a_wrong_key_a_wrong_url_and_nobody_there_are_told() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    let (elsewhere, url) = (Setup::new(), proxy.url(""));
    let nobody = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", socket.local_addr().expect("it is bound"))
    };
    let key = "mcpp_0000000000_no-key-of-anybody";
    for (url, key, code, words) in [
        (&*url, Some(key), 1, ["refuses the key", "key create --operator"]),
        (&*url, None, 64, ["MCP_PROXY_KEY", "--key-file"]),
        (&*nobody, Some(key), 69, ["gives no answer", "see whether it runs"]),
        ("http://mcp.example.com", Some(key), 64, ["in clear", "https://"]),
        ("nonsense", Some(key), 64, ["--url nonsense", "https://"]),
    ] {
        let done = at(&elsewhere, url, "tenant list", key);
        assert_eq!(done.code, Some(code), "{url}: {}", done.errors);
        for word in words {
            assert!(done.errors.contains(word), "{url}: {}", done.errors);
        }
        assert!(!done.errors.contains("mcpp_"), "a key is not shown: {}", done.errors);
    }
}

#[test]
fn a_key_comes_from_a_file_that_nobody_else_may_read() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    let key = made(&proxy, "key create --operator --name ops");
    let elsewhere = Setup::new().file("key", format!("{key}\n").as_bytes());
    let words = format!("tenant list --url {} --key-file key", proxy.url(""));
    let done = run(&elsewhere, &words);
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(elsewhere.folder().join("key"), open).expect("it is ours");
    let done = run(&elsewhere, &words);
    assert_eq!(done.code, Some(64), "{}", done.errors);
    assert_eq!(run(&elsewhere, "tenant list --key-file key").code, Some(64));
}
