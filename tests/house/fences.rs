//! What is kept in one place: foreign crates, and the calls that reach for the world (house.md
//! 3.4, 2).

use std::collections::BTreeSet;

use crate::hold;
use crate::source::sources;

/// Some paths, and the only places that may name them.
pub(crate) struct Fence {
    /// Paths; what lies below each is meant too. `*::` stands for any beginning.
    pub(crate) what: &'static [&'static str],
    /// Files, or folders with a slash at the end, each with the reason why it is inside.
    pub(crate) home: &'static [(&'static str, &'static str)],
    /// What to do instead elsewhere.
    pub(crate) instead: &'static str,
}

const FENCES: &[Fence] = &[
    Fence {
        what: &["axum"],
        home: &[("src/server/", "routes of the cold doors")],
        instead: "return a Fault or an Answer; `server` words it",
    },
    Fence {
        what: &["rmcp"],
        home: &[("src/demo/", "the built-in server is an ordinary MCP server")],
        instead: "read bytes with `wire`; the SDK's models lose what they do not know",
    },
    Fence {
        what: &["rusqlite"],
        home: &[("src/store/sqlite/", "the database")],
        instead: "add a method to a trait of `store`",
    },
    Fence {
        what: &["chacha20poly1305", "hkdf", "hmac"],
        home: &[("src/seal/", "keys and their use")],
        instead: "ask `seal::Ring` or `seal::DataKey`",
    },
    Fence {
        what: &["toml"],
        home: &[("src/config/", "the file")],
        instead: "read the value from `config::Config`",
    },
    Fence {
        what: &["toml_edit", "jsonc_parser"],
        home: &[
            ("src/cli/connect/", "files of clients, and ours, changed without touching the rest"),
            ("src/cli/import/", "files of clients, read"),
        ],
        instead: "our own file is read by `config`",
    },
    Fence {
        what: &["clap", "clap_complete", "clap_mangen", "anyhow"],
        home: &[("src/cli/", "the command line")],
        instead: "give the module an error enum of its own (thiserror)",
    },
    Fence {
        what: &["hyper::client", "hyper_util::client", "hyper_rustls"],
        home: &[
            ("src/upstream/http/", "the HTTP client"),
            ("src/egress/", "what is fetched from places that are named while it runs"),
            ("src/telemetry/trace/export.rs", "spans, which go to nobody's upstream"),
            ("src/cli/exchange.rs", "commands speak to a running proxy"),
            ("src/cli/doctor/wire.rs", "what an outsider sees, layer by layer"),
        ],
        instead: "go through `upstream::HttpClient`",
    },
    Fence {
        what: &["hyper::server", "hyper_util::server"],
        home: &[("src/server/", "the listener")],
        instead: "add a door to `server`",
    },
    Fence {
        what: &["jsonwebtoken", "ring", "signature"],
        home: &[
            ("src/auth/", "tokens"),
            ("src/credential/oauth/assertion.rs", "who we are, where a key says so"),
        ],
        instead: "ask `auth::Auth`",
    },
    Fence {
        what: &["rustls", "tokio_rustls"],
        home: &[
            ("src/server/", "TLS of the listener"),
            ("src/cli/doctor/wire.rs", "names what is wrong with a certificate"),
        ],
        instead: "the listener's TLS is `server::acceptor`, the client's is inside `upstream::HttpClient`",
    },
    Fence {
        what: &["tokio::process", "std::process::Command"],
        home: &[("src/upstream/stdio/", "children, their limits and their end")],
        instead: "start programs through `upstream::stdio`, which ends their whole tree",
    },
    Fence {
        what: &[
            "tokio::spawn",
            "tokio::task::spawn",
            "tokio::task::spawn_blocking",
            "tokio::task::spawn_local",
            "tokio::task::JoinSet",
            "tokio_util::task",
            "std::thread::spawn",
            "std::thread::Builder",
            "std::thread::scope",
        ],
        home: &[("src/base/tasks.rs", "every task has a name and an owner")],
        instead: "use `base::Tasks::spawn(name, …)`",
    },
    Fence {
        what: &["tokio::runtime::Builder", "tokio::runtime::Runtime"],
        home: &[
            ("src/cli/", "each command has its runtime"),
            (
                "src/upstream/stdio/guardian.rs",
                "the hidden subcommand `child` is a program of its own",
            ),
        ],
        instead: "be async, and let `cli` run it",
    },
    Fence {
        what: &["std::env"],
        home: &[
            ("src/config/load.rs", "values that the file says are in a variable"),
            ("src/cli/", "flags, and what is handed down from there"),
            ("src/upstream/stdio/launch.rs", "the hidden subcommand `child` reads its orders"),
            ("src/main.rs", "tells the hidden subcommand from the others"),
        ],
        instead: "take the value as a parameter; `cli` or `config` reads the environment",
    },
    Fence {
        what: &["*::Instant::now", "*::SystemTime::now"],
        home: &[("src/base/clock.rs", "the clock, which tests can stop")],
        instead: "use `base::now`, `base::unix_seconds` or `base::Clock`",
    },
    Fence {
        what: &["tracing_subscriber"],
        home: &[("src/telemetry/", "where log lines go")],
        instead: "write log lines with `tracing`",
    },
    Fence {
        what: &[
            "tokio::sync::mpsc::unbounded_channel",
            "tokio::sync::mpsc::UnboundedSender",
            "std::sync::mpsc::channel",
        ],
        home: &[],
        instead: "every queue has a bound: use `tokio::sync::mpsc::channel(n)`",
    },
];

/// True when `path` is one of the paths of a fence.
fn matches(path: &str, pattern: &str) -> bool {
    match pattern.strip_prefix("*::") {
        Some(end) => {
            path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with("::"))
        }
        None => {
            path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        }
    }
}

/// What crosses a fence, and homes that need not be inside any more.
pub(crate) fn crossings(fence: &Fence) -> Vec<String> {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        for named in &source.facts.named {
            let Some(what) = fence.what.iter().find(|what| matches(&named.path, what)) else {
                continue;
            };
            let home = fence.home.iter().find(|(home, _)| {
                source.path == *home || home.ends_with('/') && source.path.starts_with(home)
            });
            match home {
                Some((home, _)) => drop(used.insert(*home)),
                None => {
                    let homes: Vec<&str> = fence.home.iter().map(|(home, _)| *home).collect();
                    let homes =
                        if homes.is_empty() { "nowhere".to_owned() } else { homes.join(", ") };
                    found.push(format!(
                        "{}: `{}`: `{what}` belongs to {homes}; {}",
                        source.at(named.line),
                        named.path,
                        fence.instead
                    ));
                }
            }
        }
    }
    for (home, why) in fence.home {
        if !used.contains(home) {
            found.push(format!(
                "{home} ({why}) does not use {:?} any more; take it out of the fence",
                fence.what
            ));
        }
    }
    found
}

#[test]
fn what_is_fenced_stays_inside() {
    let found: Vec<String> = FENCES.iter().flat_map(crossings).collect();
    hold("Each foreign crate and each call into the world has one home (house.md 3.4, 2).", &found);
}

#[test]
fn patterns_mean_whole_names() {
    assert!(matches("toml::Value", "toml") && !matches("toml_edit::Value", "toml"));
    assert!(matches("tokio::time::Instant::now", "*::Instant::now"));
    assert!(!matches("crate::base::now", "*::Instant::now"));
}
