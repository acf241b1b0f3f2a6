//! What is absent (house.md 3.7): the promises on the front page of `lib.rs` that can be read off
//! the sources.

use std::collections::BTreeSet;

use crate::fences::{Fence, crossings};
use crate::hold;
use crate::source::{sources, texts};

/// Fails where a file below one of `within` names one of `what`.
#[track_caller]
fn absent(rule: &str, within: &[&str], what: &[&str], instead: &str) {
    let mut found = Vec::new();
    let mut files = 0;
    for source in
        sources().iter().filter(|s| within.iter().any(|within| s.path.starts_with(within)))
    {
        files += 1;
        for named in &source.facts.named {
            let names =
                |what: &&&str| named.path == **what || named.path.starts_with(&format!("{what}::"));
            if let Some(what) = what.iter().find(names) {
                found.push(format!(
                    "{}: `{}` ({what}); {instead}",
                    source.at(named.line),
                    named.path
                ));
            }
        }
    }
    assert!(files > 0, "there is nothing below {within:?}");
    hold(rule, &found);
}

#[test]
fn wire_does_no_io_and_has_no_clock() {
    absent(
        "`wire` is data: bytes in, facts out (house.md 3.7).",
        &["src/wire/"],
        &[
            "std::fs",
            "std::net",
            "std::io",
            "std::env",
            "std::process",
            "std::time",
            "std::thread",
            "tokio",
            "hyper",
        ],
        "take bytes or numbers as parameters",
    );
}

#[test]
fn server_does_not_know_what_a_tenant_is() {
    absent(
        "`server` asks who is there and hands that on; it never looks inside (house.md 3.7).",
        &["src/server/"],
        &[
            "crate::store",
            "crate::credential",
            "crate::seal",
            "crate::base::TenantId",
            "crate::auth::TenantInfo",
            "crate::auth::Principal",
        ],
        "let `pipeline` do it",
    );
}

#[test]
fn store_never_sees_plaintext() {
    absent(
        "`store` holds what is sealed, and digests (house.md 3.7).",
        &["src/store/"],
        &[
            "crate::base::Secret",
            "crate::seal::Ring",
            "crate::seal::RootKey",
            "crate::seal::DataKey",
        ],
        "seal before, open after: `credential` does both",
    );
}

#[test]
fn only_the_file_and_the_command_line_know_the_configuration_file() {
    absent(
        "Stages take compiled values, never the file (house.md 3.4, 6).",
        &[
            "src/auth/",
            "src/namespace/",
            "src/policy/",
            "src/credential/",
            "src/upstream/",
            "src/session/",
            "src/pipeline/",
            "src/server/",
        ],
        &[
            "crate::config::load",
            "crate::config::check_text",
            "crate::config::resolve",
            "crate::config::Problems",
        ],
        "take the value from `config::Config`, or a resolver as a parameter",
    );
}

/// Evidence: values that only the module of the stage can make.
const EVIDENCE: &[(&str, &str)] = &[
    ("src/auth/", "Principal"),
    ("src/auth/", "TenantInfo"),
    ("src/namespace/", "Plan"),
    ("src/policy/", "Permit"),
    ("src/credential/", "Armed"),
    ("src/session/", "SessionId"),
    ("src/upstream/pool/", "Lease"),
    ("src/seal/", "Sealed"),
    ("src/base/", "Secret"),
];

#[test]
fn evidence_is_made_by_its_own_module_only() {
    let mut found = Vec::new();
    for (folder, name) in EVIDENCE {
        let mut seen = 0;
        for source in sources().iter().filter(|source| source.path.starts_with(folder)) {
            for shape in source.facts.structs.iter().filter(|shape| shape.name == *name) {
                seen += 1;
                if shape.open {
                    found.push(format!(
                        "{}: `{name}` can be built elsewhere; make its fields private",
                        source.at(shape.line)
                    ));
                }
            }
        }
        if seen != 1 {
            found.push(format!("{folder}: {seen} structs `{name}`; bring EVIDENCE up to date"));
        }
    }
    hold("A stage's result is evidence: only the stage can make it (house.md 3.3).", &found);
}

#[test]
fn the_parser_reads_only_what_a_principal_posted() {
    let fence = Fence {
        what: &["crate::wire::Posted::read"],
        home: &[("src/pipeline/serve.rs", "takes a Posting, which holds the Principal")],
        instead: "strangers never reach the JSON parser: hand a `Posting` to `Line::serve`",
    };
    hold("Strangers never reach the JSON parser (house.md 3.3).", &crossings(&fence));
}

#[test]
fn links_are_opened_by_the_holder_of_the_credentials_only() {
    let fence = Fence {
        what: &["crate::upstream::open_http", "crate::upstream::stdio::open"],
        home: &[
            ("src/pipeline/links.rs", "opens a link with what an Armed gives"),
            ("src/upstream/", "makes them"),
        ],
        instead: "ask the line for a lease",
    };
    let crossed: Vec<String> =
        crossings(&fence).into_iter().filter(|found| !found.starts_with("src/upstream/")).collect();
    hold("Nothing reaches an upstream without `Armed` (house.md 3.7).", &crossed);
    let opens = sources().iter().find(|source| source.path == "src/pipeline/links.rs").unwrap();
    let armed = opens.facts.named.iter().any(|named| named.path == "crate::credential::Armed");
    assert!(armed, "src/pipeline/links.rs:1: opens links without naming `credential::Armed`");
}

#[test]
fn views_are_made_by_the_policy_only() {
    let fence = Fence {
        what: &["crate::namespace::View::new"],
        home: &[("src/policy/engine.rs", "shows what the rules let pass")],
        instead: "ask `Policy::visible`",
    };
    hold("What a view shows was let pass by the policy (house.md 3.3).", &crossings(&fence));
}

#[test]
fn only_work_of_our_own_is_permitted_unasked() {
    let fence = Fence {
        what: &["crate::policy::own_work"],
        home: &[
            ("src/pipeline/links.rs", "the tenant's own link: lists, and what was permitted"),
            ("src/pipeline/tenant.rs", "the revision of credentials, to see that a list is old"),
            ("src/pipeline/refresh.rs", "what an upstream said is redacted"),
            ("src/pipeline/explain.rs", "whether the credentials are there"),
            ("src/pipeline/report.rs", "the same, for the API"),
            (
                "src/pipeline/login.rs",
                "a login is for the tenant; only tools that are for it are called",
            ),
            ("src/pipeline/upkeep.rs", "the same when nobody asks, and it calls nothing"),
        ],
        instead: "ask `Policy::may` about the plan",
    };
    hold("A call goes out only on what the policy permits (house.md 3.3).", &crossings(&fence));
}

/// Files that may hold an error code of JSON-RPC or MCP.
const CODES: &[(&str, &str)] = &[
    ("src/server/reply.rs", "the one place that gives a fault its code"),
    ("src/admin/reply.rs", "gives an upstream's error the status of its kind"),
    ("src/pipeline/result.rs", "turns an upstream's codes into those of the caller's era"),
    ("src/upstream/question/refusal.rs", "answers an upstream's own questions"),
    ("src/upstream/handshake.rs", "tells the era by an upstream's refusal"),
    ("src/upstream/http/link.rs", "tells an upstream that changed its era"),
];

#[test]
fn only_the_reply_speaks_error_codes() {
    let is_code = |text: &str| {
        text.match_indices("32").any(|(at, _)| {
            let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
            let number = digits.parse().is_ok_and(|code: u32| (32_000..=32_768).contains(&code));
            // In a text it is a code when a minus stands before it.
            number && (digits.len() == text.len() || text[..at].ends_with('-'))
        })
    };
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        // 32768 is also a size.
        for literal in
            source.facts.literals.iter().filter(|l| is_code(&l.text) && l.text != "32768")
        {
            match CODES.iter().find(|(path, _)| *path == source.path) {
                Some((path, _)) => drop(used.insert(*path)),
                None => found.push(format!(
                    "{}: error code {}; return a `Fault` of the right `Kind`, and let src/server/reply.rs word it",
                    source.at(literal.line),
                    literal.text
                )),
            }
        }
    }
    for (path, why) in CODES.iter().filter(|(path, _)| !used.contains(path)) {
        found.push(format!("{path} ({why}) holds no code any more; take it out of CODES"));
    }
    hold("Only the reply speaks error codes (house.md 3.7).", &found);
}

#[test]
fn every_test_that_the_front_page_names_exists() {
    let everything: String = texts(&["src", "tests"])
        .into_iter()
        .filter(|text| text.path != "src/lib.rs")
        .map(|text| text.text)
        .collect();
    let front = texts(&["src"]).into_iter().find(|text| text.path == "src/lib.rs").unwrap().text;
    let mut named = 0;
    let mut found = Vec::new();
    for (index, line) in front.lines().enumerate() {
        for word in line.split('`').skip(1).step_by(2) {
            let looks_like_a_test = word.matches('_').count() >= 2
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !looks_like_a_test {
                continue;
            }
            named += 1;
            if !everything.contains(&format!("fn {word}(")) {
                found.push(format!(
                    "src/lib.rs:{}: there is no test `{word}`; name the one that holds this",
                    index + 1
                ));
            }
        }
    }
    assert!(named > 10, "the front page names {named} tests");
    hold("The front page says nothing that no test holds (house.md 3.7).", &found);
}
