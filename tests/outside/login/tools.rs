//! An upstream that has tools of its own for a login: the pages use them, no client sees them, and
//! what they give goes into the calls of its other tools.

use serde_json::json;

use crate::login::bed::{Browser, call, config, link, login_state, setup, until_good};
use crate::login::server::{TOKEN, World};
use crate::support::{Canary, Era, found};

/// It takes an issuer, a callback, and what its credentials begin with.
const SERVER: &str = r#"
import json, sys
from urllib.parse import quote
issuer, callback, token = sys.argv[1:4]
secret = {"type": "object", "properties": {"GOOGLE_OAUTH_CREDENTIALS": {"type": "string"}}}
code = {"type": "object", "properties": {"code": {"type": "string"}, "state": {"type": "string"}}}
tools = {"auth_get_authorization_url": {"type": "object"}, "auth_exchange_code": code, "who": secret}

def called(name, arguments):
    if name == "auth_get_authorization_url":
        place = f"{issuer}/authorize?client_id=g&state=the-same&redirect_uri={quote(callback, safe='')}"
        return json.dumps({"authorization_url": place})
    if name == "auth_exchange_code":
        good = arguments.get("state") == "the-same" and arguments["code"].startswith(token)
        return json.dumps({"access_token": token + "-google", "expiry": "é"}, indent=1) if good else None
    given = arguments.get("GOOGLE_OAUTH_CREDENTIALS", "")
    return "you" if json.loads(given or "{}").get("access_token") == token + "-google" else "nobody"

for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params", {})
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                            "serverInfo": {"name": "google", "version": "1"}}
    elif method == "tools/list":
        answer["result"] = {"tools": [{"name": name, "description": "d", "inputSchema": schema}
                                      for name, schema in tools.items()]}
    elif method == "tools/call":
        said = called(params["name"], params.get("arguments", {}))
        answer["result"] = {"content": [{"type": "text", "text": said or "no"}], "isError": said is None}
    else:
        answer["error"] = {"code": -32601, "message": "no"}
    print(json.dumps(answer), flush=True)
"#;

#[test]
fn an_upstream_with_tools_for_a_login_is_logged_in_to_at_our_page() {
    if !found(&["python3"]) {
        return;
    }
    let world = World::start();
    let more = "arguments = { GOOGLE_OAUTH_CREDENTIALS = \"{oauth.access_token}\" }";
    let text = config(&world, "style = \"tools\"", more);
    let public = text.split("public_url = \"").nth(1).and_then(|rest| rest.split('"').next());
    let callback = format!("{}/connect/callback", public.expect("a URL"));
    let secrets = "secrets = { up = { client_secret = { env = \"CLIENT_SECRET\" } } }\n";
    let setup = setup(&world, "").file("server.py", SERVER.as_bytes());
    let command = format!(
        "command = [\"python3\", \"{}\", \"{}\", \"{callback}\", \"{TOKEN}\"]",
        setup.folder().join("server.py").display(),
        world.issuer_url()
    );
    let text = text.replace(secrets, "").replace(&format!("url = \"{}\"", world.url()), &command);
    let proxy = setup.config(&text).serve_at_trace();
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login for tenant `test`"), "{said}");
    let link = link(&said);

    let mut browser = Browser::default();
    let back = browser.begin(&link, proxy.key());
    assert!(!back.contains("the-same"), "a state that all know is none: {back}");
    let refused = browser.get(&back.replace("code=", "error=access_denied&other="));
    assert_eq!(refused.status, 403, "{}", refused.text());
    let back = browser.begin(&link, proxy.key());
    let refused = browser.get(&back.replace(TOKEN, "made-up"));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(login_state(&proxy, proxy.key()), "logged-out");
    browser.log_in(&link, proxy.key());
    until_good(&mut client);
    assert_eq!(login_state(&proxy, proxy.key()), "logged-in");

    let tools = client.list("tools/list", "tools");
    assert_eq!(tools.len(), 1, "{tools:?}");
    assert_eq!(tools[0]["inputSchema"]["properties"], json!({}), "{tools:?}");
    let hidden = client.call("up__auth_exchange_code", json!({"code": TOKEN, "state": "the-same"}));
    assert!(hidden.get("error").is_some(), "{hidden}");

    let canary = Canary::new("what the tool gave", format!("{TOKEN}-google").as_bytes());
    assert_eq!(canary.seen_in("the log", proxy.log().as_bytes()), None);
    // Another life of the proxy and of the program.
    let proxy = proxy.stop().serve();
    until_good(&mut proxy.client(Era::Legacy, "/mcp"));
    browser.press(&proxy.url("/connect/upstreams/up"), "log-out", "");
    let (failed, said) = call(&mut proxy.client(Era::Legacy, "/mcp"));
    assert!(failed && said.contains("needs a login"), "{said}");
}
