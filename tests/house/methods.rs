//! The names of the protocol's methods stand in one table, `wire/method.rs` (house.md 3.6). The
//! others are pinned here, with what each is needed for.

use std::collections::BTreeSet;

use crate::hold;
use crate::source::sources;

const TABLE: &str = "src/wire/method.rs";

/// Names that a server sends and no client, so that the table of methods has no row for them.
const FROM_SERVERS: &[&str] = &[
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "notifications/message",
    "notifications/resources/updated",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    // As it stands in a format string.
    "notifications/{name}/list_changed",
];

/// (file, names, why they stand there).
const PINNED: &[(&str, &[&str], &str)] = &[
    // The line: what a client sent, where the row alone does not decide.
    (
        "src/pipeline/serve.rs",
        &["initialize", "notifications/cancelled"],
        "the one request that may come without a session, and what takes a request over a pipe back",
    ),
    (
        "src/pipeline/legacy.rs",
        &["ping", "notifications/cancelled", "notifications/roots/list_changed"],
        "of the methods answered here it is told from the others; of the notifications only these act",
    ),
    ("src/pipeline/finish.rs", &["ping"], "of the methods answered here it alone decides nothing"),
    // The line: what goes to a client.
    (
        "src/pipeline/result.rs",
        &[
            "notifications/progress",
            "notifications/message",
            "notifications/resources/updated",
            "notifications/resources/list_changed",
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
            "notifications/cancelled",
            "notifications/tasks",
            "notifications/tasks/status",
        ],
        "what an upstream says while it works on a call: which of it the caller gets, and how it is rewritten",
    ),
    (
        "src/pipeline/outlet.rs",
        &[
            "notifications/subscriptions/acknowledged",
            "notifications/resources/updated",
            "notifications/{name}/list_changed",
            "notifications/tasks",
        ],
        "what the proxy itself says to those who listen",
    ),
    (
        "src/server/conversation.rs",
        &["notifications/{name}/list_changed", "notifications/cancelled"],
        "over one stream: news that were lost are announced anew, and a listen that ended is told so",
    ),
    (
        "src/admin/exchange.rs",
        &["notifications/progress", "notifications/message"],
        "of what comes back to a request over plain HTTP, what is passed on is told apart",
    ),
    (
        "src/server/reply.rs",
        &["elicitation/create"],
        "the proxy's own question: a person has to log in at an upstream first",
    ),
    // Requests of our own to upstreams.
    (
        "src/credential/oauth/discover.rs",
        &["tools/list", "initialize"],
        "asked without a token, so that the upstream says what a login there needs",
    ),
    (
        "src/pipeline/links.rs",
        &["logging/setLevel"],
        "a link gets the finest level that its callers want",
    ),
    (
        "src/pipeline/listen.rs",
        &["resources/subscribe", "resources/unsubscribe"],
        "one subscription of ours stands for those of all clients",
    ),
    (
        "src/upstream/handshake.rs",
        &["server/discover", "initialize", "notifications/initialized"],
        "the greeting of each era",
    ),
    ("src/upstream/http/ladder.rs", &["server/discover"], "the greeting's `Mcp-Method` header"),
    ("src/upstream/http/listen.rs", &["subscriptions/listen"], "the link's own stream of events"),
    ("src/upstream/stdio/listen.rs", &["subscriptions/listen"], "the link's own stream of events"),
    (
        "src/upstream/http/core.rs",
        EVENTS_AND_CANCEL,
        "events of a link, and giving up a request of ours",
    ),
    (
        "src/upstream/stdio/dispatch.rs",
        EVENTS_OF_A_PIPE,
        "events of a link, and what is said about a question",
    ),
    (
        "src/upstream/stdio/shared.rs",
        &["ping", "notifications/cancelled"],
        "knowing that a start is over, and giving up a request of ours",
    ),
    ("src/upstream/stdio/call.rs", &["notifications/progress"], "progress starts the silence anew"),
    (
        "src/upstream/http/conversation.rs",
        &[
            "notifications/progress",
            "notifications/cancelled",
            "notifications/elicitation/complete",
            "notifications/resources/updated",
            "notifications/resources/list_changed",
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
        ],
        "on the stream of a call: what belongs to the call, and what is an event of the link",
    ),
    (
        "src/pipeline/talk/drive.rs",
        &["notifications/progress"],
        "how a task goes on that is followed for a client",
    ),
    (
        "src/pipeline/task/follow.rs",
        &["notifications/progress"],
        "how a task goes on that is followed for a client",
    ),
    (
        "src/pipeline/talk/forward.rs",
        &["notifications/cancelled"],
        "a question that is withdrawn, on either side",
    ),
    // Questions of upstreams to us.
    (
        "src/bridge/question.rs",
        &["elicitation/create", "sampling/createMessage", "roots/list"],
        "what each question needs, and how it is worded for either era",
    ),
    (
        "src/upstream/question/refusal.rs",
        &["ping", "elicitation/create", "sampling/createMessage", "roots/list"],
        "each gets the refusal of its own kind",
    ),
    (
        "src/upstream/question/need.rs",
        &["elicitation/create", "sampling/createMessage", "roots/list"],
        "what a client must be able to do to be asked each",
    ),
    // What clients do, played by `doctor`.
    (
        "src/cli/doctor/recorded.rs",
        &[
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "logging/setLevel",
        ],
        "what each client asks, in its order, is recorded as it sends it",
    ),
    ("src/cli/doctor/public.rs", &["initialize"], "a stranger's first words"),
    (
        "src/cli/doctor/talk.rs",
        &["initialize", "notifications/initialized", "server/discover", "tools/list"],
        "every client begins so, each in its era, and of its lists one is looked into",
    ),
];

const EVENTS_AND_CANCEL: &[&str] = &[
    "notifications/progress",
    "notifications/message",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/resources/updated",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/subscriptions/acknowledged",
];

/// The same over a pipe, where everything comes on one stream.
const EVENTS_OF_A_PIPE: &[&str] = &[
    "notifications/progress",
    "notifications/message",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/resources/updated",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
];

#[test]
fn method_names_stand_in_one_table() {
    let names: BTreeSet<&str> = mcp_proxy::wire::methods()
        .iter()
        .map(|method| method.name)
        .chain(FROM_SERVERS.iter().copied())
        .collect();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources().iter().filter(|source| source.path != TABLE) {
        for literal in &source.facts.literals {
            for name in names.iter().filter(|name| holds(&literal.text, name)) {
                let pinned = PINNED
                    .iter()
                    .any(|(path, names, _)| *path == source.path && names.contains(name));
                if pinned {
                    used.insert((source.path.as_str(), *name));
                    continue;
                }
                found.push(format!(
                    "{}: \"{name}\"; ask the row of {TABLE} (`Method::route`, `ListKind::method`), or add a fact \
                     to it, or pin it in tests/house/methods.rs with a reason",
                    source.at(literal.line)
                ));
            }
        }
    }
    for (path, names, why) in PINNED {
        for name in names.iter().filter(|name| !used.contains(&(*path, **name))) {
            found.push(format!(
                "{path} does not hold \"{name}\" any more ({why}); take it out of PINNED"
            ));
        }
    }
    hold("Method names stand in one table (house.md 3.6).", &found);
}

/// True when a literal is this name, or a JSON text that says it as a method.
fn holds(text: &str, name: &str) -> bool {
    text == name || text.contains(&format!("\"{name}\""))
}
