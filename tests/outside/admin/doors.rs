//! MCP's own doors: every method of both eras, for every kind of caller, in every spelling of the
//! path. The table stands here and is the only place that says what is right.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::admin::table::{CALLERS, Callers, OPERATORS};
use crate::admin::world::World;
use crate::support::{Answer, Client, Era, Raw, post};

/// A method, and what each good key that has a tenant gets for it: in a session, and of
/// 2026-07-28. Status, then the code of an error of JSON-RPC. Strangers always get 401, and the
/// operator without a tenant 400.
type Row = (&'static str, &'static str, &'static str);

const TABLE: &[Row] = &[
    ("tools/call", "200", "200"),
    ("tools/list", "200", "200"),
    ("resources/read", "200 -32002", "200 -32602"),
    ("prompts/get", "200 -32602", "200 -32602"),
    ("completion/complete", "200 -32002", "200 -32602"),
    ("prompts/list", "200", "200"),
    ("resources/list", "200", "200"),
    ("resources/templates/list", "200", "200"),
    ("tasks/get", "200 -32601", "400 -32021"),
    ("tasks/update", "200 -32601", "400 -32021"),
    ("tasks/cancel", "200 -32601", "400 -32021"),
    ("tasks/result", "200 -32601", "404 -32601"),
    ("skills/list", "200 -32601", "404 -32601"),
    ("skills/get", "200 -32602", "200 -32602"),
    ("resources/directory/read", "200 -32602", "200 -32602"),
    ("ping", "200", "404 -32601"),
    ("initialize", "200", "404 -32601"),
    ("server/discover", "200 -32601", "200"),
    ("logging/setLevel", "200", "404 -32601"),
    ("resources/subscribe", "200 -32002", "404 -32601"),
    ("resources/unsubscribe", "200 -32002", "404 -32601"),
    ("subscriptions/listen", "200 -32601", "200"),
    ("notifications/initialized", "202", "202"),
    ("notifications/cancelled", "202", "202"),
    ("notifications/progress", "202", "202"),
    ("notifications/roots/list_changed", "202", "202"),
    ("notifications/elicitation/complete", "202", "202"),
    ("notifications/tasks/status", "202", "202"),
    // None of the protocol's.
    ("no/such/method", "200 -32601", "404 -32601"),
];

/// HTTP's other methods at the door, likewise; GET and DELETE of a session come with its id.
const VERBS: &[Row] = &[
    ("GET", "200", "405"),
    ("HEAD", "405", "405"),
    ("OPTIONS", "405", "405"),
    ("PUT", "405", "405"),
    ("PATCH", "405", "405"),
    ("TRACE", "405", "405"),
    ("DELETE", "200", "405"),
];

/// Other spellings are other paths. These lead to no door, whoever asks: 404 for everybody.
const OUTSIDE: [&str; 9] =
    ["//mcp", "/mcp/", "/./mcp", "/%6dcp", "/mc%70", "/x/../mcp", "/MCP", "/mcp;x", "/mcp%20"];

/// These are below `/mcp/`, where upstreams have their doors: who has a key hears that there is no
/// such one, and nobody else does.
const BELOW: [&str; 7] =
    ["/mcp//", "/mcp/.", "/mcp/..", "/mcp/%2e", "/mcp/%2e%2e", "/mcp/free/", "/mcp/%66ree"];

/// 404 for everybody, with or without a key.
const NOBODY: &str = "404 for all";

fn params(method: &str) -> Value {
    match method {
        "tools/call" => json!({ "name": "free__echo", "arguments": { "text": "x" } }),
        "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "skills/get"
        | "resources/directory/read" => json!({ "uri": "nothing://here" }),
        "prompts/get" => json!({ "name": "nothing" }),
        "completion/complete" => {
            json!({ "ref": { "type": "ref/prompt", "name": "nothing" }, "argument": { "name": "a", "value": "" } })
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => {
            json!({ "taskId": "nothing", "inputResponses": {} })
        }
        "logging/setLevel" => json!({ "level": "info" }),
        "subscriptions/listen" => json!({ "notifications": { "toolsListChanged": true } }),
        "notifications/cancelled" => json!({ "requestId": 77 }),
        "notifications/progress" => json!({ "progressToken": "t", "progress": 1 }),
        _ => json!({}),
    }
}

/// One caller in one era, on a connection of its own.
struct Speaker<'a> {
    world: &'a World,
    era: Era,
    headers: Vec<(&'static str, String)>,
    session: Option<String>,
    line: Option<Raw>,
}

impl<'a> Speaker<'a> {
    fn new(world: &'a World, callers: &Callers, caller: usize, era: Era) -> Self {
        let (key, acts) = callers.of(caller);
        let mut headers = Vec::new();
        headers.extend(key.map(|key| ("Authorization", format!("Bearer {key}"))));
        headers.extend(acts.then(|| ("X-Tenant", "acme".to_owned())));
        let mut session = None;
        if era == Era::Legacy && caller >= 4 && caller != OPERATORS {
            let mut speaker =
                Self { world, era, headers: headers.clone(), session: None, line: None };
            let answer = speaker.ask("POST", "/mcp", "initialize", &Era::hello(1));
            session = answer.header("mcp-session-id").map(str::to_owned);
            assert!(session.is_some(), "{}: {}", CALLERS[caller], answer.text());
        }
        Self { world, era, headers, session, line: None }
    }

    fn ask(&mut self, verb: &str, path: &str, method: &str, body: &Value) -> Answer {
        let mut headers = self.era.headers(method, &body["params"]);
        headers.extend(self.headers.clone());
        // A session is asked for without one.
        let session = self.session.clone().filter(|_| method != "initialize");
        headers.extend(session.map(|session| ("Mcp-Session-Id", session)));
        headers.push(("Connection", "keep-alive".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = body.to_string();
        let bytes = post(self.world.address(), path, &headers, body.as_bytes());
        let bytes = [verb.as_bytes(), &bytes[4..]].concat();
        // A stream that stays open has a status, and HEAD has no body.
        let streams = verb == "HEAD" || verb == "GET" || method == "subscriptions/listen";
        if streams || verb == "TRACE" {
            let mut raw = Raw::connect(self.world.address());
            raw.send(&bytes).expect("it is sent");
            let mut head = raw.head().expect("an answer");
            let json = head.header("content-type") == Some("application/json");
            if json && verb != "HEAD" {
                let mut again = Raw::connect(self.world.address());
                again.send(&bytes).expect("it is sent");
                head = again.answer().expect("an answer");
            }
            return head;
        }
        let address = self.world.address();
        let line = self.line.get_or_insert_with(|| Raw::connect(address));
        line.send(&bytes).expect("it is sent");
        let answer =
            line.answer().unwrap_or_else(|error| panic!("{verb} {path} {method}: {error}"));
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.line = None;
        }
        answer
    }
}

/// Every odd spelling, and what a good key gets there.
fn odd() -> impl Iterator<Item = (&'static str, &'static str)> {
    let outside = OUTSIDE.into_iter().map(|path| (path, NOBODY));
    outside.chain(BELOW.into_iter().map(|path| (path, "404")))
}

/// As the table has it.
fn shape(answer: &Answer) -> String {
    let code = answer.code().map(|code| format!(" {code}")).unwrap_or_default();
    format!("{}{code}", answer.status)
}

fn at_the_doors(world: &World, callers: &Callers, caller: usize, step: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut strangers = BTreeSet::new();
    let mut judge = |what: String, expected: &str, answer: &Answer| {
        let expected = match caller {
            _ if expected == NOBODY => "404",
            0..4 => "401",
            OPERATORS => "400",
            _ => expected,
        };
        let shape = shape(answer);
        // The code of a refusal by the key or the path is the same in all rows.
        let same = if expected.len() == 3 && expected > "299" {
            shape.starts_with(expected)
        } else {
            shape == expected
        };
        if !same {
            let text: String = answer.text().chars().take(160).collect();
            wrong.push(format!("{what}, {}: {shape} and not {expected}: {text}", CALLERS[caller]));
        }
        if answer.status == 401 {
            strangers.insert((answer.text(), answer.header("www-authenticate").map(str::to_owned)));
        }
    };
    for era in Era::BOTH {
        let mut speaker = Speaker::new(world, callers, caller, era);
        for (turn, (method, legacy, modern)) in TABLE.iter().enumerate() {
            let params = era.params(params(method));
            let mut body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            if method.starts_with("notifications/") {
                body.as_object_mut().expect("an object").remove("id");
            }
            if *method == "initialize" {
                body["params"] = Era::hello(1)["params"].clone();
                if era == Era::Modern {
                    body["params"]["_meta"] = params["_meta"].clone();
                }
            }
            let expected = if era == Era::Legacy { legacy } else { modern };
            for path in ["/mcp", "/mcp?x=1"] {
                let answer = speaker.ask("POST", path, method, &body);
                judge(format!("{era:?} {method} at {path}"), expected, &answer);
            }
            for (path, expected) in odd().skip(turn % step).step_by(step) {
                let answer = speaker.ask("POST", path, method, &body);
                judge(format!("{era:?} {method} at {path}"), expected, &answer);
            }
        }
        for (verb, legacy, modern) in VERBS {
            let expected = if era == Era::Legacy { legacy } else { modern };
            for (path, expected) in odd() {
                let answer = speaker.ask(verb, path, "", &Value::Null);
                judge(format!("{era:?} {verb} {path}"), expected, &answer);
            }
            let answer = speaker.ask(verb, "/mcp", "", &Value::Null);
            judge(format!("{era:?} {verb} /mcp"), expected, &answer);
        }
    }
    // HEAD is told the same without a body.
    strangers.retain(|(text, _)| !text.is_empty());
    if strangers.len() > 1 {
        wrong.push(format!("{} are told different things: {strangers:?}", CALLERS[caller]));
    }
    wrong
}

/// Each method is asked for at some of the spellings, by turns.
#[test]
fn every_method_of_mcp_answers_every_caller_as_the_table_says() {
    as_the_table_says(5);
}

#[test]
#[ignore = "some ten thousand requests take half a minute"]
fn every_method_at_every_spelling_of_a_door_answers_as_the_table_says() {
    as_the_table_says(1);
}

/// At every spelling, or at every second, and so on.
fn as_the_table_says(step: usize) {
    let rows: BTreeSet<&str> = TABLE.iter().map(|(method, ..)| *method).collect();
    let known: BTreeSet<&str> = mcp_proxy::wire::methods().iter().map(|row| row.name).collect();
    let missing: Vec<_> = known.difference(&rows).collect();
    assert!(missing.is_empty(), "each method of the protocol has a row here: {missing:?}");
    let more: Vec<_> = rows.difference(&known).collect();
    assert_eq!(more, [&"no/such/method"], "each row but one is a method of the protocol");
    assert_eq!(rows.len(), TABLE.len(), "each once");

    let world = World::new();
    let callers = Callers::new(&world);
    // The upstreams are known before anybody asks.
    let (member, _) = callers.of(4);
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", member);
    assert!(!client.list("tools/list", "tools").is_empty());
    let wrong: Vec<String> = thread::scope(|scope| {
        let (world, callers) = (&world, &callers);
        let all: Vec<_> = (0..CALLERS.len())
            .map(|caller| scope.spawn(move || at_the_doors(world, callers, caller, step)))
            .collect();
        all.into_iter().flat_map(|one| one.join().expect("it ends")).collect()
    });
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
