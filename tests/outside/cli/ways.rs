//! Which way a command takes, and what it says of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;

use crate::cli::desk::{run, run_with, run_with_file, world};
use crate::support::{Raw, Setup};

/// The status that a proxy answers a key with.
fn answers(address: std::net::SocketAddr, key: &str) -> u16 {
    let request = format!(
        "GET /api/v1/me HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    Raw::exchange(address, request.as_bytes()).expect("the proxy answers").status
}

#[test]
fn what_a_command_changes_holds_in_the_running_proxy_at_once() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    let made = run(proxy.setup(), "tenant create acme");
    assert_eq!(made.code, Some(0), "{}", made.errors);
    assert!(
        made.errors.contains(&format!("using the running proxy at http://{}", proxy.address()))
    );
    for round in 0..20 {
        let made = run(proxy.setup(), "key create --tenant acme --name laptop --json").json();
        let key = made["key"].as_str().expect("a key");
        assert_eq!(answers(proxy.address(), key), 200, "round {round}");
        let id = made["id"].as_str().expect("an id");
        assert_eq!(run(proxy.setup(), &format!("key revoke {id}")).code, Some(0));
        assert_eq!(answers(proxy.address(), key), 401, "round {round}: the very next request");
    }
    let made = run(proxy.setup(), "key create --tenant acme --name old --json").json();
    let (old, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    assert_eq!(answers(proxy.address(), old), 200);
    let next = run(proxy.setup(), &format!("key rotate {id} --grace 1h --json")).json();
    let (new, id) = (next["key"].as_str().expect("a key"), next["id"].as_str().expect("an id"));
    assert_eq!((answers(proxy.address(), old), answers(proxy.address(), new)), (200, 200));
    let next = run(proxy.setup(), &format!("key rotate {id} --grace 0s --json")).json();
    let last = next["key"].as_str().expect("a key");
    assert_eq!((answers(proxy.address(), new), answers(proxy.address(), last)), (401, 200));
    let set = run_with(proxy.setup(), "secret set --tenant acme gh token --json", b"v4lue", |_| {});
    assert_eq!(set.json()["generation"], 1);
    let listed = run(proxy.setup(), "upstream list --tenant acme --json").json();
    let gh = listed.as_array().expect("a list").iter().find(|upstream| upstream["name"] == "gh");
    assert_eq!(gh.expect("it is in the file")["missing_secrets"], serde_json::json!([]));
    assert_eq!(run(proxy.setup(), "tenant remove acme --yes").code, Some(0));
    assert_eq!(answers(proxy.address(), last), 401, "its tenant is gone");
    assert!(proxy.log().contains("by=local") && !proxy.log().contains("v4lue"), "it is logged");
}

#[test]
fn an_upstream_that_a_command_makes_is_there_at_once() {
    let (_upstream, setup) = world();
    let free = std::fs::read_to_string(setup.folder().join("mcp-proxy.toml")).expect("the file");
    let free = free.lines().filter_map(|line| line.strip_prefix("url = ")).next().expect("a URL");
    let free = free.trim_matches('"').to_owned();
    let alone = run(&setup, "upstream restart free");
    assert_eq!(alone.code, Some(69), "{}", alone.errors);
    assert!(alone.errors.contains("start one with `mcp-proxy serve`"), "{}", alone.errors);
    let added = run(&setup, &format!("upstream add early {free} --set allow_private=true"));
    assert_eq!(
        added.out, "upstream early added; it runs when the proxy does\n",
        "{}",
        added.errors
    );

    let proxy = setup.serve();
    let setup = proxy.setup();
    let added = run(setup, &format!("upstream add made {free} --set allow_private=true"));
    assert_eq!(added.out, "upstream made added; it runs\n", "{}", added.errors);
    let listed = run(setup, "upstream list --tenant filed --json").json();
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["early", "free", "gh", "made"]);

    // The running proxy says how it stands, by the id of a key and by the key itself.
    let keys = run(setup, "key list --tenant filed --json").json();
    let id = keys[0]["id"].as_str().expect("an id");
    let told = run(setup, &format!("explain {id} made__echo --json"));
    assert!(told.errors.contains("using the running proxy"), "{}", told.errors);
    let told = told.json();
    assert_eq!((&told["key"]["id"], &told["chain"]["callable"]), (&id.into(), &true.into()));
    let state = told["chain"]["upstream_state"].as_str().unwrap_or_default();
    assert!(state.starts_with("listed, "), "{told}");
    let key = b"the-key-of-the-tenant-test-in-the-tests-1";
    let own = run_with(setup, "explain - made__echo", key, |_| {});
    assert!(own.out.contains("boss") && own.out.contains("callable      yes"), "{}", own.out);
    let nobody =
        run_with(setup, "explain - made__echo --json", b"nobody-has-this-key-0123456789", |_| {});
    assert_eq!(nobody.json()["chain"], serde_json::Value::Null);
    assert!(run(setup, "explain zzzzzzzzzz made__echo").out.contains("there is no such key"));
    assert_eq!(run(setup, &format!("explain {id} made__echo --profile none")).code, Some(1));

    assert_eq!(run(setup, "upstream restart made --tenant filed").code, Some(0));
    assert_eq!(
        run(setup, "upstream disable made").out,
        "upstream made disabled; it does not run\n"
    );
    assert_eq!(run(setup, "upstream remove made").out, "upstream made removed\n");
    assert_eq!(run(setup, "upstream remove early").code, Some(0));
    let gone = run(setup, "upstream enable made");
    assert!(gone.errors.contains("`mcp-proxy upstream list` shows all"), "{}", gone.errors);
}

#[test]
fn after_a_kill_commands_work_on_the_store_again() {
    let (_upstream, setup) = world();
    let mut setup = setup;
    for round in 0..3 {
        let proxy = setup.serve();
        let made = run(proxy.setup(), &format!("tenant create t{round}"));
        assert!(made.errors.contains("using the running proxy"), "{}", made.errors);
        setup = proxy.kill();
        assert!(setup.folder().join("mcp-proxy.db.sock").exists(), "what a kill leaves behind");
        let listed = run(&setup, "tenant list --json");
        assert!(listed.errors.contains("no proxy is running; working on the store"));
        assert_eq!(listed.json().as_array().map(Vec::len), Some(round + 2));
        assert_eq!(run(&setup, &format!("key create --tenant t{round} --name k")).code, Some(0));
    }
    // Both ways leave their record.
    let exported = run(&setup, "audit export");
    for method in ["admin/createTenant", "admin/createKey"] {
        let records = exported.out.lines().filter(|line| line.contains(method));
        let local = records.filter(|line| line.contains("operator local"));
        assert_eq!(local.count(), 3, "{method}: {}", exported.out);
    }
    let verified = run(&setup, "audit verify");
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    let proxy = setup.serve();
    assert!(run(proxy.setup(), "key list").errors.contains("using the running proxy"));
    let setup = proxy.stop();
    assert!(!setup.folder().join("mcp-proxy.db.sock").exists(), "a stop leaves nothing");
}

#[test]
fn proxies_of_two_files_do_not_mix() {
    let (_upstream, one) = world();
    let (_other, two) = world();
    let (one, two) = (one.serve(), two.serve());
    assert_eq!(run(one.setup(), "tenant create only-here").code, Some(0));
    assert!(!run(two.setup(), "tenant list").out.contains("only-here"));
    assert!(run(one.setup(), "tenant list").out.contains("only-here"));

    // Another file over the same store: what it declares, the running proxy does not know.
    let text = std::fs::read_to_string(one.folder().join("mcp-proxy.toml")).expect("it is there");
    std::fs::write(one.folder().join("other.toml"), text).expect("the folder is ours");
    let listed = run_with_file(one.setup(), "other.toml", "tenant list");
    assert_eq!(listed.code, Some(0), "{}", listed.errors);
    assert!(listed.errors.contains("mcp-proxy.toml, and is not asked"), "{}", listed.errors);
    assert!(listed.errors.contains("working on the store"), "{}", listed.errors);
    // The same file by another name is the same file.
    let listed = run_with_file(one.setup(), "./mcp-proxy.toml", "tenant list");
    assert!(listed.errors.contains("using the running proxy"), "{}", listed.errors);
}

#[test]
fn a_second_proxy_on_a_store_leaves_the_commands_to_the_first() {
    let (_upstream, setup) = world();
    let first = setup.serve();
    let mut second = first.setup().command(&["serve", "--listen", "127.0.0.1:0"]);
    let second = crate::support::Process::start(&mut second);
    second.line("that another one has the socket", |line| {
        line.contains("commands speak to that one").then_some(())
    });
    second.stop();
    let listed = run(first.setup(), "tenant list");
    assert!(listed.errors.contains(&first.address().to_string()), "{}", listed.errors);
}

#[test]
fn the_operator_s_own_listener_is_named_where_there_is_one() {
    let proxy = Setup::new()
        .config("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n")
        .serve();
    let status = run(proxy.setup(), "status --json");
    let url = status.json()["url"].as_str().expect("a URL").to_owned();
    assert!(status.errors.contains(&url), "{}", status.errors);
    assert_ne!(url, format!("http://{}", proxy.address()), "the operator's, not the main one");
    assert_eq!(run(proxy.setup(), "tenant create acme").code, Some(0));
}

#[test]
fn a_value_that_this_shell_does_not_have_stops_nothing() {
    let (_upstream, setup) = world();
    let listed = run_with(&setup, "key list --tenant filed", b"", |command| {
        command.env_remove("TEST_KEY");
    });
    assert_eq!(listed.code, Some(0), "{}", listed.errors);
    assert!(listed.errors.contains("`boss`") && listed.errors.contains("left out"));
    let made = run_with(&setup, "key create --tenant filed --name more", b"", |command| {
        command.env_remove("TEST_KEY");
    });
    assert_eq!(made.code, Some(0), "{}", made.errors);
}

#[test]
fn without_a_proxy_there_is_no_status() {
    let (_upstream, setup) = world();
    let status = run(&setup, "status");
    assert_eq!(status.code, Some(69));
    assert!(status.errors.contains("mcp-proxy serve"), "{}", status.errors);
    let proxy = setup.serve();
    let status = run(proxy.setup(), "status");
    assert!(status.out.contains("tenants") && status.out.contains("mcp-proxy.toml"));
    let status = run(proxy.setup(), "status --json").json();
    assert_eq!((&status["status"], &status["tenants"]), (&"ok".into(), &1.into()));
}

/// A proxy of another version, as far as a command sees it: it answers every request with this.
fn pretender(folder: &std::path::Path, answer: String) {
    let listener = UnixListener::bind(folder.join("mcp-proxy.db.sock")).expect("nothing is there");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(own) = stream.try_clone() else { return };
            let head = BufReader::new(own).lines().map_while(Result::ok);
            if head.take_while(|line| !line.is_empty()).count() > 0 {
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
}

fn http(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_proxy_of_another_version_is_read_and_not_written_to() {
    let (_upstream, setup) = world();
    assert_eq!(run(&setup, "tenant list").code, Some(0), "makes the key file");
    let file = std::fs::canonicalize(setup.folder().join("mcp-proxy.toml")).expect("it is there");
    let body = serde_json::json!({
        "status": "ok", "version": "9.9.9", "uptime_seconds": 1, "url": "http://127.0.0.1:1",
        "file": file, "items": [], "next": null,
    });
    pretender(setup.folder(), http(&body.to_string()));
    assert_eq!(run(&setup, "tenant list").code, Some(0));
    let refused = run(&setup, "tenant create acme");
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("version 9.9.9"), "{}", refused.errors);
    assert!(refused.errors.contains("nothing was changed"), "{}", refused.errors);
}

#[test]
fn what_answers_at_the_socket_and_is_no_proxy_is_told() {
    let (_upstream, setup) = world();
    assert_eq!(run(&setup, "tenant list").code, Some(0), "makes the key file");
    pretender(setup.folder(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_owned());
    let refused = run(&setup, "tenant list");
    assert_eq!(refused.code, Some(69));
    assert!(refused.errors.contains("does not answer as an mcp-proxy does"), "{}", refused.errors);
}

#[test]
fn the_socket_alone_is_no_right() {
    let (_upstream, setup) = world();
    let proxy = setup.serve();
    let path = proxy.folder().join("mcp-proxy.db.sock");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    let request = b"GET /api/v1/tenants HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
