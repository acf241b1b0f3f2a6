//! Random policies through the running proxy: at every door and in both eras, what is listed can
//! be called, and nothing else can.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use crate::policy::tools;
use crate::support::{Era, Proxy, Raw, serve_everything};

/// Upstreams with rules, and profiles over them; each is a policy of its own.
const UPSTREAMS: usize = 10;
const PROFILES: usize = 40;
/// Tools that are called with no arguments and answer.
const TOOLS: [&str; 6] = [
    "synthetic_0001",
    "synthetic_0002",
    "synthetic_0003",
    "whoami",
    "show_request",
    "test_simple_text",
];
const GLOBS: [&str; 9] =
    ["*", "synthetic_*", "*_0002", "whoami", "show*", "*e*", "test_*", "nothing", "synthetic_0003"];

/// Numbers that are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).expect("it is below `end`")
    }

    fn globs(&mut self) -> Vec<&'static str> {
        (0..self.below(3)).map(|_| GLOBS[self.below(GLOBS.len())]).collect()
    }

    /// Lines of rules; those about single tools where `whole`.
    fn rules(&mut self, whole: bool) -> String {
        let mut text = String::new();
        if self.below(2) > 0 {
            let allow = self.globs();
            let allow = if allow.is_empty() { vec!["*"] } else { allow };
            let deny = self.globs();
            writeln!(text, "tools = {{ allow = {allow:?}, deny = {deny:?} }}")
                .expect("a text takes it");
        }
        if self.below(20) == 0 {
            text += "read_only = true\n";
        }
        if whole && self.below(2) == 0 {
            let tool = TOOLS[self.below(TOOLS.len())];
            // Sometimes the name of another tool.
            let to = ["renamed", "whoami", "synthetic_0001"][self.below(3)];
            if tool != to {
                writeln!(text, "rename = {{ {tool} = \"{to}\" }}").expect("a text takes it");
            }
        }
        if whole && self.below(3) == 0 {
            text += "hide = [\"limit\"]\n";
        }
        text
    }
}

/// The same over plain HTTP, where a list shows what `tools/list` shows. Gives how many tools were
/// shown and called, and how many were neither.
fn plain(
    proxy: &Proxy,
    door: &str,
    listed: &BTreeMap<String, Value>,
    candidates: &[String],
) -> (usize, usize) {
    let query = match (door.strip_prefix("/mcp/"), door.strip_prefix("/p/")) {
        (Some(upstream), _) => format!("upstream={upstream}"),
        (_, Some(profile)) => format!("profile={}", profile.trim_end_matches("/mcp")),
        _ => String::new(),
    };
    let ask = |method: &str, path: &str| {
        let key = proxy.key();
        let address = proxy.address();
        let head = format!(
            "{method} /api/v1/tools{path}{query} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = Raw::exchange(address, head.as_bytes()).expect("it answers");
        let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
        (answer.status, value)
    };
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let (status, page) = ask("GET", &format!("?limit=200{cursor}&"));
        assert_eq!(status, 200, "{door}: {page}");
        for tool in page["items"].as_array().expect("items") {
            let mut tool = tool.clone();
            tool.as_object_mut().expect("an object").remove("upstream").expect("an owner");
            all.insert(tool["name"].as_str().expect("a name").to_owned(), tool);
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all, *listed, "{door}");
    let mut counts = (0, 0);
    for tool in candidates {
        let (status, answer) = ask("POST", &format!("/{tool}/call?"));
        if listed.contains_key(tool) {
            counts.0 += 1;
            assert_eq!(status, 200, "{door} {tool}: {answer}");
        } else {
            counts.1 += 1;
            let words = format!("Unknown tool: {tool}");
            assert_eq!(answer["detail"], words, "{door}");
            // Where no rule speaks of it the upstream itself answers, with an error.
            let own = status == 400 && door.starts_with("/mcp/") && answer["error"].is_object();
            assert!(status == 404 || own, "{door} {tool}: {status} {answer}");
        }
    }
    counts
}

#[test]
fn for_random_policies_listed_is_callable_over_mcp_and_rest() {
    let seed = 20_261_121;
    let mut random = Random(seed);
    let (_server, address) = serve_everything(&["--tools", "3"]);
    let mut file = String::new();
    for number in 0..UPSTREAMS {
        let rules = random.rules(true);
        write!(file, "[upstreams.u{number}]\nurl = \"http://{address}/mcp\"\n{rules}").unwrap();
    }
    let mut profiles = Vec::new();
    for number in 0..PROFILES {
        let rules = random.rules(false);
        write!(file, "[profiles.p{number}]\n{rules}").unwrap();
        let members: BTreeSet<usize> =
            (0..=random.below(2)).map(|_| random.below(UPSTREAMS)).collect();
        profiles.push((format!("/p/p{number}/mcp"), members.clone()));
        for member in members {
            // Names of a profile alone: the file refuses some that meet the upstream's.
            let mut rules = random.rules(true);
            if let Some(at) = rules.find("rename") {
                let end = at + rules[at..].find('\n').unwrap() + 1;
                rules.replace_range(at..end, "rename = { test_simple_text = \"other\" }\n");
            }
            write!(file, "[profiles.p{number}.upstreams.u{member}]\n{rules}").unwrap();
        }
    }
    let proxy = Proxy::start(&file);
    let all: BTreeSet<usize> = (0..UPSTREAMS).collect();
    let mut doors = vec![("/mcp".to_owned(), all)];
    doors.extend((0..UPSTREAMS).map(|number| (format!("/mcp/u{number}"), BTreeSet::new())));
    doors.extend(profiles);
    let (mut shown, mut hidden) = (0, 0);
    for (door, upstreams) in &doors {
        for era in Era::BOTH {
            let mut client = proxy.client(era, door);
            let listed = tools(&mut client);
            let own: Vec<&str> = TOOLS.into_iter().chain(["renamed", "other", "nobody"]).collect();
            let candidates: Vec<String> = if upstreams.is_empty() {
                own.iter().map(ToString::to_string).collect()
            } else {
                // And one that is not behind the door of a profile.
                let upstreams = upstreams.iter().copied().chain([UPSTREAMS / 2]);
                upstreams.flat_map(|u| own.iter().map(move |t| format!("u{u}__{t}"))).collect()
            };
            if era == Era::Modern {
                let found = plain(&proxy, door, &listed, &candidates);
                shown += found.0;
                hidden += found.1;
            }
            for tool in candidates {
                let answer = client.call(&tool, json!({}));
                let called = answer.get("result").is_some();
                assert_eq!(
                    called,
                    listed.contains_key(&tool),
                    "{door} {era:?} {tool}: {answer}\n{file}"
                );
                if called {
                    shown += 1;
                } else {
                    hidden += 1;
                    assert_eq!(answer["error"]["code"], -32602, "{answer}");
                    assert_eq!(answer["error"]["message"], format!("Unknown tool: {tool}"));
                }
            }
        }
    }
    assert!(shown > 300 && hidden > 300, "{shown} shown, {hidden} hidden: nothing was tried");
    proxy.stop();
}
