//! Each upstream, as each tenant has it: reached, complete, and with names that clients take.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::Findings;
use super::limit::LIMITS;
use crate::cli::reach::Reach;
use crate::cli::table::cell;
use crate::cli::whose;

/// Looks at every upstream of every tenant, or of one.
pub(super) async fn look(
    reach: &Reach,
    only: Option<&str>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    // The same name is told of once, whoever has it.
    let mut told = BTreeSet::new();
    for tenant in whose::tenants(reach, only).await? {
        let all = reach.all(Some(&tenant), "/api/v1/upstreams").await?;
        let mut tools = 0;
        for entry in &all {
            let name = cell(&entry["name"]);
            let place = format!("upstream {name} of {tenant}");
            let shown = reach.get(Some(&tenant), &format!("/api/v1/upstreams/{name}")).await;
            match shown {
                Ok(entry) => tools += one(&tenant, &entry, &place, &mut told, findings),
                Err(error) => findings.bad("upstream", &place, error.to_string(), ("", "")),
            }
        }
        for limit in LIMITS {
            if limit.tools.is_some_and(|most| tools > most) {
                findings.note(
                    "tools-many",
                    &format!("tenant {tenant}"),
                    format!(
                        "{tools} tools are listed at /mcp; {} takes {} of all its servers",
                        limit.client,
                        limit.tools.unwrap_or_default()
                    ),
                    (
                        "the rest is cut off, or the request fails",
                        "make a profile with fewer, [profiles.NAME], and use its URL /p/NAME/mcp",
                    ),
                );
            }
        }
    }
    Ok(())
}

fn one(
    tenant: &str,
    entry: &Value,
    place: &str,
    told: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> usize {
    let (state, reason) = (cell(&entry["state"]), cell(&entry["reason"]));
    let name = cell(&entry["name"]);
    let tools: Vec<&str> = entry["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    let login = &entry["login"];
    let complete = entry["missing_secrets"].as_array().is_none_or(Vec::is_empty);
    match state.as_str() {
        "needs-setup" | "needs_setup" if login.is_object() && complete => {
            let why = match login["state"].as_str() {
                Some("logged-out") => "nobody has logged in, or the login has ended",
                _ => "",
            };
            findings.bad(
                "login-missing",
                place,
                reason.as_str(),
                (why, &format!("log in at /connect/upstreams/{name}, with a key of `{tenant}`")),
            );
        }
        "needs-setup" | "needs_setup" => {
            let missing = cell(&entry["missing_secrets"]);
            let slot = missing.split(' ').next().unwrap_or("SECRET");
            findings.bad(
                "secret-missing",
                place,
                format!("the secret {missing} has no value for the tenant `{tenant}`"),
                (
                    &reason.replace('-', " "),
                    &format!("mcp-proxy secret set --tenant {tenant} {name} {slot} < FILE"),
                ),
            );
        }
        "failed" | "broken" => findings.silent(
            "upstream-failed",
            place,
            format!("it is not reached: {reason}"),
            ("", &format!("see `mcp-proxy upstream show {name} --tenant {tenant}` and the log")),
        ),
        "disabled" | "turned-off" => {
            findings.note("upstream-off", place, "it is turned off", ("", ""));
        }
        // It is asked for its tools before it says how it stands.
        state => {
            let logged_in =
                login["state"].as_str().map(|word| format!(", {}", word.replace('-', " ")));
            let tools = format!("{state}, {} tools{}", tools.len(), logged_in.unwrap_or_default());
            findings.good("upstream", place, tools);
        }
    }
    for limit in LIMITS {
        for tool in tools.iter().filter(|tool| tool.len() > limit.name) {
            if !told.insert(format!("{} {tool}", limit.client)) {
                continue;
            }
            findings.note(
                "name-long",
                place,
                format!(
                    "`{tool}` has {} characters; {} takes {}",
                    tool.len(),
                    limit.client,
                    limit.name
                ),
                (
                    "one name that is too long can break the client's whole list",
                    "lower `max_name` in [namespace], or give it another with `rename`",
                ),
            );
        }
    }
    tools.len()
}
