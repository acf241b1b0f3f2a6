//! Two tenants behind one proxy are two worlds: each reaches the same upstream with its own
//! credentials, nobody's credentials are left anywhere, and no answer reaches another's call.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::support::{
    ABSENT, Canary, Client, Era, Process, Proxy, Raw, Setup, Swarm, everything, post,
    raise_open_files, serve_everything, text,
};
use serde_json::{Value, json};

/// What the tenant `alpha`, which stands in the file, has: its key and its secrets.
const ALPHA: [(&str, &str); 5] = [
    ("key", "alpha-key-canary-7c1f0a52e94b4d38b6"),
    ("token", "alpha-token-canary-51d2"),
    ("url_key", "alpha/url canary?&=#%+\u{e4}-93ab"),
    ("api_key", "alpha-env-canary-{tenant}-$HOME-4410"),
    ("argument", "alpha-argument-canary-\"\\-0c77"),
];
/// The same for `beta`, which is made by commands. Its key is made by the proxy.
const BETA: [(&str, &str); 5] = [
    ("key", ""),
    ("token", "beta-token-canary-aa09"),
    ("url_key", "beta/url canary?&=#%+\u{f6}-17cd"),
    ("api_key", "beta-env-canary-`id`-e2b6"),
    ("argument", "beta-argument-canary-'-5f13"),
];
const REPLACED: &str = "beta-replaced-token-canary-3d3d";
const COOKIE: &str = "caller-cookie-canary-8e21";
const REFUSED: &str = "refused-key-canary-6b5b-0123456789abcdef";

/// A proxy with both tenants before `everything` over HTTP, over HTTP with an argument of the
/// tenant's own, over stdio, and without any secret.
struct Scene {
    proxy: Proxy,
    beta_key: String,
    _server: Process,
}

fn value<'a>(of: &[(&'a str, &'a str)], name: &str) -> &'a str {
    of.iter().find(|(n, _)| *n == name).expect("the table holds it").1
}

impl Scene {
    fn new(upstream_era: &str) -> Self {
        let (server, address) = serve_everything(&["--era", upstream_era]);
        let program = everything();
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\
             [upstreams.web]\nurl = \"http://{address}/mcp?k={{secret.url_key}}&t={{tenant}}\"\n\
             headers = {{ Authorization = \"Bearer {{secret.token}}\", X-Tenant = \"{{tenant}}\" }}\n\
             [upstreams.arg]\nurl = \"http://{address}/mcp\"\n\
             arguments = {{ text = \"{{secret.argument}}\" }}\n\
             [upstreams.pipe]\ncommand = [{program:?}, \"--era\", \"{upstream_era}\"]\n\
             env = {{ API_KEY = \"{{secret.api_key}}\", TENANT = \"{{tenant}}\" }}\n\
             [upstreams.plain]\nurl = \"http://{address}/mcp\"\n\
             [tenants.alpha]\nkeys = [{{ name = \"laptop\", env = \"ALPHA_KEY\" }}]\n\
             [tenants.alpha.secrets]\n\
             web = {{ token = {{ env = \"ALPHA_TOKEN\" }}, url_key = {{ file = \"alpha.url\" }} }}\n\
             arg = {{ argument = {{ file = \"alpha.argument\" }} }}\n\
             pipe = {{ api_key = {{ env = \"ALPHA_API_KEY\" }} }}\n"
        );
        let setup = Setup::new()
            .env("ALPHA_KEY", value(&ALPHA, "key"))
            .env("ALPHA_TOKEN", value(&ALPHA, "token"))
            .env("ALPHA_API_KEY", value(&ALPHA, "api_key"))
            .file("alpha.url", value(&ALPHA, "url_key").as_bytes())
            .file("alpha.argument", value(&ALPHA, "argument").as_bytes())
            .config(&toml);
        let beta_key = fill(&setup, "beta", &BETA);
        Self { proxy: setup.serve_at_trace(), beta_key, _server: server }
    }

    fn client(&self, era: Era, tenant: &str) -> Client {
        let key = if tenant == "alpha" { value(&ALPHA, "key") } else { &self.beta_key };
        Client::connect(era, self.proxy.address(), "/mcp", Some(key))
    }
}

/// Makes a tenant by commands and gives its key. The first value of `token` is replaced later.
fn fill(setup: &Setup, tenant: &str, values: &[(&str, &str)]) -> String {
    setup.add_tenant(tenant);
    setup.set_secret(tenant, "web", "token", REPLACED);
    setup.set_secret(tenant, "web", "token", value(values, "token"));
    setup.set_secret(tenant, "web", "url_key", value(values, "url_key"));
    setup.set_secret(tenant, "arg", "argument", value(values, "argument"));
    setup.set_secret(tenant, "pipe", "api_key", value(values, "api_key"));
    setup.create_key(tenant, "laptop")
}

/// What `show_request` of an upstream saw.
fn shown(client: &mut Client, upstream: &str, arguments: Value) -> Value {
    let answer = client.call(&format!("{upstream}__show_request"), arguments);
    serde_json::from_str(text(&answer)).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The value of a query's parameter, decoded.
fn parameter(path: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(&format!("http://upstream{path}")).ok()?;
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

#[test]
fn each_tenant_reaches_the_upstream_as_itself() {
    for upstream_era in ["legacy", "modern"] {
        let scene = Scene::new(upstream_era);
        let tenants = [("alpha", ALPHA), ("beta", BETA)];
        for (era, (tenant, own)) in Era::BOTH.into_iter().flat_map(|era| tenants.map(|t| (era, t)))
        {
            let case = format!("{tenant}, {era:?} client, {upstream_era} upstream");
            let mut client = scene
                .client(era, tenant)
                .with_header("Cookie", COOKIE)
                .with_header("X-Api-Key", COOKIE)
                .with_header("X-Forwarded-For", "203.0.113.9")
                .with_header("Proxy-Authorization", COOKIE);

            let seen = shown(&mut client, "web", json!({}));
            let headers = &seen["headers"];
            assert_eq!(
                headers["authorization"],
                json!([format!("Bearer {}", value(&own, "token"))]),
                "{case}"
            );
            assert_eq!(headers["x-tenant"], json!([tenant]), "{case}");
            let path = seen["path"].as_str().unwrap_or_default();
            assert_eq!(
                parameter(path, "k").as_deref(),
                Some(value(&own, "url_key")),
                "{case}: {path}"
            );
            assert_eq!(parameter(path, "t").as_deref(), Some(tenant), "{case}: {path}");
            let bare = shown(&mut client, "plain", json!({}));
            assert_eq!(bare["headers"]["authorization"], Value::Null, "{case}: {bare}");
            let session = client.session().unwrap_or("no session").to_owned();
            let foreign = [COOKIE, "203.0.113.9", value(&ALPHA, "key"), &scene.beta_key, &session];
            for (foreign, seen) in foreign.iter().flat_map(|f| [(f, &seen), (f, &bare)]) {
                let seen = seen.to_string();
                assert!(!seen.contains(foreign), "{case}: {foreign} arrived: {seen}");
            }

            let names =
                ["API_KEY", "TENANT", "ALPHA_KEY", "ALPHA_TOKEN", "ALPHA_API_KEY", "TEST_KEY"];
            let seen = shown(&mut client, "pipe", json!({"env": names}));
            let environment = &seen["env"];
            assert_eq!(environment["API_KEY"], value(&own, "api_key"), "{case}");
            assert_eq!(environment["TENANT"], tenant, "{case}");
            for kept in &names[2..] {
                assert_eq!(environment[*kept], Value::Null, "{case}: {kept} of the proxy arrived");
            }

            // The argument is the tenant's, whatever the caller says, and nobody is asked for it.
            let answer = client.call("arg__echo", json!({"text": "forged"}));
            assert_eq!(text(&answer), value(&own, "argument"), "{case}");
            let tools = client.list("tools/list", "tools");
            let schema = |name: &str| {
                let tool = tools.iter().find(|tool| tool["name"] == name);
                tool.unwrap_or_else(|| panic!("{case}: no {name}"))["inputSchema"].to_string()
            };
            assert!(!schema("arg__echo").contains("text"), "{case}: {}", schema("arg__echo"));
            assert!(schema("plain__echo").contains("text"), "{case}: only there it is hidden");
        }
    }
}

#[test]
fn no_secret_is_left_anywhere() {
    let scene = Scene::new("both");
    for era in Era::BOTH {
        for tenant in ["alpha", "beta"] {
            let mut client = scene.client(era, tenant).with_header("Cookie", COOKIE);
            for upstream in ["web", "pipe", "plain"] {
                shown(&mut client, upstream, json!({"env": ["API_KEY"]}));
            }
            client.call("arg__echo", json!({}));
            client.list("tools/list", "tools");
            // Errors of every kind are where secrets slip out.
            client.call("web__test_error_handling", json!({}));
            client.call("web__echo", json!({"text": 5}));
            client.call("web__no_such_tool", json!({}));
            client.request("resources/read", json!({"uri": "test://nowhere"}));
        }
    }
    for tenant in ["alpha", "beta"] {
        scene.client(Era::Modern, tenant).call("pipe__crash", json!({}));
    }
    let bearer = format!("Bearer {REFUSED}");
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let bytes = post(scene.proxy.address(), "/mcp", &[("Authorization", &bearer)], body);
    let refused = Raw::exchange(scene.proxy.address(), &bytes).map(|answer| answer.status);
    assert_eq!(refused.ok(), Some(401));

    let root = fs::read(scene.proxy.folder().join("mcp-proxy.key")).expect("the root key is there");
    let beta_key = scene.beta_key.clone();
    let mut canaries = vec![
        Canary::new("the root key", &root),
        Canary::new("beta's key", beta_key.as_bytes()),
        Canary::new("a replaced secret", REPLACED.as_bytes()),
        Canary::new("a refused key", REFUSED.as_bytes()),
        Canary::new("the caller's cookie", COOKIE.as_bytes()),
    ];
    for (tenant, own) in [("alpha", ALPHA), ("beta", BETA)] {
        let own = own.iter().filter(|(_, value)| !value.is_empty());
        let own =
            own.map(|(name, value)| Canary::new(&format!("{tenant}'s {name}"), value.as_bytes()));
        canaries.extend(own);
    }
    assert_eq!(canaries.len(), 14);

    // Written while it serves, so that the write-ahead log holds it.
    for token in [REPLACED, value(&BETA, "token")] {
        scene.proxy.setup().set_secret("beta", "web", "token", token);
    }
    // The search works: what is no secret is found by it.
    let now = places(&scene.proxy);
    for (name, place) in
        [("url_key", "mcp-proxy.db-wal"), ("TRACE", "the log"), ("show_request", "the log")]
    {
        let content = now.get(place).unwrap_or_else(|| panic!("no {place}: {:?}", now.keys()));
        let seen = Canary::new(name, name.as_bytes()).seen_in(place, content);
        assert!(seen.is_some(), "{name} should stand in {place}");
    }
    // While it runs, with the write-ahead log still there, and after its end.
    let mut found = looked_through(&canaries, &now);
    let setup = scene.proxy.stop();
    found.extend(looked_through(&canaries, &files(setup.folder())));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn looked_through(canaries: &[Canary], places: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let seen = canaries.iter().flat_map(|canary| {
        places.iter().filter_map(|(place, content)| canary.seen_in(place, content))
    });
    seen.collect()
}

/// Store, write-ahead log and whatever else the proxy wrote.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let written =
        files.filter(|entry| entry.file_name().to_string_lossy().starts_with("mcp-proxy.db"));
    let files: BTreeMap<_, _> = written
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .map(|(name, path)| (name, fs::read(path).expect("the file is ours")))
        .collect();
    assert!(files.contains_key("mcp-proxy.db"), "the store is elsewhere: {:?}", files.keys());
    files
}

/// The files, the log, and the command lines of all processes.
fn places(proxy: &Proxy) -> BTreeMap<String, Vec<u8>> {
    let mut places = files(proxy.folder());
    places.insert("the log".to_owned(), proxy.log().into_bytes());
    for (id, _, line) in proxy.descendants() {
        places.insert(format!("the command line of {id}"), line.into_bytes());
    }
    places
}

#[test]
fn swapped_rows_are_refused_and_others_go_on() {
    let scene = Scene::new("both");
    let gamma = BETA.map(|(name, value)| (name, value.replace("beta", "gamma")));
    let gamma: Vec<(&str, &str)> =
        gamma.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let gamma_key = fill(scene.proxy.setup(), "gamma", &gamma);
    for tenant in ["alpha", "beta"] {
        shown(&mut scene.client(Era::Modern, tenant), "web", json!({}));
    }
    let Scene { proxy, beta_key, _server } = scene;
    let setup = proxy.stop();
    swap(&setup.folder().join("mcp-proxy.db"));
    let proxy = setup.serve();

    for (tenant, key) in [("beta", &beta_key), ("gamma", &gamma_key)] {
        let mut client = Client::connect(Era::Modern, proxy.address(), "/mcp", Some(key));
        let answer = client.call("web__show_request", json!({}));
        let refused = answer["error"].is_object() || answer["result"]["isError"] == true;
        assert!(refused, "{tenant} reached the upstream: {answer}");
        assert!(!answer.to_string().contains("canary"), "{tenant}: {answer}");
        // Only this secret is spoilt: its other upstreams go on.
        shown(&mut client, "plain", json!({}));
        let seen = shown(&mut client, "pipe", json!({"env": ["API_KEY"]}));
        assert!(seen["env"]["API_KEY"].as_str().is_some_and(|v| v.starts_with(tenant)), "{seen}");
    }
    let mut alpha =
        Client::connect(Era::Modern, proxy.address(), "/mcp", Some(value(&ALPHA, "key")));
    let seen = shown(&mut alpha, "web", json!({}));
    assert_eq!(seen["headers"]["authorization"][0], format!("Bearer {}", value(&ALPHA, "token")));
}

/// Exchanges the sealed `token` of the two tenants that were made by commands.
fn swap(store: &Path) {
    let store = rusqlite::Connection::open(store).expect("the store is a SQLite file");
    let mut rows = store
        .prepare("SELECT tenant_id, sealed FROM secret WHERE upstream = 'web' AND slot = 'token'")
        .expect("the table is there");
    let rows: Vec<(Vec<u8>, Vec<u8>)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .expect("the rows can be read");
    let [(one, first), (other, second)] = &rows[..] else { panic!("{} rows", rows.len()) };
    for (tenant, sealed) in [(one, second), (other, first)] {
        let update = "UPDATE secret SET sealed = ?1 WHERE tenant_id = ?2 AND upstream = 'web' AND slot = 'token'";
        assert_eq!(store.execute(update, (sealed, tenant)), Ok(1));
    }
}

#[test]
fn another_tenants_session_is_an_unknown_one() {
    let scene = Scene::new("both");
    let alpha = scene.client(Era::Legacy, "alpha");
    let session = alpha.session().expect("a legacy client gets a session").to_owned();
    let made_up: String = session.chars().rev().collect();
    let ask = |method: &str, key: &str, session: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Mcp-Session-Id", session),
            ("MCP-Protocol-Version", "2025-11-25"),
        ];
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
        let bytes = if method == "POST" {
            post(scene.proxy.address(), "/mcp", &headers, body)
        } else {
            let without =
                [&headers[..], &[("Content-Type", ABSENT), ("Content-Length", ABSENT)]].concat();
            let bytes = post(scene.proxy.address(), "/mcp", &without, b"");
            String::from_utf8_lossy(&bytes).replacen("POST", method, 1).into_bytes()
        };
        let answer = Raw::exchange(scene.proxy.address(), &bytes).expect("it answers");
        (answer.status, answer.body)
    };
    for method in ["POST", "GET", "DELETE"] {
        let foreign = ask(method, &scene.beta_key, &session);
        assert_eq!(foreign.0, 404, "{method}: {}", String::from_utf8_lossy(&foreign.1));
        assert_eq!(foreign, ask(method, &scene.beta_key, &made_up), "{method}");
    }
    // It is still its owner's.
    assert_eq!(ask("POST", value(&ALPHA, "key"), &session).0, 200);
}

/// 64 tenants, 200 calls of each at the same time.
const TENANTS: usize = 64;
const CALLS: usize = 200;

fn swarm(upstream: &str) {
    // One after the other: each is more than the machine can do at once.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    raise_open_files();
    let (_server, address) = serve_everything(&[]);
    let program = everything();
    let mut toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 20000\n\
         [upstreams.web]\nurl = \"http://{address}/mcp\"\n\
         [upstreams.pipe]\ncommand = [{program:?}]\nshare = \"all\"\n"
    );
    let mut setup = Setup::new();
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        let key = format!("key-of-tenant-{n:02}-which-is-long-enough");
        toml += &format!("[tenants.t{n}]\nkeys = [{{ name = \"k\", env = \"KEY_{n}\" }}]\n");
        setup = setup.env(&format!("KEY_{n}"), &key);
        tenants.push((key, format!("canary of tenant {n}")));
    }
    let proxy = setup.env("MCP_PROXY_LOG", "mcp_proxy=debug").config(&toml).serve();
    for era in Era::BOTH {
        let (address, door) = (proxy.address(), "/mcp".to_owned());
        let (tool, tenants) = (format!("{upstream}__echo"), tenants.clone());
        let swarm = Swarm { address, door, tenants, tool, calls: CALLS, http2: true };
        let failures = swarm.run(era);
        let some: Vec<_> = failures.iter().take(10).collect();
        assert!(
            failures.is_empty(),
            "{era:?} over {upstream}: {} wrong, such as {some:#?}",
            failures.len()
        );
    }
}

#[test]
fn a_swarm_over_http_gets_each_its_own_answer() {
    swarm("web");
}

#[test]
fn a_swarm_over_stdio_gets_each_its_own_answer() {
    swarm("pipe");
}
