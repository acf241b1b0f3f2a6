//! Rules on catalogues: what is listed can be called, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::engine::is_plain_for_test;
use super::*;
use crate::base::{Glob, Name, Narrow};
use crate::config::{Config, check_text};
use crate::namespace::{Audience, Catalogue, Door, Entry, Namer, Plan, View, read_page};
use crate::wire::{Era, ListKind, NameKind};

fn config(text: &str) -> Arc<Config> {
    match check_text(text, "file.toml", Path::new("/etc/mcp")) {
        Ok((config, _)) => Arc::new(config),
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

fn pair(upstream: &str, tool: &str) -> (Glob, Glob) {
    (Glob::new(upstream), Glob::new(tool))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Upstreams `a` and `b` with these tools, `true` for those that say they change nothing.
fn catalogues(config: &Config, tools: &[(&str, bool)]) -> Vec<Arc<Catalogue>> {
    let mut all = Vec::new();
    for upstream in config.upstreams.values() {
        let mut catalogue = Catalogue::new(upstream.clone(), 0);
        let tools: Vec<_> = tools
            .iter()
            .map(|(name, read_only)| {
                serde_json::json!({
                    "name": name, "description": "as it came",
                    "inputSchema": {
                        "type": "object", "required": ["who", "n"],
                        "properties": { "who": {}, "n": { "type": "integer" }, "debug": {} },
                    },
                    "annotations": { "readOnlyHint": read_only },
                })
            })
            .collect();
        let uri = |uri: &str| serde_json::json!({ "uri": uri, "name": uri });
        let lists = [
            (ListKind::Tools, serde_json::json!({ "tools": tools })),
            (
                ListKind::Prompts,
                serde_json::json!({ "prompts": [{"name": "ask"}, {"name": "tell"}] }),
            ),
            (
                ListKind::Resources,
                serde_json::json!({ "resources": [uri("test://a"), uri("test://b/c"), uri("https://x.example/%61")] }),
            ),
            (
                ListKind::Templates,
                serde_json::json!({ "resourceTemplates": [{"uriTemplate": "test://t/{id}", "name": "t"}] }),
            ),
        ];
        for (kind, list) in lists {
            let text = list.to_string();
            let page = read_page(kind, &text).unwrap();
            catalogue.add(kind, Era::Modern, &Bytes::from(text.clone()), &page);
        }
        all.push(Arc::new(catalogue));
    }
    all
}

const TOOLS: [(&str, bool); 4] =
    [("get", true), ("get_all", true), ("delete_all", false), ("put", false)];

const UPSTREAMS: &str = "[upstreams.a]\nurl = \"http://a/\"\n[upstreams.b]\nurl = \"http://b/\"\n";

struct Bench {
    policy: Policy,
    catalogues: Vec<Arc<Catalogue>>,
}

impl Bench {
    fn new(file: &str) -> Self {
        let config = config(file);
        let catalogues = catalogues(&config, &TOOLS);
        Self { policy: Policy::new(config), catalogues }
    }

    fn view(&self, door: &Door, narrow: &Narrow) -> View {
        self.policy.visible(door, narrow, self.catalogues.clone(), Namer::new("__", 48))
    }

    /// What a list shows, by the name or URI.
    fn listed(view: &View, kind: ListKind) -> BTreeMap<String, serde_json::Value> {
        let text = view.list(kind, Audience::Modern);
        let list: Vec<serde_json::Value> =
            serde_json::from_str(&format!("[{}]", String::from_utf8_lossy(&text))).unwrap();
        let key = kind.identity();
        list.into_iter().map(|item| (item[key].as_str().unwrap().to_owned(), item)).collect()
    }

    /// Whether a tool can be called.
    fn plan(&self, view: &View, door: &Door, narrow: &Narrow, tool: &str) -> Option<Plan> {
        let plan = view.name(NameKind::Tool, tool)?;
        self.policy.may(&plan, door, narrow).is_ok().then_some(plan)
    }

    fn reads(&self, view: &View, door: &Door, uri: &str) -> bool {
        view.uri(uri).is_some_and(|plan| self.policy.may(&plan, door, &Narrow::NONE).is_ok())
    }
}

#[test]
fn the_narrowest_name_counts_and_the_widest_value() {
    let bench = Bench::new(
        "[upstreams.a]\nurl = \"http://a/\"\nread_only = true\nrename = { get = \"fetch\" }\n\
         describe = { get = \"Ours\" }\npin = { n = 50 }\nhide = [\"debug\"]\n\
         [profiles.p.upstreams.a]\nrename = { get = \"look\" }\npin = { who = { value = \"me\", tools = [\"get\"] } }\n",
    );
    let (merged, profile) = (Door::Merged, Door::Profile(name("p")));
    let view = bench.view(&merged, &Narrow::NONE);
    let listed = Bench::listed(&view, ListKind::Tools);
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["a__fetch", "a__get_all"]);
    let fetch = &listed["a__fetch"];
    assert_eq!(fetch["description"], "Ours");
    assert_eq!(fetch["inputSchema"]["required"], serde_json::json!(["who"]));
    assert_eq!(fetch["inputSchema"]["properties"], serde_json::json!({ "who": {} }));
    let plan = bench.plan(&view, &merged, &Narrow::NONE, "a__fetch").unwrap();
    assert_eq!((plan.original(), plan.renamed()), ("get", true));
    assert_eq!(plan.tool().unwrap().pinned, [("n".to_owned(), "50".to_owned())]);
    assert!(plan.tool().unwrap().refused.contains("debug"));
    for absent in ["a__get", "a__look", "a__put", "fetch"] {
        assert!(view.name(NameKind::Tool, absent).is_none(), "{absent}");
    }
    let view = bench.view(&profile, &Narrow::NONE);
    let plan = bench.plan(&view, &profile, &Narrow::NONE, "a__look").unwrap();
    assert_eq!(plan.tool().unwrap().pinned.len(), 2);
    assert!(view.name(NameKind::Tool, "a__fetch").is_none());
    let single = bench.view(&Door::Single(name("a")), &Narrow::NONE);
    assert_eq!(
        Bench::listed(&single, ListKind::Tools).keys().collect::<Vec<_>>(),
        ["fetch", "get_all"]
    );
    assert!(single.name(NameKind::Tool, "get").is_none(), "its own name is gone there too");
}

#[test]
fn two_tools_of_one_name_are_withheld_at_every_door() {
    let bench = Bench::new("[upstreams.a]\nurl = \"http://a/\"\nrename = { put = \"get\" }\n");
    for door in [Door::Merged, Door::Single(name("a"))] {
        let view = bench.view(&door, &Narrow::NONE);
        assert_eq!(Bench::listed(&view, ListKind::Tools).len(), 2);
        for gone in ["get", "put", "a__get", "a__put"] {
            assert!(view.name(NameKind::Tool, gone).is_none(), "{gone}");
        }
        assert_eq!(view.withheld().len(), 1);
    }
}

#[test]
fn resources_are_judged_by_uri_and_by_template() {
    let bench = Bench::new(
        "[upstreams.a]\nurl = \"http://a/\"\nresources = { allow = [\"test://a\", \"test://t/{id}\"], deny = [\"test://t/9*\"] }\n",
    );
    let door = Door::Single(name("a"));
    let view = bench.view(&door, &Narrow::NONE);
    assert_eq!(Bench::listed(&view, ListKind::Resources).keys().collect::<Vec<_>>(), ["test://a"]);
    assert_eq!(Bench::listed(&view, ListKind::Templates).len(), 1);
    for uri in ["test://a", "test://t/{id}", "test://t/7"] {
        assert!(bench.reads(&view, &door, uri), "{uri}");
    }
    for uri in ["test://b/c", "test://t/9", "test://t/../9", "test://t/%39", "test://u", "TEST://a"]
    {
        assert!(!bench.reads(&view, &door, uri), "{uri}");
    }
    let view = bench.view(&Door::Merged, &Narrow::NONE);
    assert!(bench.reads(&view, &Door::Merged, "a+test://t/7"));
    assert!(!bench.reads(&view, &Door::Merged, "a+test://b/c"));
}

#[test]
fn what_is_written_in_another_way_is_not_plain() {
    for plain in ["file:///a/b", "test://a?x=1#y", "a b", "file:///a%20b", "test://t/{id}", "x"] {
        assert!(is_plain_for_test(plain), "{plain}");
    }
    for other in [
        "file:///a/../b",
        "file:///a/./b",
        "file:///%61",
        "file:///a%2Fb",
        "File:///a",
        "a:\\b",
        "a:%",
        "a:%zz",
        "file:////a",
        "a:/..",
    ] {
        assert!(!is_plain_for_test(other), "{other}");
    }
}

#[test]
fn the_rule_that_decides_is_told_with_its_line() {
    let bench = Bench::new(
        "[upstreams.a]\nurl = \"http://a/\"\ntools = { allow = [\n  \"get*\",\n  \"d*\"], deny = [\"delete_*\"] }\n\
         [upstreams.b]\nurl = \"http://b/\"\n[profiles.p]\nupstreams = [\"a\"]\nread_only = true\n",
    );
    let profile = Door::Profile(name("p"));
    let told = |door: &Door, upstream: &str, id: &str, read_only: bool, narrow: &Narrow| {
        let entry = Entry { kind: ListKind::Tools, id, read_only, templates: &[] };
        let verdict = bench.policy.verdict(door, narrow, &name(upstream), &entry);
        (verdict.shown, verdict.rule.to_string(), verdict.rule.line())
    };
    let key = Narrow::new(None, Some(vec![pair("a", "put")]));
    for (verdict, shown, words, line) in [
        (
            told(&Door::Merged, "a", "get", false, &Narrow::NONE),
            true,
            "upstreams.a.tools.allow \"get*\" fits it",
            Some(4),
        ),
        (
            told(&Door::Merged, "a", "delete_all", false, &Narrow::NONE),
            false,
            "upstreams.a.tools.deny \"delete_*\" fits it",
            Some(5),
        ),
        (
            told(&Door::Merged, "a", "put", false, &Narrow::NONE),
            false,
            "nothing in upstreams.a.tools.allow fits it",
            Some(3),
        ),
        (
            told(&profile, "a", "get", false, &Narrow::NONE),
            false,
            "profiles.p.read_only, and its annotations do not say readOnlyHint",
            Some(10),
        ),
        (
            told(&profile, "b", "get", true, &Narrow::NONE),
            false,
            "its upstream is not behind this door",
            None,
        ),
        (
            told(&Door::Merged, "b", "get", true, &Narrow::NONE),
            true,
            "no rule speaks of it, so it is shown",
            None,
        ),
        (told(&Door::Merged, "b", "get", true, &key), false, "the key's scopes leave it out", None),
    ] {
        assert_eq!(verdict, (shown, words.to_owned(), line));
    }
}

#[test]
fn a_key_of_profiles_has_no_other_doors() {
    let bench = Bench::new(&format!(
        "{UPSTREAMS}[profiles.p]\nupstreams = [\"a\"]\n[profiles.q]\nupstreams = [\"b\"]\n"
    ));
    let key = Narrow::new(Some(BTreeSet::from([name("p")])), None);
    let opens = |door: &Door| bench.policy.opens(door, &key);
    assert!(opens(&Door::Profile(name("p"))));
    for door in
        [Door::Merged, Door::Single(name("a")), Door::Profile(name("q")), Door::Profile(name("zz"))]
    {
        assert!(!opens(&door), "{door:?}");
        assert!(Bench::listed(&bench.view(&door, &key), ListKind::Tools).is_empty());
    }
}

fn globs() -> impl Strategy<Value = Vec<String>> {
    let glob = prop_oneof![
        Just("*"),
        Just("get*"),
        Just("*_all"),
        Just("delete_*"),
        Just("put"),
        Just("*e*"),
        Just("zz"),
        Just("ask"),
        Just("t*"),
        Just("test://*"),
        Just("test://a"),
        Just("https://*"),
    ];
    proptest::collection::vec(glob.prop_map(str::to_owned), 0..3)
}

fn filter() -> impl Strategy<Value = String> {
    (proptest::option::of(globs()), globs()).prop_map(|(allow, deny)| {
        let allow = allow.map_or_else(String::new, |allow| format!("allow = {allow:?}, "));
        format!("{{ {allow}deny = {deny:?} }}")
    })
}

/// Lines of rules, those about single tools only where `whole`.
fn rules(whole: bool) -> impl Strategy<Value = String> {
    let maybe = |key: &'static str| {
        proptest::option::of(filter()).prop_map(move |found| {
            found.map_or_else(String::new, |filter| format!("{key} = {filter}\n"))
        })
    };
    let rename = proptest::sample::subsequence(vec!["get", "put", "delete_all"], 0..=2);
    let read_only = proptest::bool::weighted(0.2);
    (maybe("tools"), maybe("prompts"), maybe("resources"), read_only, rename, any::<u8>()).prop_map(
        move |(tools, prompts, resources, read_only, rename, more)| {
            let mut text = tools + &prompts + &resources;
            if read_only {
                text += "read_only = true\n";
            }
            if whole {
                // Sometimes onto a name that another tool has.
                let to = |tool: &&str| {
                    if more & 1 == 0 {
                        format!("{tool} = \"x_{tool}\"")
                    } else {
                        format!("{tool} = \"{tool}_all\"")
                    }
                };
                text += &format!(
                    "rename = {{ {} }}\n",
                    rename.iter().map(to).collect::<Vec<_>>().join(", ")
                );
                if more & 2 == 0 {
                    text += "pin = { n = 1 }\n";
                }
                if more & 4 == 0 {
                    text += "hide = { debug = [\"get*\"] }\n";
                }
            }
            text
        },
    )
}

fn file() -> impl Strategy<Value = String> {
    (rules(true), rules(false), rules(true)).prop_map(|(upstream, profile, member)| {
        // What an upstream pins, a profile cannot.
        let member = member.replace("pin = { n = 1 }\n", "");
        let member = if member.contains("rename") && upstream.contains("rename") {
            member.lines().filter(|line| !line.starts_with("rename")).collect::<Vec<_>>().join("\n")
        } else {
            member
        };
        format!(
            "[upstreams.a]\nurl = \"http://a/\"\n{upstream}[upstreams.b]\nurl = \"http://b/\"\n\
             [profiles.p]\n{profile}[profiles.p.upstreams.a]\n{member}\n[profiles.p.upstreams.b]\n"
        )
    })
}

fn narrow() -> impl Strategy<Value = Narrow> {
    let pairs = vec![pair("a", "*"), pair("b", "get*"), pair("*", "put"), pair("*", "*_all")];
    let tools = proptest::sample::subsequence(pairs, 1..=2);
    (proptest::option::of(tools), any::<bool>()).prop_map(|(tools, profile)| {
        let profiles = profile.then(|| BTreeSet::from([name("p")]));
        Narrow::new(profiles, tools)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn for_random_policies_listed_is_callable(file in file(), narrow in narrow()) {
        let bench = Bench::new(&file);
        let plain = Narrow::NONE;
        let mut all = HashMap::new();
        for door in [Door::Merged, Door::Single(name("a")), Door::Single(name("b")), Door::Profile(name("p"))] {
            for narrow in [&plain, &narrow] {
                let view = bench.view(&door, narrow);
                let listed = Bench::listed(&view, ListKind::Tools);
                // Every name that anybody could think of.
                for public in ["get", "get_all", "delete_all", "put"].iter().flat_map(|tool| {
                    let own = [tool.to_string(), format!("x_{tool}"), format!("{tool}_all")];
                    own.into_iter().flat_map(|own| [format!("a__{own}"), format!("b__{own}"), own])
                }) {
                    let plan = bench.plan(&view, &door, narrow, &public);
                    let owner = view_owner(&door);
                    let strict = door.merges() || bench.policy.narrows(&door, narrow, &owner, &[ListKind::Tools]);
                    if !strict && !listed.contains_key(&public) {
                        // Its upstream says itself that there is no such tool.
                        prop_assert_eq!(plan.map(|plan| plan.original().to_owned()), Some(public));
                        continue;
                    }
                    prop_assert_eq!(plan.is_some(), listed.contains_key(&public), "{:?} {} {:?}\n{}", door, public, narrow, file);
                    let Some(plan) = plan else { continue };
                    // The engine says the same of what it leads to.
                    let read_only = TOOLS.iter().any(|(tool, only)| *tool == plan.original() && *only);
                    let entry = Entry { kind: ListKind::Tools, id: plan.original(), read_only, templates: &[] };
                    prop_assert!(bench.policy.verdict(&door, narrow, &plan.upstream().name, &entry).shown);
                    if std::ptr::eq(narrow, &plain) {
                        all.entry(door.clone()).or_insert_with(BTreeSet::new).insert((plan.upstream().name.clone(), plan.original().to_owned()));
                    }
                }
                let prompts = Bench::listed(&view, ListKind::Prompts);
                for public in ["ask", "tell", "a__ask", "b__ask", "a__tell"] {
                    let strict = door.merges() || bench.policy.narrows(&door, narrow, &name(if door == Door::Single(name("b")) { "b" } else { "a" }), &[ListKind::Prompts]);
                    if strict {
                        prop_assert_eq!(view.name(NameKind::Prompt, public).is_some(), prompts.contains_key(public), "{:?} {}\n{}", door, public, file);
                    }
                }
                if narrow.is_none() {
                    for kind in [ListKind::Resources, ListKind::Templates] {
                        for uri in Bench::listed(&view, kind).keys() {
                            // A template of the web is nobody's where names are merged.
                            prop_assert!(bench.reads(&view, &door, uri), "{:?} {}\n{}", door, uri, file);
                        }
                    }
                    if !door.merges() {
                        let shown = Bench::listed(&view, ListKind::Resources);
                        for uri in ["test://a", "test://b/c", "https://x.example/%61"] {
                            let strict = bench.policy.narrows(&door, narrow, &view_owner(&door), &[ListKind::Resources]);
                            prop_assert_eq!(bench.reads(&view, &door, uri), !strict || shown.contains_key(uri), "{:?} {}\n{}", door, uri, file);
                        }
                    }
                }
            }
        }
        // A profile narrows, and a key narrows further.
        let none = BTreeSet::new();
        let merged = all.get(&Door::Merged).unwrap_or(&none);
        let profile = all.get(&Door::Profile(name("p"))).unwrap_or(&none);
        let withheld = !bench.view(&Door::Merged, &plain).withheld().is_empty();
        prop_assert!(withheld || profile.is_subset(merged), "{:?} {:?}\n{}", profile, merged, file);
    }
}

fn view_owner(door: &Door) -> Name {
    match door {
        Door::Single(name) => name.clone(),
        Door::Merged | Door::Profile(_) => name("a"),
    }
}
