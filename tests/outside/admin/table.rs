//! Who gets which answer: every route, for every kind of caller, in every spelling of its path.
//! The table stands here and is the only place that says what is right.

use std::collections::BTreeSet;

use mcp_proxy::admin::surface;
use serde_json::json;

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Answer, Era};

/// The callers, in the order of the columns.
pub(crate) const CALLERS: [&str; 9] = [
    "no key",
    "bad key",
    "expired",
    "revoked",
    "member",
    "admin",
    "admin of another tenant",
    "operator",
    "operator for the tenant",
];

/// The column of the operator without a tenant.
pub(crate) const OPERATORS: usize = 7;

/// What each caller gets; the first four, who have no good key, always get 401.
type Row = (&'static str, &'static str, [u16; 5]);

/// An unknown name, or one of another tenant, stands for each part in braces. Bodies are empty.
const TABLE: &[Row] = &[
    ("GET", "/api/v1/openapi.json", [200, 200, 200, 200, 200]),
    ("GET", "/api/v1/health", [200, 200, 200, 200, 200]),
    ("GET", "/api/v1/stats", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/me", [200, 200, 200, 200, 200]),
    ("POST", "/api/v1/token", [200, 200, 200, 200, 200]),
    ("GET", "/api/v1/tenants", [403, 403, 403, 200, 200]),
    ("POST", "/api/v1/tenants", [403, 403, 403, 400, 400]),
    ("GET", "/api/v1/tenants/{name}", [403, 403, 403, 404, 404]),
    ("DELETE", "/api/v1/tenants/{name}", [403, 403, 403, 404, 404]),
    ("GET", "/api/v1/keys", [200, 200, 200, 200, 200]),
    ("POST", "/api/v1/keys", [400, 400, 400, 400, 400]),
    ("GET", "/api/v1/keys/{id}", [404, 404, 404, 404, 404]),
    ("DELETE", "/api/v1/keys/{id}", [404, 404, 404, 404, 404]),
    ("POST", "/api/v1/keys/{id}/rotate", [404, 404, 404, 404, 404]),
    ("GET", "/api/v1/secrets", [403, 200, 200, 400, 200]),
    ("PUT", "/api/v1/secrets/{upstream}/{slot}", [403, 400, 400, 400, 400]),
    ("DELETE", "/api/v1/secrets/{upstream}/{slot}", [403, 404, 404, 400, 404]),
    ("GET", "/api/v1/seal", [403, 403, 403, 200, 200]),
    ("POST", "/api/v1/seal/rotate", [403, 403, 403, 200, 200]),
    ("POST", "/api/v1/tenants/{name}/seal/rotate", [403, 403, 403, 404, 404]),
    ("GET", "/api/v1/upstreams", [200, 200, 200, 400, 200]),
    ("GET", "/api/v1/upstreams/{name}", [404, 404, 404, 400, 404]),
    ("POST", "/api/v1/upstreams", [403, 403, 403, 400, 400]),
    ("PUT", "/api/v1/upstreams/{name}", [403, 403, 403, 404, 404]),
    ("PATCH", "/api/v1/upstreams/{name}", [403, 403, 403, 404, 404]),
    ("DELETE", "/api/v1/upstreams/{name}", [403, 403, 403, 404, 404]),
    ("POST", "/api/v1/upstreams/{name}/enable", [403, 403, 403, 404, 404]),
    ("POST", "/api/v1/upstreams/{name}/disable", [403, 403, 403, 404, 404]),
    ("PUT", "/api/v1/upstreams/{name}/enabled", [403, 404, 404, 400, 404]),
    ("POST", "/api/v1/upstreams/{name}/restart", [403, 404, 404, 404, 404]),
    ("GET", "/api/v1/upstreams/{name}/stderr", [403, 404, 404, 400, 404]),
    ("GET", "/api/v1/upstreams/{name}/history", [403, 404, 404, 400, 404]),
    ("POST", "/api/v1/upstreams/{name}/rpc", [404, 404, 404, 400, 404]),
    ("GET", "/api/v1/profiles", [200, 200, 200, 200, 200]),
    ("GET", "/api/v1/profiles/{name}", [404, 404, 404, 404, 404]),
    ("PUT", "/api/v1/profiles/{name}", [403, 403, 403, 400, 400]),
    ("DELETE", "/api/v1/profiles/{name}", [403, 403, 403, 404, 404]),
    ("GET", "/api/v1/sessions", [200, 200, 200, 400, 200]),
    ("DELETE", "/api/v1/sessions/{id}", [404, 404, 404, 400, 404]),
    ("GET", "/api/v1/grants", [200, 200, 200, 400, 200]),
    ("DELETE", "/api/v1/grants/{id}", [404, 404, 404, 400, 404]),
    ("POST", "/api/v1/reload", [403, 403, 403, 200, 200]),
    ("GET", "/api/v1/audit", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/audit/heads", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/audit/{seq}", [403, 404, 404, 400, 404]),
    ("GET", "/api/v1/bodies", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/bodies/{id}", [403, 404, 404, 400, 404]),
    ("GET", "/api/v1/usage", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/events", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/errors", [403, 200, 200, 200, 200]),
    ("GET", "/api/v1/explain", [400, 400, 400, 400, 400]),
    ("GET", "/api/v1/tools", [200, 200, 200, 400, 200]),
    ("GET", "/api/v1/tools/{tool}", [404, 404, 404, 400, 404]),
    ("POST", "/api/v1/tools/{tool}/call", [404, 404, 404, 400, 404]),
];

/// Every kind of caller.
pub(crate) struct Callers(Vec<(Option<String>, bool)>);

impl Callers {
    pub(crate) fn new(world: &World) -> Self {
        let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
        let member = text(&world.key(&acme, &json!({ "name": "member" })));
        let revoked = world.key(&acme, &json!({ "name": "revoked" }));
        let expired = world.key(&acme, &json!({ "name": "expired" }));
        let id = |key: &serde_json::Value| key["id"].as_str().expect("an id").to_owned();
        let end = format!("/api/v1/keys/{}", id(&revoked));
        assert_eq!(world.ask(&Ask::new("DELETE", &end).key(&acme)).status, 204);
        let end = format!("/api/v1/keys/{}/rotate", id(&expired));
        let rotated = Ask::new("POST", &end).key(&acme).json(&json!({ "grace": "0s" }));
        assert_eq!(world.ask(&rotated).status, 201);
        let some = |key: &str| (Some(key.to_owned()), false);
        Self(vec![
            (None, false),
            some("mcpp_0000000000_no-key-of-anybody"),
            some(&text(&expired)),
            some(&text(&revoked)),
            some(&member),
            some(&acme),
            some(&beta),
            some(OPERATOR),
            (Some(OPERATOR.to_owned()), true),
        ])
    }

    /// The key of one, and whether it acts for the tenant `acme`.
    pub(crate) fn of(&self, at: usize) -> (Option<&str>, bool) {
        let (key, acts) = &self.0[at];
        (key.as_deref(), *acts)
    }

    fn ask<'a>(&self, at: usize, method: &'a str, path: &'a str) -> Ask<'a> {
        let (key, acting) = &self.0[at];
        let ask = Ask::new(method, path);
        let ask = match key {
            Some(key) => ask.key(key),
            None => ask,
        };
        if *acting { ask.tenant("acme") } else { ask }
    }
}

fn filled(path: &str) -> String {
    let unknown = [
        ("{name}", "nobody"),
        ("{seq}", "123456789"),
        ("{id}", "zzzzzzzzzz"),
        ("{upstream}", "gh"),
        ("{slot}", "token"),
        ("{tool}", "nothing"),
    ];
    unknown.iter().fold(path.to_owned(), |path, (part, with)| path.replace(part, with))
}

fn expected(row: &Row, caller: usize) -> u16 {
    if caller < 4 { 401 } else { row.2[caller - 4] }
}

#[test]
fn every_route_answers_every_caller_as_the_table_says() {
    let known: BTreeSet<(&str, &str)> = TABLE.iter().map(|(m, path, _)| (*m, *path)).collect();
    let served: BTreeSet<(&str, &str)> =
        surface().iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(known, served, "each route has a row here, and each row a route");

    let world = World::new();
    let callers = Callers::new(&world);
    let mut wrong = Vec::new();
    let mut judge = |what: String, caller: usize, expected: u16, answer: &Answer| {
        if answer.status != expected {
            let text: String = answer.text().chars().take(120).collect();
            let caller = CALLERS[caller];
            wrong.push(format!("{what}, {caller}: {} and not {expected}: {text}", answer.status));
        }
        let problem = answer.header("content-type") == Some("application/problem+json");
        if answer.status >= 400 && !problem {
            wrong.push(format!("{what}: no problem document"));
        }
    };
    for row in TABLE {
        let (method, path) = (row.0, filled(row.1));
        for caller in 0..CALLERS.len() {
            let ask = |method: &str, path: &str| world.ask(&callers.ask(caller, method, path));
            let plain = ask(method, &path);
            judge(format!("{method} {path}"), caller, expected(row, caller), &plain);
            // Another spelling is another path, and there is nothing.
            let rest = path.strip_prefix("/api/v1/").expect("all routes are below it");
            let strangers = if caller < 4 { 401 } else { 404 };
            for odd in [
                format!("{path}/"),
                format!("/api//v1/{rest}"),
                format!("/api/v1//{rest}"),
                format!("/api/./v1/{rest}"),
                format!("/api/v1/%2e/{rest}"),
                format!("/api/v1/x/%2e%2e/{rest}"),
                format!(
                    "/api/v1/{}",
                    rest.replacen(&rest[..1], &format!("%{:02x}", rest.as_bytes()[0]), 1)
                ),
                format!("/api/V1/{rest}"),
                format!("{path};x"),
                format!("{path}%20"),
            ] {
                if row.1.ends_with("{tool}") && odd.ends_with("%20") {
                    // The one spelling of another tool, which may have any name.
                    continue;
                }
                judge(format!("{method} {odd}"), caller, strangers, &ask(method, &odd));
            }
            // Methods that the path does not have; HEAD is a GET without its body.
            for other in ["HEAD", "OPTIONS", "PATCH", "TRACE"] {
                if TABLE.iter().any(|(m, p, _)| *m == other && *p == row.1) {
                    continue;
                }
                let get = TABLE.iter().find(|(m, p, _)| *m == "GET" && *p == row.1);
                let expected = match (other, get) {
                    _ if caller < 4 => 401,
                    ("HEAD", Some(get)) => expected(get, caller),
                    _ => 405,
                };
                judge(format!("{other} {path}"), caller, expected, &ask(other, &path));
            }
        }
    }
    // Outside of `/api/` nothing leads inside.
    for path in
        ["//api/v1/keys", "/%61pi/v1/keys", "/./api/v1/keys", "/mcp/../api/v1/keys", "/apiv1/keys"]
    {
        for caller in 0..CALLERS.len() {
            let answer = world.ask(&callers.ask(caller, "GET", path));
            // The operator names no tenant, which the doors ask for first.
            let right =
                matches!(answer.status, 401 | 404) || (caller, answer.status) == (OPERATORS, 400);
            assert!(right, "{path}: {}", answer.status);
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_method_of_mcp_is_for_good_keys_that_have_a_tenant() {
    let world = World::new();
    let callers = Callers::new(&world);
    let mut seen = BTreeSet::new();
    for method in mcp_proxy::wire::methods() {
        for era in Era::BOTH {
            let params = era.params(json!({}));
            let body =
                json!({ "jsonrpc": "2.0", "id": 1, "method": method.name, "params": params });
            let headers = era.headers(method.name, &params);
            for (caller, who) in CALLERS.iter().enumerate() {
                for door in ["/mcp", "/mcp/free"] {
                    let mut ask = callers.ask(caller, "POST", door).json(&body);
                    ask = ask.header("Accept", "application/json, text/event-stream");
                    for (name, value) in &headers {
                        ask = ask.header(name, value);
                    }
                    // A stream that stays open has a status, too.
                    let status = if method.name == "subscriptions/listen"
                        && caller >= 4
                        && caller != OPERATORS
                    {
                        200
                    } else {
                        world.ask(&ask).status
                    };
                    let right = match caller {
                        0..4 => status == 401,
                        OPERATORS => status == 400,
                        _ => !matches!(status, 401 | 403),
                    };
                    assert!(right, "{} at {door}, {who}: {status}", method.name);
                    seen.insert(method.name);
                }
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
    for (method, path) in
        [("GET", "/mcp"), ("DELETE", "/mcp"), ("POST", "/messages"), ("GET", "/mcp/free")]
    {
        for caller in 0..4 {
            assert_eq!(
                world.ask(&callers.ask(caller, method, path)).status,
                401,
                "{method} {path}"
            );
        }
        assert_eq!(world.ask(&callers.ask(OPERATORS, method, path)).status, 400, "{method} {path}");
    }
}

#[test]
fn all_who_have_no_good_key_read_the_same() {
    let world = World::new();
    let callers = Callers::new(&world);
    let answers: Vec<Answer> =
        (0..4).map(|caller| world.ask(&callers.ask(caller, "GET", "/api/v1/me"))).collect();
    for answer in &answers {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.text(), answers[0].text());
    }
}

#[test]
fn a_listener_of_the_operators_own_takes_his_routes_from_the_other() {
    let world = World::with("[admin]\nlisten = \"127.0.0.1:0\"\n");
    let own = world.proxy.log();
    let own = own.lines().find_map(|line| line.split_once("operator's routes are at http://"));
    let own = own.and_then(|(_, rest)| rest.split('/').next()?.parse().ok()).expect("its address");
    let made = Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&json!({ "name": "acme" }));
    assert_eq!(made.at(own).status, 201);
    let unknown = world.ask(&Ask::new("GET", "/api/v1/nothing").key(OPERATOR));
    for (method, path) in [
        ("GET", "/api/v1/tenants"),
        ("POST", "/api/v1/tenants"),
        ("GET", "/api/v1/tenants/acme"),
        ("DELETE", "/api/v1/tenants/acme"),
        ("PATCH", "/api/v1/tenants/acme"),
    ] {
        let answer = world.ask(&Ask::new(method, path).key(OPERATOR));
        assert_eq!((answer.status, answer.text()), (404, unknown.text()), "{method} {path}");
    }
    let described = |address| {
        let answer = Ask::new("GET", "/api/v1/openapi.json").key(OPERATOR).at(address);
        value(&answer)["paths"].get("/api/v1/tenants").is_some()
    };
    assert!(described(own) && !described(world.address()));
    // What is about one tenant is served at both; the doors are not at the operator's.
    for address in [own, world.address()] {
        let keys = Ask::new("GET", "/api/v1/keys").key(OPERATOR).tenant("acme").at(address);
        assert_eq!(keys.status, 200);
    }
    assert_eq!(Ask::new("POST", "/mcp").key(OPERATOR).tenant("acme").at(own).status, 404);
    assert_eq!(Ask::new("POST", "/mcp").at(own).status, 401);
}

#[test]
fn foreign_hosts_and_origins_are_refused_and_ours_may_read() {
    let world = World::with(
        "[server]\nlisten = \"127.0.0.1:0\"\norigins = [\"https://app.example.com\"]\n",
    );
    let ask = |name: &'static str, value: &str| {
        world.ask(&Ask::new("GET", "/api/v1/me").key(OPERATOR).header(name, value))
    };
    assert_eq!(ask("Host", "evil.example").status, 403);
    assert_eq!(ask("Origin", "https://evil.example").status, 403);
    assert_eq!(ask("Origin", "null").status, 403);
    let own = ask("Origin", "https://app.example.com");
    assert_eq!(own.status, 200);
    assert_eq!(own.header("access-control-allow-origin"), Some("https://app.example.com"));
    let preflight = Ask::new("OPTIONS", "/api/v1/keys")
        .header("Origin", "https://app.example.com")
        .header("Access-Control-Request-Method", "POST");
    let preflight = world.ask(&preflight);
    assert_eq!(preflight.status, 204);
    assert!(
        preflight.header("access-control-allow-headers").is_some_and(|h| h.contains("X-Tenant"))
    );
    let foreign = Ask::new("OPTIONS", "/api/v1/keys")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST");
    let foreign = world.ask(&foreign);
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
}
