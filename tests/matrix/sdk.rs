//! The pinned official SDK clients at every upstream of the table. Needs Node and Python.

use serde_json::{Value, json};

use crate::{
    support::{Peers, say},
    world::{UPSTREAMS, World},
};

/// What each client does at an upstream, and what it must see of it.
fn steps(upstream: &str) -> Vec<(&'static str, Value, String)> {
    let tool = |name: &str, arguments: Value| json!({"call": format!("{upstream}__{name}"), "arguments": arguments});
    let prompt = format!("{upstream}__test_prompt_with_arguments");
    let uri = |uri: &str| format!("{upstream}+{uri}");
    vec![
        ("tools, pages", json!({"list": "tools"}), format!("{upstream}__synthetic_0300")),
        ("text", tool("echo", json!({"text": "é \u{1f600}"})), "é \u{1f600}".to_owned()),
        ("image", tool("test_image_content", json!({})), "image/png".to_owned()),
        ("audio", tool("test_audio_content", json!({})), "audio/wav".to_owned()),
        ("resource", tool("test_embedded_resource", json!({})), uri("test://embedded-resource")),
        ("link", tool("test_resource_link", json!({})), uri("test://static-text")),
        (
            "structured",
            tool("structured", json!({"bytes": 1000})),
            "\"record 00000009\"".to_owned(),
        ),
        ("tool error", tool("test_error_handling", json!({})), "\"isError\":true".to_owned()),
        (
            "prompt",
            json!({"prompt": prompt, "arguments": {"arg1": "one", "arg2": "two"}}),
            "arg1='one', arg2='two'".to_owned(),
        ),
        ("read", json!({"read": uri("test://static-text")}), uri("test://static-text")),
        ("template", json!({"read": uri("test://template/7/data")}), "Data for ID: 7".to_owned()),
        (
            "completion",
            json!({"complete": {"ref": {"type": "ref/prompt", "name": prompt},
                "argument": {"name": "arg1", "value": "par"}}}),
            "party".to_owned(),
        ),
    ]
}

#[test]
fn official_clients_see_the_same_in_every_cell() {
    let Some(peers) = Peers::installed() else { return };
    let world = World::new();
    let all: Vec<_> = UPSTREAMS.iter().flat_map(|upstream| steps(upstream.name)).collect();
    let plan = all.iter().map(|(_, step, _)| step.clone()).collect();
    let each = all.len() / UPSTREAMS.len();
    let names: Vec<&str> = all.iter().take(each).map(|(name, ..)| *name).collect();
    let mut table = format!("| client | upstream | {} |\n", names.join(" | "));
    table += &format!("|---|---|{}\n", "---|".repeat(each));
    let mut wrong = Vec::new();
    for (client, eras) in Peers::CLIENTS {
        for era in eras {
            let report = peers.run(client, era, &world.proxy.url("/mcp"), world.proxy.key(), &plan);
            let results: Vec<bool> = all
                .iter()
                .enumerate()
                .map(|(at, (name, step, expected))| {
                    let result = &report["steps"][at];
                    let good = result["ok"] == true && result.to_string().contains(expected);
                    if !good {
                        let shown = result.to_string();
                        wrong.push(format!("{client} {era}: {name} {step:.200} gave {shown:.300}"));
                    }
                    good
                })
                .collect();
            for (upstream, row) in UPSTREAMS.iter().zip(results.chunks(each)) {
                let row: Vec<&str> =
                    row.iter().map(|good| if *good { "yes" } else { "NO" }).collect();
                table += &format!("| {client} {era} | {} | {} |\n", upstream.name, row.join(" | "));
            }
        }
    }
    say(&table);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
