//! A command says the same whether the running proxy carries it out or the store is worked on.

use serde_json::{Value, json};

use crate::cli::desk::{Done, run, run_with, world};
use crate::support::Setup;

/// Commands that only read, after something was made.
const READS: [&str; 13] = [
    "tenant list",
    "tenant show acme",
    "tenant show filed",
    "key list",
    "key list --tenant acme",
    "key list --tenant filed",
    "secret list",
    "secret list --tenant acme",
    "upstream list --tenant acme",
    "upstream show free --tenant acme",
    "seal show",
    "session list",
    "session list --tenant acme",
];

fn make(setup: &Setup) {
    for words in [
        "tenant create acme",
        "tenant create beta",
        "key create --tenant acme --name laptop --expires 30d",
        "key create --tenant acme --name bot --scope gh__get_*",
        "key create --operator --name ops",
        "secret set --tenant acme gh token --env PATH",
    ] {
        let done = run(setup, words);
        assert_eq!(done.code, Some(0), "{words}: {}", done.errors);
    }
}

#[test]
fn reading_says_the_same_both_ways() {
    let (_upstream, setup) = world();
    make(&setup);
    let both: Vec<String> =
        READS.iter().flat_map(|words| [(*words).to_owned(), format!("{words} --json")]).collect();
    // Reading starts upstreams, so the store comes first on both sides.
    let read = |setup: &Setup, way: &str| -> Vec<(Option<i32>, String)> {
        let read = |words: &String| {
            let done = run(setup, words);
            assert!(done.errors.contains(way), "{words}: {}", done.errors);
            assert_eq!(done.code, Some(0), "{words}: {}", done.errors);
            (done.code, done.out)
        };
        both.iter().map(read).collect()
    };
    let alone = read(&setup, "working on the store");
    let proxy = setup.serve();
    let beside = read(proxy.setup(), "using the running proxy");
    for ((words, alone), beside) in both.iter().zip(&alone).zip(&beside) {
        // Who has been asked before has a connection; that is no part of what is compared.
        let plain = |text: &str| {
            let lines = text.lines().filter(|line| !line.contains("connections"));
            lines.collect::<Vec<_>>().join("\n")
        };
        if words.starts_with("upstream list") {
            continue;
        }
        assert_eq!(plain(&alone.1), plain(&beside.1), "{words}");
    }
}

/// What differs from one run to the next becomes a mark of its kind.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let masked_member = |(name, value): (&String, &Value)| {
                let varies = [
                    "id",
                    "key",
                    "holder",
                    "created_at",
                    "changed_at",
                    "expires_at",
                    "revoked_at",
                    "set_at",
                ];
                let masked = match value {
                    Value::String(text) if varies.contains(&name.as_str()) => {
                        json!(format!("{name} of {} characters", text.len()))
                    }
                    Value::String(_) if name == "created_by" => json!("somebody"),
                    other => masked(other),
                };
                (name.clone(), masked)
            };
            Value::Object(members.iter().map(masked_member).collect())
        }
        Value::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// Makes and takes away something of each kind, and tells what was said.
fn change(setup: &Setup) -> Vec<(String, Option<i32>, Value)> {
    let mut said = Vec::new();
    let mut note = |words: &str, done: Done| -> Value {
        let answer = if done.code == Some(0) {
            serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{words}: {}", done.out))
        } else {
            // The line about the way comes first.
            json!(done.errors.lines().last())
        };
        said.push((words.to_owned(), done.code, masked(&answer)));
        answer
    };
    let mut json = |words: &str| {
        let words = format!("{words} --json");
        note(&words, run_with(setup, &words, b"a value\n", |_| {}))
    };
    json("tenant create acme");
    json("tenant create acme");
    json("tenant create Acme");
    json("tenant create filed");
    let key = json("key create --tenant acme --name laptop --role admin --expires 90d");
    json("key create --tenant acme --name bot --scope support --scope gh__get_*");
    json("key create --operator --name ops");
    for wrong in [
        "key create --tenant nobody --name x",
        "key create --tenant acme --name x --role king",
        "key create --tenant acme --name x --role operator",
        "key create --tenant acme --name x --scope Nothing",
        "key create --tenant acme --name x --expires 0s",
        "key create --tenant acme --name x --expires soon",
        "key revoke 0123456789",
        "key revoke short",
        "secret set --tenant acme gh tokn",
        "secret set --tenant acme hg token",
        "secret set --tenant filed gh token",
        "secret remove --tenant filed gh token",
        "secret remove --tenant acme gh token",
        "session end --tenant acme nothing",
        "upstream show nothing --tenant acme",
        "upstream add made",
        "upstream add made ftp://127.0.0.1:9/mcp",
        "upstream add Made http://127.0.0.1:9/mcp",
        "upstream add free http://127.0.0.1:9/mcp --set allow_private=true",
        "upstream add made --env A=b -- sh -c true",
        "upstream change free --set timeout=7s",
        "upstream change nothing --set timeout=7s",
        "upstream change nothing",
        "upstream disable free",
        "upstream remove nothing",
    ] {
        json(wrong);
    }
    json("upstream add made http://127.0.0.1:9/mcp --set allow_private=true --header X-A:b");
    json("upstream add made http://127.0.0.1:9/mcp --set allow_private=true");
    json("upstream change made --set timeout=7s --unset headers.X-A");
    json("upstream disable made");
    json("upstream enable made");
    json("upstream remove made");
    json("secret set --tenant acme gh token --stdin");
    json("secret set --tenant acme gh token --stdin");
    json("secret remove --tenant acme gh token");
    let id = key["id"].as_str().expect("an id");
    let next = json(&format!("key rotate {id} --grace 7d"))["id"].as_str().map(str::to_owned);
    json(&format!("key revoke {}", next.expect("an id")));
    json(&format!("key revoke {id}"));
    json("tenant remove acme");
    json("tenant remove acme --yes");
    json("tenant remove acme");
    said
}

/// Without the ids in the words.
fn words(said: &[(String, Option<i32>, Value)]) -> Vec<String> {
    let is_id = |word: &str| {
        word.len() == 10 && word.bytes().any(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    let plain = |text: &str| {
        let word = |word| match word {
            id if is_id(id) => "ID",
            // Each is in a folder of its own.
            path if path.contains("/mcp-proxy.toml") => "FILE",
            word => word,
        };
        let words = text.split([' ', '`']).map(word);
        words.collect::<Vec<_>>().join(" ")
    };
    said.iter()
        .map(|(line, code, value)| {
            format!("{} → {code:?} {}", plain(line), plain(&value.to_string()))
        })
        .collect()
}

#[test]
fn writing_says_the_same_both_ways() {
    let (_upstream, setup) = world();
    let alone = words(&change(&setup));
    let (_other, setup) = world();
    let proxy = setup.serve();
    let beside = words(&change(proxy.setup()));
    assert_eq!(alone.len(), beside.len());
    for (alone, beside) in alone.iter().zip(&beside) {
        assert_eq!(alone, beside);
    }
}
