//! Profiles and rules as clients see them: what is listed can be called and nothing else, at
//! every door, in both eras, through the running proxy.

mod doors;
mod explained;
mod guises;
mod random;
mod resources;

use std::collections::BTreeMap;

use crate::support::Client;
use serde_json::Value;

/// The tools that a door lists, by name.
fn tools(client: &mut Client) -> BTreeMap<String, Value> {
    let list = client.list("tools/list", "tools");
    list.into_iter()
        .map(|tool| (tool["name"].as_str().expect("a tool has a name").to_owned(), tool))
        .collect()
}

/// The names of a list.
fn names(client: &mut Client) -> Vec<String> {
    tools(client).into_keys().collect()
}

/// Code and words of the error of a call, with the name taken out; `None` when it was answered.
fn refusal(client: &mut Client, tool: &str) -> Option<(i64, String)> {
    let answer = client.call(tool, serde_json::json!({}));
    let error = answer.get("error")?;
    let words = error["message"].as_str().expect("an error has words").replace(tool, "NAME");
    Some((error["code"].as_i64().expect("an error has a code"), words))
}
