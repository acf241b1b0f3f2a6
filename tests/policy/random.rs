//! Random policies through the running proxy: at every door and in both eras, what is listed can
//! be called, and nothing else can.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::json;

use crate::support::{Era, Proxy, serve_everything};
use crate::tools;

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

#[test]
fn for_random_policies_listed_is_callable_over_mcp() {
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
