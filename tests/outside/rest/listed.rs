//! What is listed, and how.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::rest::bed::{Bed, UPSTREAMS, problem};
use crate::rest::world::{Ask, value};
use crate::support::{Era, Process, Proxy, address_in, exact};

/// All pages of a list.
fn pages(bed: &Bed, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = bed.get(&format!("/api/v1/tools?{query}{cursor}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = value(&page);
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn by_name(tools: Vec<Value>) -> BTreeMap<String, Value> {
    let count = tools.len();
    let named = tools.into_iter().map(|t| (t["name"].as_str().expect("a name").to_owned(), t));
    let named: BTreeMap<String, Value> = named.collect();
    assert_eq!(named.len(), count, "no name comes twice");
    named
}

#[test]
fn each_door_lists_what_it_lists_over_mcp_with_the_owner_beside_it() {
    let bed = Bed::with(
        "[profiles.desk]\ntools = { deny = [\"test_*\"] }\n\
         [profiles.desk.upstreams.old]\nrename = { echo = \"say\" }\nhide = [\"limit\"]\n\
         [profiles.desk.upstreams.new]\nread_only = false\n",
    );
    for (query, door) in [
        ("limit=7", "/mcp"),
        ("upstream=old", "/mcp/old"),
        ("upstream=new&limit=200", "/mcp/new"),
        ("profile=desk", "/p/desk/mcp"),
    ] {
        let mut listed = by_name(pages(&bed, query));
        for (name, tool) in &mut listed {
            let owner = tool.as_object_mut().and_then(|tool| tool.remove("upstream"));
            let owner =
                owner.and_then(|owner| owner.as_str().map(str::to_owned)).expect("an owner");
            let owns = match door.strip_prefix("/mcp/") {
                Some(only) => owner == only,
                None => name.starts_with(&format!("{owner}__")),
            };
            assert!(UPSTREAMS.contains(&&*owner) && owns, "{door} {name}: {owner}");
            let one = bed.get(&format!(
                "/api/v1/tools/{name}?{}",
                query.split('&').find(|part| !part.starts_with("limit")).unwrap_or_default()
            ));
            let mut one = value(&one);
            one.as_object_mut().expect("an object").remove("upstream");
            assert_eq!(one, *tool);
        }
        let mut modern = bed.proxy.client(Era::Modern, door);
        assert_eq!(listed, by_name(modern.list("tools/list", "tools")), "{door}");
        let mut legacy = bed.proxy.client(Era::Legacy, door);
        let legacy = by_name(legacy.list("tools/list", "tools"));
        assert!(legacy.keys().eq(listed.keys()), "{door}");
    }
    assert!(by_name(pages(&bed, "profile=desk")).contains_key("old__say"));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let bed = Bed::new();
    for path in ["/api/v1/tools?limit=3", "/api/v1/tools/old__echo"] {
        let first = bed.get(path);
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = bed.send(&Ask::new("GET", path).header("If-None-Match", &tag));
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}

#[test]
fn a_door_that_is_not_there_is_not_found() {
    let bed = Bed::with("[profiles.desk]\nupstreams = [\"old\"]\n");
    for query in ["profile=none", "upstream=none", "profile=", "upstream=..", "profile=desk/mcp"] {
        for path in ["/api/v1/tools", "/api/v1/tools/old__echo"] {
            assert_eq!(problem(&bed.get(&format!("{path}?{query}"))).0, 404, "{query}");
        }
        let path = format!("/api/v1/tools/old__echo/call?{query}");
        assert_eq!(problem(&bed.send(&Ask::new("POST", &path))).0, 404, "{query}");
    }
    assert_eq!(problem(&bed.get("/api/v1/tools?profile=desk&upstream=old")).0, 400);
    assert_eq!(problem(&bed.get("/api/v1/tools?cursor=abc")).0, 400);
    let stranger = Ask::new("GET", "/api/v1/tools?profile=desk").at(bed.proxy.address());
    assert_eq!(stranger.status, 401);
}

#[test]
fn a_definition_and_a_name_stay_as_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let definition =
        r#"{"name":"a/b é","inputSchema":{"type":"object","x":1.10},"upstream":1e400 }"#;
    fs::write(folder.path().join("tools.json"), definition).expect("the folder is ours");
    let out = r#"{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"A\u0041"}],"x":1e400}}"#;
    fs::write(folder.path().join("one.out"), out).expect("the folder is ours");
    let mut command = Command::new(exact());
    command.args(["--http", "127.0.0.1:0", "--folder"]).arg(folder.path());
    let server = Process::start(&mut command);
    let address = server.line("its address", address_in);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let bed = Bed { proxy, servers: vec![server] };
    let list = bed.get("/api/v1/tools?upstream=up").text();
    let shown = r#"{"name":"a/b é","inputSchema":{"type":"object","x":1.10} ,"upstream":"up"}"#;
    assert!(list.contains(shown), "{list}");
    // A name that is not plain has one spelling in a path.
    let arguments =
        r#"{"x-case":"one", "n":1.10,"e":"\u00e9","big":123456789012345678901234567890}"#;
    let body = format!("{{\"arguments\":{arguments}}}");
    let path = "/api/v1/tools/a%2Fb%20%C3%A9/call?upstream=up";
    let ask = Ask::new("POST", path).header("Content-Type", "application/json").text(&body);
    let answer = bed.send(&ask);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(r#""content":[{"type":"text","text":"A\u0041"}],"x":1e400"#));
    let got = fs::read_to_string(folder.path().join("one.in")).expect("it was kept");
    assert!(got.contains(&format!("\"arguments\":{arguments}")), "{got}");
    assert!(got.contains(r#""name":"a/b é""#), "{got}");
    let other = bed.send(&Ask::new("POST", "/api/v1/tools/a%2fb%20%C3%A9/call?upstream=up"));
    assert_eq!(problem(&other).0, 404);
    // At the merged door it has a plain name.
    let merged = value(&bed.get("/api/v1/tools"));
    let name = merged["items"][0]["name"].as_str().expect("a name").to_owned();
    let answer = bed.call(&name, &json!({ "x-case": "one" }));
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
}
