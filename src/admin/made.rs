//! `/api/v1/upstreams` where something is changed: upstreams that are made over the API, which
//! stand in the store beside those of the file.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Reply;
use super::call::Call;
use super::etag::{check, demand, etag};
use super::history;
use super::input::read;
use super::problem::Problem;
use super::reload::about;
use super::router::Answering;
use super::serve::Api;
use crate::auth::{News, TenantInfo};
use crate::base::{Name, rfc3339, unix_seconds};
use crate::config::{Sight, Standing, Warning, check_upstream};
use crate::store::UpstreamRecord;

/// Longest document in bytes.
const LONGEST: usize = 64 * 1024;
/// Most upstreams that are made over the API.
const MOST: usize = 1_000;

pub(super) fn unknown() -> Problem {
    Problem::unknown("upstream", "`GET /api/v1/upstreams` lists all")
}

/// Names the state of a record.
pub(super) fn tag(record: &UpstreamRecord) -> String {
    let (made, generation) = (record.created_at.to_string(), record.generation.to_string());
    etag(&[record.name.as_str(), &record.document, &made, &generation])
}

/// A record as the operator sees it.
pub(super) fn value(api: &Api, record: &UpstreamRecord) -> Value {
    let config = api.config();
    let (standing, reason) = match config.made.standing.get(&record.name) {
        Some(Standing::Runs) => ("runs", None),
        Some(Standing::Declared) => {
            let line = config.made.lines.get(&record.name).copied().unwrap_or_default();
            let reason = format!("{}:{line} declares one of that name, which runs", config.file);
            ("declared", Some(reason))
        }
        Some(Standing::Broken(problems)) => {
            ("broken", Some(Problem::Document(problems.clone()).to_string()))
        }
        Some(Standing::Disabled) | None => ("disabled", None),
    };
    let document: Value = serde_json::from_str(&record.document).unwrap_or_default();
    json!({
        "name": record.name.as_str(),
        "origin": "store",
        "enabled": record.enabled,
        "standing": standing,
        "reason": reason,
        "document": document,
        "created_at": rfc3339(record.created_at),
        "changed_at": rfc3339(record.changed_at),
    })
}

/// What the file declares is changed there.
fn undeclared(api: &Api, name: &Name) -> Result<(), Problem> {
    let config = api.config();
    match config.made.lines.get(name) {
        None => Ok(()),
        Some(line) => {
            let (what, file) = (format!("the upstream `{name}`"), config.file.to_string());
            Err(Problem::Declared { what, file, line: *line })
        }
    }
}

/// The record that a call is about.
async fn find(api: &Api, call: &Call) -> Result<UpstreamRecord, Problem> {
    let name = Name::new(call.part(0)).map_err(|_| unknown())?;
    match api.stores.upstreams.find(&name).await? {
        Some(record) => Ok(record),
        None => Err(undeclared(api, &name).err().unwrap_or_else(unknown)),
    }
}

/// What somebody sent, as `[upstreams.NAME]` has it: the block of other programs' files is
/// taken, too. Gives whether it shall run, if that is said.
fn plain(mut keys: Map<String, Value>) -> Result<(Map<String, Value>, Option<bool>), Problem> {
    let wrong = |key: &str, wanted: &str| Problem::Invalid(format!("`{key}` must be {wanted}"));
    let mut flag = |key: &str| match keys.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(_) => Err(wrong(key, "true or false")),
    };
    let (enabled, disabled) = (flag("enabled")?, flag("disabled")?);
    let args = keys.remove("args").filter(|args| !args.is_null());
    match (keys.remove("command"), args) {
        (Some(program @ Value::String(_)), args) => {
            let mut words = vec![program];
            match args {
                None => {}
                Some(Value::Array(list)) => words.extend(list),
                Some(_) => return Err(wrong("args", "a list of texts")),
            }
            keys.insert("command".to_owned(), Value::Array(words));
        }
        (_, Some(_)) => {
            let what = "`args` goes with `command` as one text; or write all of it into `command`";
            return Err(Problem::Invalid(what.to_owned()));
        }
        (Some(command), None) => drop(keys.insert("command".to_owned(), command)),
        (None, None) => {}
    }
    // Other programs' files name the transport; ours is told by `command` or `url`.
    let kind = match keys.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        _ => "",
    };
    let fits = match kind {
        "stdio" => keys.contains_key("command"),
        "http" | "streamable-http" | "streamable_http" => keys.contains_key("url"),
        _ => false,
    };
    if fits {
        keys.remove("type");
    }
    keys.retain(|_, value| !value.is_null());
    Ok((keys, enabled.or_else(|| disabled.map(|disabled| !disabled))))
}

/// Checks a document, and gives it as it is kept.
fn judge(
    api: &Api,
    name: &Name,
    keys: &Map<String, Value>,
) -> Result<(String, Vec<Warning>), Problem> {
    let (_, warnings) = check_upstream(name, keys, &api.config()).map_err(Problem::Document)?;
    let document = Value::from(keys.clone()).to_string();
    if document.len() > LONGEST {
        let what =
            format!("an upstream has at most {LONGEST} bytes, and this one {}", document.len());
        return Err(Problem::Invalid(what));
    }
    Ok((document, warnings))
}

/// Lets what the store has run, and shows it.
async fn settle(
    api: &Api,
    record: &UpstreamRecord,
    warnings: &[Warning],
) -> Result<Value, Problem> {
    put_in_place(api).await?;
    let mut value = value(api, record);
    if !warnings.is_empty() {
        let warnings = warnings.iter().map(|warning| about(&warning.0));
        value["warnings"] = json!(warnings.collect::<Vec<_>>());
    }
    Ok(value)
}

pub(super) fn meanwhile() -> Problem {
    Problem::Conflict("somebody else has changed it meanwhile".to_owned())
}

pub(super) async fn put_in_place(api: &Api) -> Result<(), Problem> {
    let placed = api.recompose.clone().recompose().await;
    let late = |reason: String| {
        Problem::Unavailable(format!("it is stored, and runs after the next reload: {reason}"))
    };
    placed.map(drop).map_err(late)
}

pub(super) fn create(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut keys: Map<String, Value> = read(&call.body)?;
        let name = match keys.remove("name") {
            Some(Value::String(name)) => Name::new(&name)?,
            _ => return Err(Problem::Invalid("the body has no `name`".to_owned())),
        };
        undeclared(&api, &name)?;
        let (keys, enabled) = plain(keys)?;
        let (document, warnings) = judge(&api, &name, &keys)?;
        let known = api.stores.upstreams.list().await?;
        if known.len() >= MOST {
            let what = format!("there are {MOST} upstreams in the store; delete one first");
            return Err(Problem::Conflict(what));
        }
        let now = unix_seconds();
        let record = UpstreamRecord {
            name: name.clone(),
            document,
            enabled: enabled.unwrap_or(true),
            generation: 1,
            created_at: now,
            changed_at: now,
        };
        api.stores.upstreams.create(record.clone()).await?;
        let value = settle(&api, &record, &warnings).await?;
        Ok(Reply::created(format!("/api/v1/upstreams/{name}"), value).with_etag(tag(&record)))
    })
}

/// Writes a record that was changed.
async fn write(
    api: &Api,
    mut record: UpstreamRecord,
    warnings: &[Warning],
) -> Result<Reply, Problem> {
    record.changed_at = unix_seconds().max(record.changed_at);
    let next = api.stores.upstreams.change(record.clone()).await?;
    record.generation = next.ok_or_else(meanwhile)?;
    let value = settle(api, &record, warnings).await?;
    Ok(Reply::ok(value).with_etag(tag(&record)))
}

async fn rewrite(api: &Api, call: &Call, patch: bool) -> Result<Reply, Problem> {
    let mut record = find(api, call).await?;
    check(&call.headers, &tag(&record))?;
    let mut keys: Map<String, Value> = read(&call.body)?;
    if keys.remove("name").is_some_and(|name| name != record.name.as_str()) {
        let what = "a name stays; make another upstream and delete this one".to_owned();
        return Err(Problem::Invalid(what));
    }
    if patch {
        let mut whole: Value = serde_json::from_str(&record.document).unwrap_or_default();
        merge(&mut whole, Value::Object(keys));
        keys = match whole {
            Value::Object(keys) => keys,
            _ => Map::new(),
        };
    }
    let (keys, enabled) = plain(keys)?;
    let (document, warnings) = judge(api, &record.name, &keys)?;
    record.document = document;
    record.enabled = enabled.unwrap_or(record.enabled);
    write(api, record, &warnings).await
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

pub(super) fn replace(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move { rewrite(&api, &call, false).await })
}

pub(super) fn change(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move { rewrite(&api, &call, true).await })
}

/// A profile that names it would be broken without it.
fn unnamed(api: &Api, name: &Name) -> Result<(), Problem> {
    let config = api.config();
    if config.made.lines.contains_key(name) {
        return Ok(());
    }
    let mut made = config.profiles.values().filter(|profile| profile.line == 0);
    match made.find(|profile| profile.upstreams.contains_key(name)) {
        Some(profile) => Err(Problem::Conflict(format!(
            "the profile `{}` names it; take it out there first",
            profile.name
        ))),
        None => Ok(()),
    }
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let record = find(&api, &call).await?;
        unnamed(&api, &record.name)?;
        let secrets = api.stores.upstreams.secrets(&record.name).await?;
        // One that the file declares now keeps what was meant for it.
        if secrets == 0 {
            check(&call.headers, &tag(&record))?;
        } else {
            undeclared(&api, &record.name)?;
            let why = format!("the {secrets} secrets of tenants for it would be gone for ever");
            demand(&call.headers, &tag(&record), &why)?;
        }
        if !api.stores.upstreams.remove(&record.name, record.generation).await? {
            return Err(meanwhile());
        }
        api.auth.wrote(News::Other);
        put_in_place(&api).await?;
        Ok(Reply::done())
    })
}

async fn turn(api: &Api, call: &Call, enabled: bool) -> Result<Reply, Problem> {
    let mut record = find(api, call).await?;
    check(&call.headers, &tag(&record))?;
    if record.enabled == enabled {
        return Ok(Reply::ok(value(api, &record)).with_etag(tag(&record)));
    }
    record.enabled = enabled;
    write(api, record, &[]).await
}

pub(super) fn enable(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move { turn(&api, &call, true).await })
}

pub(super) fn disable(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move { turn(&api, &call, false).await })
}

/// What is for other tenants is not there.
fn visible(api: &Api, tenant: &TenantInfo, name: &str) -> Result<(), Problem> {
    let (config, name) = (api.config(), Name::new(name).map_err(|_| unknown())?);
    let entry = config.upstreams.get(&name);
    let sight = entry.map(|entry| config.sight(tenant.id(), tenant.name(), entry));
    if sight == Some(Sight::Hidden) { Err(unknown()) } else { Ok(()) }
}

pub(super) fn restart(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        if let Some(tenant) = call.caller.tenant() {
            visible(&api, tenant, call.part(0))?;
        }
        let tenant = call.caller.tenant().map(|tenant| tenant.id());
        if api.line.restart(call.part(0), tenant) { Ok(Reply::done()) } else { Err(unknown()) }
    })
}

pub(super) fn stderr(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        visible(&api, call.tenant()?, call.part(0))?;
        let (name, whose) = history::place(&api, &call)?;
        Ok(Reply::ok(json!({ "lines": api.line.stderr(&name, whose) })))
    })
}
