//! `/api/v1/profiles`: those of the file, and those that the operator makes over the API, which
//! stand in the store beside them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Reply;
use super::call::Call;
use super::etag::{check, check_maybe, etag};
use super::input::read;
use super::made::{meanwhile, put_in_place};
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::Caller;
use crate::base::{Name, Role, rfc3339, unix_seconds};
use crate::config::{Config, Profile, Sight, Standing, check_profile, profile_document};
use crate::store::ProfileRecord;

/// Longest document in bytes.
const LONGEST: usize = 64 * 1024;
/// Most profiles that are made over the API.
const MOST: usize = 1_000;

fn unknown() -> Problem {
    Problem::unknown("profile", "`GET /api/v1/profiles` lists all")
}

/// Names the state of a record.
fn tag(record: &ProfileRecord) -> String {
    let (made, generation) = (record.created_at.to_string(), record.generation.to_string());
    etag(&[record.name.as_str(), &record.document, &made, &generation])
}

fn door(name: &Name) -> String {
    format!("/p/{name}/mcp")
}

/// Whether the caller may know of a profile that runs: the operator of all, others of those that
/// their key opens.
fn opens(api: &Api, caller: &Caller, name: &Name) -> bool {
    match caller {
        Caller::Tenant(principal) => api.line.door(principal, &door(name)).is_some(),
        Caller::Operator(_) => true,
    }
}

/// One that runs.
fn running(config: &Config, caller: &Caller, profile: &Profile) -> Value {
    let seen = |name: &&Name| match (caller.tenant(), config.upstreams.get(*name)) {
        (Some(tenant), Some(entry)) => {
            config.sight(tenant.id(), tenant.name(), entry) == Sight::Seen
        }
        (Some(_), None) => false,
        (None, _) => true,
    };
    let upstreams = profile.upstreams.keys().filter(seen).map(Name::as_str);
    let mut value = json!({
        "name": profile.name.as_str(),
        "door": door(&profile.name),
        "origin": if profile.line > 0 { "file" } else { "store" },
        "upstreams": upstreams.collect::<Vec<_>>(),
    });
    if profile.line > 0 {
        value["declared_at"] = json!(format!("{}:{}", config.file, profile.line));
    }
    if caller.role() == Role::Operator {
        value["document"] = profile_document(profile);
    }
    value
}

/// One of the store as the operator sees it.
fn stored(config: &Config, record: &ProfileRecord) -> Value {
    let document: Value = serde_json::from_str(&record.document).unwrap_or_default();
    let named = match &document["upstreams"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let (standing, reason) = match config.made.profiles.get(&record.name) {
        Some(Standing::Declared) => {
            let line = config.profiles.get(&record.name).map_or(0, |profile| profile.line);
            let reason = format!("{}:{line} declares one of that name, which runs", config.file);
            ("declared", Some(reason))
        }
        Some(Standing::Broken(problems)) => {
            ("broken", Some(Problem::Document(problems.clone()).to_string()))
        }
        _ => ("runs", None),
    };
    json!({
        "name": record.name.as_str(),
        "door": door(&record.name),
        "origin": "store",
        "upstreams": named,
        "standing": standing,
        "reason": reason,
        "document": document,
        "created_at": rfc3339(record.created_at),
        "changed_at": rfc3339(record.changed_at),
    })
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let config = api.config();
        let operator = call.caller.role() == Role::Operator;
        let records = if operator { api.stores.profiles.list().await? } else { Vec::new() };
        // One of the store that waits behind one of the file stands beside it.
        let own = records.iter().map(|record| {
            let place = if config.made.profiles.get(&record.name) == Some(&Standing::Declared) {
                1
            } else {
                0
            };
            (format!("{} {place}", record.name), stored(&config, record))
        });
        let shown = config.profiles.values().filter(|profile| {
            let told = operator && profile.line == 0;
            !told && opens(&api, &call.caller, &profile.name)
        });
        let shown =
            shown.map(|found| (format!("{} 0", found.name), running(&config, &call.caller, found)));
        let entries = shown.chain(own).collect();
        Ok(Reply::ok(page(&api, &call, entries)?))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let name = Name::new(call.part(0)).map_err(|_| unknown())?;
        let config = api.config();
        let found = config.profiles.get(&name);
        if call.caller.role() == Role::Operator && found.is_none_or(|found| found.line == 0) {
            let record = api.stores.profiles.find(&name).await?.ok_or_else(unknown)?;
            return Ok(Reply::ok(stored(&config, &record)).with_etag(tag(&record)));
        }
        let found = found.filter(|found| opens(&api, &call.caller, &found.name));
        Ok(Reply::ok(running(&config, &call.caller, found.ok_or_else(unknown)?)))
    })
}

/// What the file declares is changed there.
fn undeclared(config: &Config, name: &Name) -> Result<(), Problem> {
    match config.profiles.get(name).map(|profile| profile.line) {
        Some(line) if line > 0 => {
            let (what, file) = (format!("the profile `{name}`"), config.file.to_string());
            Err(Problem::Declared { what, file, line })
        }
        _ => Ok(()),
    }
}

pub(super) fn put(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let name = Name::new(call.part(0))?;
        let config = api.config();
        undeclared(&config, &name)?;
        let mut keys: Map<String, Value> = read(&call.body)?;
        if keys.remove("name").is_some_and(|given| given != name.as_str()) {
            return Err(Problem::Invalid("its name is in the path".to_owned()));
        }
        keys.retain(|_, value| !value.is_null());
        check_profile(&name, &keys, &config).map_err(Problem::Document)?;
        let document = Value::from(keys).to_string();
        if document.len() > LONGEST {
            let length = document.len();
            let what = format!("a profile has at most {LONGEST} bytes, and this one {length}");
            return Err(Problem::Invalid(what));
        }
        let known = api.stores.profiles.find(&name).await?;
        check_maybe(&call.headers, known.as_ref().map(tag).as_deref())?;
        if known.is_none() && api.stores.profiles.list().await?.len() >= MOST {
            let what = format!("there are {MOST} profiles in the store; delete one first");
            return Err(Problem::Conflict(what));
        }
        let now = unix_seconds();
        let mut record = ProfileRecord {
            name,
            document,
            generation: known.as_ref().map_or(0, |known| known.generation),
            created_at: known.as_ref().map_or(now, |known| known.created_at),
            changed_at: known.map_or(now, |known| now.max(known.changed_at)),
        };
        let next = api.stores.profiles.put(record.clone()).await?;
        record.generation = next.ok_or_else(meanwhile)?;
        put_in_place(&api).await?;
        Ok(Reply::ok(stored(&api.config(), &record)).with_etag(tag(&record)))
    })
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let name = Name::new(call.part(0)).map_err(|_| unknown())?;
        let Some(record) = api.stores.profiles.find(&name).await? else {
            return Err(undeclared(&api.config(), &name).err().unwrap_or_else(unknown));
        };
        check(&call.headers, &tag(&record))?;
        if !api.stores.profiles.remove(&name, record.generation).await? {
            return Err(meanwhile());
        }
        put_in_place(&api).await?;
        Ok(Reply::done())
    })
}
