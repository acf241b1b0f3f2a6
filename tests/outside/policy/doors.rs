//! The doors of profiles.

use serde_json::{Value, json};

use crate::policy::{names, refusal};
use crate::support::{
    Era, Process, Proxy, Raw, Setup, Stream, post, serve_everything, serve_tasker, text,
};

fn file(address: std::net::SocketAddr) -> String {
    format!(
        "[upstreams.one]\nurl = \"http://{address}/mcp\"\ntools = {{ deny = [\"synthetic_0001\"] }}\n\
         [upstreams.two]\nurl = \"http://{address}/mcp\"\n\
         [profiles.desk]\nupstreams = [\"one\"]\ntools = {{ allow = [\"synthetic_*\"] }}\n\
         [profiles.both.upstreams.one]\ntools = {{ allow = [\"echo\"] }}\n\
         [profiles.both.upstreams.two]\ntools = {{ allow = [\"synthetic_0001\"] }}\nrename = {{ synthetic_0001 = \"first\" }}\n"
    )
}

#[test]
fn a_profile_shows_its_upstreams_and_narrows_them() {
    let (_server, address) = serve_everything(&["--tools", "3"]);
    let proxy = Proxy::start(&file(address));
    for era in Era::BOTH {
        let mut desk = proxy.client(era, "/p/desk/mcp");
        // What the upstream's own entry takes away, a profile cannot give.
        assert_eq!(names(&mut desk), ["one__synthetic_0002", "one__synthetic_0003"]);
        let absent = refusal(&mut desk, "zero__x");
        for hidden in ["one__echo", "one__synthetic_0001", "two__echo", "two__synthetic_0002"] {
            assert_eq!(refusal(&mut desk, hidden), absent, "{hidden}");
        }
        let answer = desk.call("one__synthetic_0002", json!({}));
        assert_eq!(text(&answer), "synthetic_0002 {}");
        let mut both = proxy.client(era, "/p/both/mcp");
        assert_eq!(names(&mut both), ["one__echo", "two__first"]);
        assert_eq!(text(&both.call("two__first", json!({}))), "synthetic_0001 {}");
        let mut merged = proxy.client(era, "/mcp");
        assert!(names(&mut merged).len() > 20);
        assert_eq!(text(&merged.call("two__synthetic_0001", json!({}))), "synthetic_0001 {}");
    }
    proxy.stop();
}

#[test]
fn an_unknown_profile_is_no_door() {
    let (_server, address) = serve_everything(&[]);
    let proxy = Proxy::start(&file(address));
    let hello = Era::hello(1).to_string();
    let ask = |path: &str, key: Option<&str>| {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|key| ("Authorization", &**key)).collect();
        let answer = Raw::exchange(
            proxy.address(),
            &post(proxy.address(), path, &headers, hello.as_bytes()),
        );
        let answer = answer.unwrap();
        (answer.status, answer.text())
    };
    let nowhere = ask("/mcp/nothing", Some(proxy.key()));
    assert_eq!(nowhere.0, 404);
    for path in [
        "/p/nothing/mcp",
        "/p/one/mcp",
        "/p//mcp",
        "/p/desk/mcp/one",
        "/p/desk/",
        "/p/desk",
        "/p/de%73k/mcp",
    ] {
        assert_eq!(ask(path, Some(proxy.key())), nowhere, "{path}");
    }
    // Strangers do not hear which profiles there are.
    assert_eq!(ask("/p/desk/mcp", None), ask("/p/nothing/mcp", None));
    assert_eq!(ask("/p/desk/mcp", None).0, 401);
    assert_eq!(ask("/p/desk/mcp", Some(proxy.key())).0, 200);
    proxy.stop();
}

#[test]
fn what_was_made_at_one_door_is_unknown_at_another() {
    let (_server, address) = serve_everything(&["--tools", "3", "--era", "modern"]);
    let (_tasker, tasks) = serve_tasker(&[]);
    let proxy = Proxy::start(&format!(
        "{}[upstreams.job]\nurl = \"http://{tasks}/mcp\"\n[profiles.jobs]\nupstreams = [\"job\", \"one\"]\n[profiles.more]\nupstreams = [\"job\", \"one\"]\n",
        file(address)
    ));
    // A session.
    let client = proxy.client(Era::Legacy, "/p/desk/mcp");
    let session = client.session().unwrap().to_owned();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let key = format!("Bearer {}", proxy.key());
    for (door, status) in
        [("/p/desk/mcp", 200), ("/p/both/mcp", 404), ("/mcp", 404), ("/mcp/one", 404)]
    {
        let headers = [("Authorization", &*key), ("Mcp-Session-Id", &*session)];
        let bytes = post(proxy.address(), door, &headers, list.as_bytes());
        assert_eq!(Raw::exchange(proxy.address(), &bytes).unwrap().status, status, "{door}");
    }
    // What a client carries from one round of questions to the next.
    let asking = |door: &str, state: Option<&Value>| {
        let mut params =
            json!({"name": "one__test_input_required_result_elicitation", "arguments": {}});
        if let Some(state) = state {
            params["requestState"] = state.clone();
            params["inputResponses"] = json!({});
        }
        modern(&proxy, door, "tools/call", params, &json!({"elicitation": {"form": {}}}))
    };
    let asked = asking("/p/jobs/mcp", None);
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let state = &asked["result"]["requestState"];
    assert!(state.is_string(), "{asked}");
    for door in ["/p/more/mcp", "/mcp"] {
        let answer = asking(door, Some(state));
        assert_eq!(answer["error"]["code"], -32602, "{door}: {answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.contains("requestState"), "{words}");
    }
    let answer = asking("/p/jobs/mcp", Some(state));
    assert!(!answer.to_string().contains("was not made for this request"), "{answer}");
    proxy.stop();
}

/// A modern request of a client that declares these capabilities.
fn modern(proxy: &Proxy, door: &str, method: &str, params: Value, declared: &Value) -> Value {
    let mut params = Era::Modern.params(params);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = declared.clone();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let key = format!("Bearer {}", proxy.key());
    let mut headers = Era::Modern.headers(method, &params);
    headers.push(("Authorization", key));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let bytes = post(proxy.address(), door, &headers, body.to_string().as_bytes());
    let answer = Raw::exchange(proxy.address(), &bytes).expect("it answers");
    let found = answer.messages().into_iter().find(|message| message["id"] == 1);
    found.unwrap_or_else(|| panic!("{} {}", answer.status, answer.text()))
}

#[test]
fn old_clients_and_pipes_have_the_doors_of_profiles_too() {
    let (_server, address) = serve_everything(&["--tools", "3"]);
    let proxy = Proxy::start(&file(address));
    let key = format!("Authorization: Bearer {}", proxy.key());
    let mut stream = Stream::open(proxy.address(), "GET /p/desk/sse", &key, "");
    let told = std::iter::from_fn(|| stream.line()).find(|line| line.starts_with("data:"));
    assert!(told.unwrap().contains("/p/desk/messages?sessionId="));
    drop(stream);
    let setup = proxy.stop();
    let said = speak(&setup, &["stdio", "--tenant", "test", "--profile", "desk"]);
    let list = said.iter().find(|message| message["id"] == 2).unwrap();
    let tools = list["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 2, "{list}");
    let (status, _, words) = setup.run(&["stdio", "--tenant", "test", "--profile", "nothing"], b"");
    assert!(!status.success() && words.contains("there is no profile `nothing`"), "{words}");
}

/// Lists the tools over a pipe.
fn speak(setup: &Setup, args: &[&str]) -> Vec<Value> {
    let hello = Era::hello(1);
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let input = format!("{hello}\n{list}\n");
    let (status, out, words) = Process::run(
        &mut setup.command(args),
        input.as_bytes(),
        std::time::Duration::from_secs(30),
    );
    assert!(status.success(), "{words}");
    out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn changes_of_what_is_hidden_are_not_announced() {
    let (_server, address) = serve_everything(&["--tools", "3"]);
    let proxy = Proxy::start(&file(address));
    let open = |door: &str| {
        let mut client = proxy.client(Era::Legacy, door);
        let headers = format!(
            "Authorization: Bearer {}\r\nMcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25",
            proxy.key(),
            client.session().unwrap()
        );
        let stream = Stream::open(proxy.address(), &format!("GET {door}"), &headers, "");
        names(&mut client);
        (client, stream)
    };
    let (mut merged, mut hears) = open("/mcp");
    let (_both, mut quiet) = open("/p/both/mcp");
    // The upstream says that its tools have changed; of those that the profile shows none has.
    merged.call("two__test_trigger_tool_change", json!({}));
    hears.hears("notifications/tools/list_changed");
    merged.call("two__test_trigger_resource_change", json!({}));
    let first = std::iter::from_fn(|| quiet.event()).find(|event| !event.message.is_null());
    assert_eq!(first.unwrap().message["method"], "notifications/resources/list_changed");
    proxy.stop();
}
