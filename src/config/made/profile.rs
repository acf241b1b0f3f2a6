//! Profiles that were made over the API: one JSON document each, in the store, with the keys of
//! `[profiles.NAME]`, and checked as that section is; and the document of any profile.

use serde_json::{Map, Value, json};

use super::document::section;
use crate::base::{Glob, Name};
use crate::config::check::check_profiles;
use crate::config::file::{Table, parse};
use crate::config::problem::{Problem, Problems};
use crate::config::report::Report;
use crate::config::{Config, Filter, Pattern, Profile, Rules};

/// A document as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeProfile {
    /// Its name.
    pub name: Name,
    /// Its keys as JSON text.
    pub document: String,
}

/// Checks one document as `[profiles.NAME]` beside what `config` says. It may name every upstream
/// that is known, also one that does not run now.
///
/// # Errors
/// Every problem of it at once, each with its key and what to do. No line says where.
pub fn check_profile(
    name: &Name,
    document: &Map<String, Value>,
    config: &Config,
) -> Result<Profile, Problems> {
    let place = format!("profiles.{name}");
    let text = section(&place, document)?;
    let mut report = Report::new(&text);
    let root = parse(&text, &mut report);
    let mut root = Table::new(String::new(), root.get_ref());
    let found = root.take("profiles").and_then(|item| item.table(&mut report));
    let known: Vec<&Name> = config.upstreams.keys().chain(config.made.standing.keys()).collect();
    let found = check_profiles(found, &config.upstreams, &known, &mut report);
    let (problems, _) = report.finish(&place);
    let problems = problems.iter().flat_map(Problems::iter).cloned();
    match (Problems::new(problems.map(Problem::without_place).collect()), found) {
        (Some(problems), _) => Err(problems),
        (None, Some(profile)) => Ok(profile.without_lines()),
        (None, None) => {
            let message = format!("`{place}` is no profile");
            Err(Problem::about(&place, "", message, "write upstreams").into())
        }
    }
}

/// The document that a profile would be made with.
#[must_use]
pub fn profile_document(profile: &Profile) -> Value {
    let mut keys = rules(&profile.rules);
    let plain = profile.upstreams.values().all(|own| *own == Rules::default());
    let members = profile.upstreams.iter();
    let members = if plain {
        json!(members.map(|(name, _)| name.as_str()).collect::<Vec<_>>())
    } else {
        let own = members.map(|(name, own)| (name.to_string(), Value::Object(rules(own))));
        Value::Object(own.collect())
    };
    keys.insert("upstreams".to_owned(), members);
    Value::Object(keys)
}

fn globs(globs: &[Glob]) -> Value {
    json!(globs.iter().map(Glob::as_str).collect::<Vec<_>>())
}

fn filter(filter: &Filter) -> Value {
    let texts = |patterns: &[Pattern]| {
        json!(patterns.iter().map(|pattern| pattern.glob.as_str()).collect::<Vec<_>>())
    };
    let mut keys = Map::new();
    if let Some(allow) = &filter.allow {
        keys.insert("allow".to_owned(), texts(allow));
    }
    if !filter.deny.is_empty() {
        keys.insert("deny".to_owned(), texts(&filter.deny));
    }
    Value::Object(keys)
}

fn rules(rules: &Rules) -> Map<String, Value> {
    // Without `..`, so that a rule which is added is shown, too.
    let Rules { tools, prompts, resources, read_only, rename, describe, pin, hide } = rules;
    let mut keys = Map::new();
    for (key, own) in [("tools", tools), ("prompts", prompts), ("resources", resources)] {
        if let Some(own) = own {
            keys.insert(key.to_owned(), filter(own));
        }
    }
    if read_only.is_some() {
        keys.insert("read_only".to_owned(), json!(true));
    }
    for (key, words) in [("rename", rename), ("describe", describe)] {
        if !words.is_empty() {
            let words = words.iter().map(|(tool, own)| (tool.clone(), json!(own.text)));
            keys.insert(key.to_owned(), Value::Object(words.collect()));
        }
    }
    if !pin.is_empty() {
        let pins = pin.iter().map(|(name, fixed)| {
            let value: Value = serde_json::from_str(&fixed.json).unwrap_or_default();
            let mut own = json!({ "value": value });
            if let Some(tools) = &fixed.tools {
                own["tools"] = globs(tools);
            }
            (name.clone(), own)
        });
        keys.insert("pin".to_owned(), Value::Object(pins.collect()));
    }
    if !hide.is_empty() {
        let all = hide.values().all(|held| held.tools.is_none());
        let every = [Glob::new("*")];
        let held = if all {
            json!(hide.keys().collect::<Vec<_>>())
        } else {
            let held = hide
                .iter()
                .map(|(name, held)| (name.clone(), globs(held.tools.as_deref().unwrap_or(&every))));
            Value::Object(held.collect())
        };
        keys.insert("hide".to_owned(), held);
    }
    keys
}
