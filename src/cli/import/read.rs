//! The servers of a client's file.

use jsonc_parser::ast;
use serde_json::{Map, Value};
use toml_edit::{Item, TableLike};

use super::found::{Found, Login, Way};
use super::words::pieces;
use crate::cli::connect::{Client, Syntax, parse, read_toml};

/// Reads every server.
///
/// # Errors
/// When the text is no document of this client.
pub(super) fn read(client: Client, text: &str) -> Result<Vec<Found>, Syntax> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match client {
        Client::Codex => table(read_toml(text)?.as_table()),
        _ => parse(text)?.as_ref().map_or(Value::Null, json),
    };
    let mut all = Vec::new();
    for (place, servers, project) in groups(client, &root) {
        let servers = servers.as_object();
        for (name, entry) in servers.into_iter().flatten() {
            let mut found = entry_of(client, name, entry);
            found.place = format!("{place}.{name}");
            if let Some(project) = &project {
                found.notes.push(format!("was only for the project {project}; now it is for all"));
            }
            if client == Client::Gemini {
                let listed = |list: &str| {
                    let list = root["mcp"][list].as_array();
                    list.map(|list| list.contains(&name.as_str().into()))
                };
                found.disabled |=
                    listed("excluded") == Some(true) || listed("allowed") == Some(false);
            }
            all.push(found);
        }
    }
    Ok(all)
}

/// The tables of servers in a file: where each stands, and the project that it is for.
fn groups(client: Client, root: &Value) -> Vec<(String, &Value, Option<String>)> {
    let member = match client {
        Client::Codex => "mcp_servers",
        client => client.member().unwrap_or("mcpServers"),
    };
    let mut groups = vec![(member.to_owned(), &root[member], None)];
    match client {
        // A file that is checked in, or another editor's, has the other name.
        Client::Vscode if root[member].is_null() => {
            groups.push(("mcp.servers".to_owned(), &root["mcp"]["servers"], None));
            groups.push(("mcpServers".to_owned(), &root["mcpServers"], None));
        }
        Client::ClaudeCode => {
            for (path, project) in root["projects"].as_object().into_iter().flatten() {
                let place = format!("projects.{path}.{member}");
                groups.push((place, &project[member], Some(path.clone())));
            }
        }
        _ => {}
    }
    groups
}

/// Fields that only say how the client shows or allows a server.
const OWN: &[&str] = &[
    "alwaysAllow",
    "autoApprove",
    "trust",
    "description",
    "gallery",
    "version",
    "source",
    "note",
    "default_tools_approval_mode",
    "supports_parallel_tool_calls",
    "required",
    "icon",
    "settings",
];
/// Fields of a login that only this client can make.
const LOGIN: &[&str] = &["authProviderType", "targetAudience", "targetServiceAccount"];

fn entry_of(client: Client, name: &str, entry: &Value) -> Found {
    let mut found = Found {
        name: name.to_owned(),
        place: String::new(),
        way: None,
        login: None,
        disabled: false,
        allow: Vec::new(),
        deny: Vec::new(),
        timeout: None,
        start_timeout: None,
        notes: Vec::new(),
    };
    let Some(fields) = entry.as_object() else {
        found.notes.push("is no entry of a server".to_owned());
        return found;
    };
    let mut fields = fields.clone();
    // Zed's older form.
    if let Some(Value::Object(command)) = fields.remove_entry("command").map(|(name, value)| {
        fields.insert(name, value.clone());
        value
    }) {
        let path = command.get("path").cloned().unwrap_or_default();
        fields.extend(command);
        fields.remove("path");
        fields.insert("command".to_owned(), path);
    }
    let (off, on) = (fields.remove("disabled"), fields.remove("enabled"));
    found.disabled = off == Some(Value::Bool(true)) || on == Some(Value::Bool(false));
    for (into, names) in [
        (&mut found.allow, ["includeTools", "enabled_tools", "enabledTools"]),
        (&mut found.deny, ["excludeTools", "disabled_tools", "disabledTools"]),
    ] {
        into.extend(
            names.iter().filter_map(|name| fields.remove(*name)).flat_map(|list| texts(&list)),
        );
    }
    let mut millis = |names: &[(&str, f64)]| {
        let mut found = None;
        for (name, unit) in names {
            if let Some(number) = fields.remove(*name).and_then(|value| value.as_f64()) {
                found = Some((number * unit).clamp(1.0, 3.6e6));
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is clamped"
        )]
        found.map(|number| number as u64)
    };
    found.timeout = millis(&[("timeout", 1.0), ("tool_timeout_sec", 1e3)]);
    found.start_timeout = millis(&[("startup_timeout_ms", 1.0), ("startup_timeout_sec", 1e3)]);
    let kind = ["type", "transport"].iter().filter_map(|name| fields.remove(*name)).next();
    if kind.as_ref().and_then(Value::as_str) == Some("sse") {
        found.notes.push(
            "is of the transport HTTP+SSE (2024-11-05); if it is not reached, look for its streamable \
             HTTP address"
                .to_owned(),
        );
    }
    found.login = login(client, &mut fields);
    found.way = way(client, &mut fields);
    if found.way.is_none() {
        let why = match fields.get("source").and_then(Value::as_str) {
            Some("extension") => "is an extension of Zed, which alone knows its program",
            _ => "has neither a command nor a URL",
        };
        found.notes.push(why.to_owned());
    }
    for name in fields.keys() {
        match name.as_str() {
            name if OWN.contains(&name) => {}
            name if LOGIN.contains(&name) => {
                found.notes.push(format!("`{name}`: a login is not taken over; log in anew"));
            }
            "envFile" => found.notes.push(
                "`envFile` is not read; set what it holds with `mcp-proxy secret set`".to_owned(),
            ),
            name => found.notes.push(format!("the field `{name:.60}` is not known and left out")),
        }
    }
    found
}

/// Cursor: `auth` with CLIENT_ID and the like. Claude Code, VS Code, Gemini: `oauth` with clientId.
/// Codex: `oauth` with client_id, and `scopes` beside it.
fn login(client: Client, fields: &mut Map<String, Value>) -> Option<Login> {
    let outer = ["scopes", "oauth_resource", "requiresOAuth"].map(|name| fields.remove(name));
    let inner = ["oauth", "auth"].iter().filter_map(|name| fields.remove(*name)).next();
    let off = |value: &Value| *value == Value::Bool(false) || value["enabled"] == false;
    if inner.as_ref().is_some_and(off) || inner.is_none() && outer.iter().all(Option::is_none) {
        return None;
    }
    let inner = inner.unwrap_or_default();
    let text = |names: [&str; 3]| {
        let found = names.iter().find_map(|name| inner[*name].as_str());
        found.filter(|text| !text.is_empty()).map(|text| pieces(client, text))
    };
    let scopes = match (&inner["scopes"], &outer[0]) {
        (Value::Null, Some(scopes)) => scopes,
        (scopes, _) => scopes,
    };
    let scopes = scopes.as_str().map_or_else(|| texts(scopes), |text| vec![text.to_owned()]);
    let scopes = scopes.iter().flat_map(|text| text.split_whitespace().map(str::to_owned));
    Some(Login {
        client_id: text(["clientId", "client_id", "CLIENT_ID"]),
        client_secret: text(["clientSecret", "client_secret", "CLIENT_SECRET"]),
        scopes: scopes.collect(),
    })
}

fn way(client: Client, fields: &mut Map<String, Value>) -> Option<Way> {
    let value = |text: &str| pieces(client, text);
    let pairs = |map: Option<Value>| -> Vec<(String, String)> {
        let Some(Value::Object(map)) = map else { return Vec::new() };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        map.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    };
    let url = ["httpUrl", "serverUrl", "url"].iter().filter_map(|name| fields.remove(*name));
    let url = url.filter_map(|url| url.as_str().map(str::to_owned)).next();
    let mut headers: Vec<_> = ["headers", "http_headers"]
        .iter()
        .flat_map(|name| pairs(fields.remove(*name)))
        .map(|(name, text)| (name, value(&text)))
        .collect();
    // Codex names variables in fields of their own.
    let variable = |name: &str| super::found::Piece::Variable(name.to_owned(), None);
    for (name, from) in pairs(fields.remove("env_http_headers")) {
        headers.push((name, vec![variable(&from)]));
    }
    if let Some(Value::String(from)) = fields.remove("bearer_token_env_var") {
        let bearer = super::found::Piece::Text("Bearer ".to_owned());
        headers.push(("Authorization".to_owned(), vec![bearer, variable(&from)]));
    }
    let mut env: Vec<_> =
        pairs(fields.remove("env")).into_iter().map(|(name, text)| (name, value(&text))).collect();
    for from in fields.remove("env_vars").as_ref().and_then(Value::as_array).into_iter().flatten() {
        // By its name, or with where it comes from.
        if let Some(name) = from.as_str().or(from["name"].as_str()) {
            env.push((name.to_owned(), vec![variable(name)]));
        }
    }
    let cwd = fields.remove("cwd").and_then(|cwd| cwd.as_str().map(value));
    let command = fields.remove("command").and_then(|command| command.as_str().map(str::to_owned));
    let args = fields.remove("args").map(|args| texts(&args)).unwrap_or_default();
    if let Some(url) = url.filter(|url| !url.is_empty()) {
        return Some(Way::Url { url: value(&url), headers });
    }
    let command = command.filter(|command| !command.is_empty())?;
    let words = std::iter::once(command).chain(args).map(|word| value(&word)).collect();
    Some(Way::Command { words, env, cwd })
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn json(value: &ast::Value<'_>) -> Value {
    match value {
        ast::Value::StringLit(text) => Value::String(text.value.to_string()),
        ast::Value::NumberLit(number) => serde_json::from_str(number.value).unwrap_or_default(),
        ast::Value::BooleanLit(flag) => Value::Bool(flag.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => array.elements.iter().map(json).collect(),
        ast::Value::Object(object) => {
            let members = object.properties.iter();
            let members = members.map(|prop| (prop.name.as_str().to_owned(), json(&prop.value)));
            Value::Object(members.collect())
        }
    }
}

fn table(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(name, item)| (name.to_owned(), item_of(item))).collect())
}

fn item_of(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Table(inner) => table(inner),
        Item::ArrayOfTables(list) => list.iter().map(|inner| table(inner)).collect(),
        Item::Value(value) => value_of(value),
    }
}

fn value_of(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(flag) => (*flag.value()).into(),
        toml_edit::Value::Datetime(time) => Value::String(time.value().to_string()),
        toml_edit::Value::Array(list) => list.iter().map(value_of).collect(),
        toml_edit::Value::InlineTable(inner) => table(inner),
    }
}
