//! `mcp-proxy upstream add|change|remove|enable|disable|restart`: upstreams that stand beside those
//! of the file.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::reach::Reach;
use super::refusal::{ReachError, must_mean, usage};
use super::screen::Screen;
use super::table::cell;
use super::whose::{self, post};
use crate::base::Name;

/// Longest document that is read.
const LONGEST: u64 = 512 * 1024;

/// Keys of an upstream.
#[derive(Debug, Args)]
pub(super) struct Keys {
    /// A header with each request, as 'NAME: VALUE'. May be given several times.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// A variable of its process, as NAME=VALUE. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The folder of its process.
    #[arg(long, value_name = "FOLDER")]
    cwd: Option<String>,
    /// Any key that [upstreams.NAME] has, such as timeout=30s or tools.deny='["rm_*"]'. May be
    /// given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Read keys from this file of JSON, such as the block of another program's file; - is
    /// standard input. What is given beside it stands over it.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Its program and arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A new one.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its name: 1 to 63 of a-z, 0-9 and -; it stands before the names of its tools.
    name: String,
    /// Where it is; for a program write that after -- instead.
    #[arg(value_name = "SERVER_URL", conflicts_with = "command")]
    server: Option<String>,
    /// Add it and let it not run yet.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    keys: Keys,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Other keys for one.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Its name.
    name: String,
    /// Where it is from now on.
    #[arg(value_name = "SERVER_URL", conflicts_with = "command")]
    server: Option<String>,
    /// A key that goes, such as timeout or env.LEVEL. May be given several times.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    #[command(flatten)]
    keys: Keys,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Keys {
    fn document(
        self,
        server: Option<String>,
        screen: &mut Screen,
    ) -> anyhow::Result<Map<String, Value>> {
        let mut document = match &self.from {
            None => Map::new(),
            Some(path) => read(path, screen)?,
        };
        for pair in &self.set {
            let (key, value) =
                pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                    usage(format!("--set {pair:.60}: write it as KEY=VALUE, such as timeout=30s"))
                })?;
            // What is no JSON is a text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            put(&mut document, key, value);
        }
        for pair in &self.header {
            let (name, value) = pair.split_once(':').ok_or_else(|| {
                usage("--header: write it as 'NAME: VALUE', such as 'X-Region: eu'")
            })?;
            part(&mut document, "headers").insert(name.trim().to_owned(), json!(value.trim()));
        }
        for pair in &self.env {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| usage("--env: write it as NAME=VALUE, such as LEVEL=info"))?;
            part(&mut document, "env").insert(name.to_owned(), json!(value));
        }
        let command = (!self.command.is_empty()).then(|| json!(self.command));
        if command.is_some() {
            document.remove("args");
        }
        let given = [
            ("cwd", self.cwd.map(|cwd| json!(cwd))),
            ("url", server.map(|url| json!(url))),
            ("command", command),
        ];
        for (key, value) in given {
            document.extend(value.map(|value| (key.to_owned(), value)));
        }
        Ok(document)
    }
}

fn read(path: &PathBuf, screen: &mut Screen) -> anyhow::Result<Map<String, Value>> {
    let mut text = String::new();
    let named = if path.as_os_str() == "-" {
        (&mut screen.input).take(LONGEST).read_to_string(&mut text)?;
        "standard input".to_owned()
    } else {
        let file = std::fs::File::open(path)
            .with_context(|| format!("the file {} cannot be opened", path.display()))?;
        file.take(LONGEST).read_to_string(&mut text)?;
        format!("the file {}", path.display())
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(keys)) => Ok(keys),
        Ok(_) => bail!("{named} is no object with the keys of an upstream"),
        Err(error) => bail!(
            "{named} is no JSON at line {} column {}; it is an object with the keys of an upstream",
            error.line(),
            error.column()
        ),
    }
}

/// The part of a document that is an object, made where it is none.
fn part<'a>(document: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let part = document.entry(key).or_insert_with(|| json!({}));
    if !part.is_object() {
        *part = json!({});
    }
    part.as_object_mut().expect("it has just been made one")
}

/// Puts a value where a key with dots leads.
fn put(document: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(document.insert(key.to_owned(), value)),
        Some((first, rest)) => put(part(document, first), rest, value),
    }
}

fn path(name: &str, what: &str) -> anyhow::Result<String> {
    let name = Name::new(name)?;
    Ok(format!("/api/v1/upstreams/{name}{what}"))
}

/// Adds one.
pub(super) async fn add(reach: &Reach, screen: &mut Screen, args: AddArgs) -> anyhow::Result<()> {
    let AddArgs { name, server, disabled, keys, json } = args;
    let name = Name::new(&name)?;
    let mut document = keys.document(server, screen)?;
    if !document.contains_key("url") && !document.contains_key("command") {
        return Err(usage(format!(
            "what is `{name}`? Give its URL, or its program and arguments after --, as in \
             `mcp-proxy upstream add {name} -- npx -y PACKAGE`"
        )));
    }
    document.insert("name".to_owned(), json!(name.as_str()));
    if disabled {
        document.insert("enabled".to_owned(), json!(false));
    }
    let made = post(reach, None, "/api/v1/upstreams", Value::Object(document)).await?;
    tell(reach, screen, &made, "added", json)
}

/// Changes one.
pub(super) async fn change(
    reach: &Reach,
    screen: &mut Screen,
    args: ChangeArgs,
) -> anyhow::Result<()> {
    let ChangeArgs { name, server, unset, keys, json } = args;
    let mut document = keys.document(server, screen)?;
    for key in unset {
        put(&mut document, &key, Value::Null);
    }
    if document.is_empty() {
        return Err(usage(format!(
            "nothing is to be changed; say what, as in `mcp-proxy upstream change {name:.63} --set timeout=1m`"
        )));
    }
    let (path, body) = (path(&name, "")?, Some(Value::Object(document)));
    let made = reach.send(Method::PATCH, None, &path, body).await?;
    tell(reach, screen, &made, "changed", json)
}

/// Removes one.
pub(super) async fn remove(
    reach: &Reach,
    screen: &mut Screen,
    name: &str,
    yes: bool,
    json: bool,
) -> anyhow::Result<()> {
    if let Err(error) = reach.delete(None, &path(name, "")?, yes).await {
        if must_mean(&error) {
            bail!("{error}; add --yes to remove them too");
        }
        return Err(error);
    }
    if json {
        screen.json(&json!({ "name": name, "removed": true }))?;
    } else {
        screen.say(&format!("upstream {name} removed"))?;
    }
    Ok(())
}

/// Lets one run, or not.
pub(super) async fn turn(
    reach: &Reach,
    screen: &mut Screen,
    name: &str,
    on: bool,
    json: bool,
) -> anyhow::Result<()> {
    let (what, done) = if on { ("/enable", "enabled") } else { ("/disable", "disabled") };
    let made = post(reach, None, &path(name, what)?, json!({})).await?;
    tell(reach, screen, &made, done, json)
}

/// Lets one start anew.
pub(super) async fn restart(
    reach: &Reach,
    screen: &mut Screen,
    name: &str,
    tenant: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let path = path(name, "/restart")?;
    if !reach.is_running() {
        let what =
            "no proxy is running, so nothing of it runs either; start one with `mcp-proxy serve`";
        return Err(ReachError::Unreachable(what.to_owned()).into());
    }
    let tenant = match tenant {
        Some(tenant) => Some(whose::tenant(reach, tenant).await?),
        None => None,
    };
    post(reach, tenant.as_deref(), &path, json!({})).await?;
    if json {
        screen.json(&json!({ "name": name, "tenant": tenant, "restarted": true }))?;
    } else {
        let of = tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default();
        screen.say(&format!("upstream {name}{of} ends with its calls and starts anew"))?;
    }
    Ok(())
}

/// What has become of it.
fn tell(
    reach: &Reach,
    screen: &mut Screen,
    made: &Value,
    done: &str,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        screen.json(made)?;
        return Ok(());
    }
    for warning in made["warnings"].as_array().into_iter().flatten() {
        screen.note(&format!("warning: {}", cell(&warning["message"])))?;
    }
    let how = match made["standing"].as_str() {
        Some("runs") if reach.is_running() => "it runs".to_owned(),
        Some("runs") => "it runs when the proxy does".to_owned(),
        Some("disabled") => "it does not run".to_owned(),
        _ => format!("it does not run: {}", cell(&made["reason"])),
    };
    screen.say(&format!("upstream {} {done}; {how}", cell(&made["name"])))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_their_places() {
        let keys = Keys {
            header: vec!["X-Region: eu:1".to_owned()],
            env: vec!["A=b=c".to_owned()],
            cwd: Some("work".to_owned()),
            set: ["timeout=30s", "allow_private=true", "tools.deny=[\"rm\"]", "env.B=1"]
                .map(str::to_owned)
                .to_vec(),
            from: None,
            command: vec!["npx".to_owned(), "-y".to_owned()],
        };
        let document = keys.document(None, &mut Screen::standard()).unwrap();
        let wanted = json!({
            "headers": { "X-Region": "eu:1" }, "env": { "A": "b=c", "B": 1 }, "cwd": "work",
            "timeout": "30s", "allow_private": true, "tools": { "deny": ["rm"] },
            "command": ["npx", "-y"],
        });
        assert_eq!(Value::Object(document), wanted);
    }
}
