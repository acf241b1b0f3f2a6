//! `mcp-proxy explain`

use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::command::{FILE, read_config};
use super::reach::Reach;
use super::refusal::{is_key, is_unknown};
use super::screen::Screen;
use super::table::{Table, cell};
use crate::app::{self, Explained, Foundation, Subject};
use crate::base::{KeyId, Secret, Tasks};
use crate::config::{self, SecretSource};
use crate::upstream::stdio::Launcher;

/// Longest key that is read.
const LONGEST: u64 = 4_096;

/// Say why a key can or cannot call a tool: which rule, which credential, which upstream.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: mcp-proxy explain Kq3v9XbT2a gh__create_issue --profile support\n\n\
                  The running proxy is asked, or the file and its store when none runs. Upstreams are \
                  started and listed as for a client, unless --no-ask."
)]
pub(super) struct ExplainCommand {
    /// A key's id as `key list` shows it, the key itself, or - for the key on standard input.
    key: String,
    /// The tool, by the name that clients of the door see.
    tool: String,
    /// At the door of this profile.
    #[arg(long, value_name = "NAME", conflicts_with = "upstream")]
    profile: Option<String>,
    /// At the door of this upstream.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Start no upstream; tell what can be told without.
    #[arg(long)]
    no_ask: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ExplainCommand {
    /// Finds out and prints.
    pub(super) fn run(self, given: Option<&Path>, screen: &mut Screen) -> anyhow::Result<()> {
        let (config, _, _) = read_config(given)?;
        let file = given.unwrap_or(Path::new(FILE)).display().to_string();
        let store = config.store.path.display();
        writeln!(screen.notes, "working on the file {file} and the store {store}")?;
        let subject = self.subject(screen)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let explained = runtime.block_on(async {
            let tasks = Tasks::default();
            let resolve =
                |source: &SecretSource| config::resolve(source).map_err(|error| error.to_string());
            let foundation = Foundation::open(&config, &tasks).await?;
            let launcher = Launcher::new(super::serve::own_program()?, std::env::vars_os());
            let about = (&*self.door(), &*self.tool);
            let ask = !self.no_ask;
            let config = Arc::new(config);
            let explained = Box::pin(app::explain(
                config,
                &foundation,
                &resolve,
                launcher,
                &tasks,
                subject,
                about,
                ask,
            ));
            anyhow::Ok(explained.await?)
        })?;
        self.print(screen, &shown(&explained), &file)
    }

    /// Asks a running proxy, which knows how its upstreams stand, and prints.
    pub(super) async fn ask(&self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        let found = match self.subject(screen)? {
            Subject::Key(key) => self.ask_as(reach, &key).await?,
            Subject::Id(id) => self.ask_about(reach, id).await?,
        };
        let file = cell(&reach.health()["file"]);
        self.print(screen, &found, if file == "-" { FILE } else { &file })
    }

    /// With the key itself, which may ask about itself.
    async fn ask_as(&self, reach: &Reach, key: &Secret) -> anyhow::Result<Value> {
        let me = match reach.get_as(key, "/api/v1/me").await {
            Ok(me) => me,
            Err(error) if is_key(&error) => {
                return Ok(no_chain(&json!({}), "the key opens nothing"));
            }
            Err(error) => return Err(error),
        };
        if me["tenant"].is_null() {
            return Ok(no_chain(&json!({ "id": me["key"], "name": me["name"] }), OPERATORS));
        }
        reach.get_as(key, &self.path(None)).await
    }

    /// About the key of an id.
    async fn ask_about(&self, reach: &Reach, id: KeyId) -> anyhow::Result<Value> {
        let key = match reach.get(None, &format!("/api/v1/keys/{id}")).await {
            Ok(key) => key,
            Err(error) if is_unknown(&error) => {
                let state = "there is no such key; `mcp-proxy key list` shows all";
                return Ok(no_chain(&json!({ "id": id.as_str() }), state));
            }
            Err(error) => return Err(error),
        };
        let Some(tenant) = key["tenant"].as_str() else { return Ok(no_chain(&key, OPERATORS)) };
        let tenant = reach.is_operator().then_some(tenant);
        reach.get(tenant, &self.path(Some(id))).await
    }

    fn path(&self, key: Option<KeyId>) -> String {
        let text = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let key = key.map(|id| format!("&key={id}")).unwrap_or_default();
        let (tool, door, ask) = (text(&self.tool), text(&self.door()), !self.no_ask);
        format!("/api/v1/explain?tool={tool}&door={door}&ask={ask}{key}")
    }

    fn print(&self, screen: &mut Screen, found: &Value, file: &str) -> anyhow::Result<()> {
        if self.json {
            screen.json(found)?;
            return Ok(());
        }
        print(screen, found, file)
    }

    fn subject(&self, screen: &mut Screen) -> anyhow::Result<Subject> {
        if self.key == "-" {
            let mut text = String::new();
            (&mut screen.input).take(LONGEST).read_to_string(&mut text)?;
            let key = text.trim();
            if key.is_empty() {
                bail!("standard input is empty; write the key to it");
            }
            return Ok(Subject::Key(Secret::new(key.to_owned())));
        }
        Ok(match self.key.parse::<KeyId>() {
            Ok(id) => Subject::Id(id),
            Err(_) => Subject::Key(Secret::new(self.key.clone())),
        })
    }

    /// The path of the door that is meant.
    fn door(&self) -> String {
        match (&self.profile, &self.upstream) {
            (Some(name), _) => format!("/p/{name}/mcp"),
            (None, Some(name)) => format!("/mcp/{name}"),
            (None, None) => "/mcp".to_owned(),
        }
    }
}

/// A key of the operator calls tools in the name of a tenant only.
const OPERATORS: &str = "it is the operator's, and sees what the tenant in X-Tenant sees";

/// What is known of a key of which nothing can be explained.
fn no_chain(key: &Value, state: &str) -> Value {
    json!({ "key": { "id": key["id"], "name": key["name"], "state": state }, "chain": null })
}

/// As the API shows it.
fn shown(explained: &Explained) -> Value {
    json!({
        "key": {
            "id": explained.key.map(|id| id.to_string()),
            "name": explained.key_name,
            "state": explained.key_state,
        },
        "chain": explained.chain,
    })
}

fn print(screen: &mut Screen, found: &Value, file: &str) -> anyhow::Result<()> {
    let mut table = Table::new(&["STEP", "FOUND"]);
    let mut row = |step: &str, found: String| table.row(vec![step.to_owned(), found]);
    let (key, chain) = (&found["key"], &found["chain"]);
    let state = cell(&key["state"]);
    let key = match (key["id"].as_str(), key["name"].as_str()) {
        (Some(id), Some(name)) => format!("{id} `{name}`, {state}"),
        (Some(id), None) => format!("{id}, {state}"),
        _ => state,
    };
    if chain.is_object() {
        row("tenant", cell(&chain["tenant"]));
        row("key", key);
        row("door", cell(&chain["door"]));
        row("tool", cell(&chain["tool"]));
        row("upstream", cell(&chain["upstream"]));
        row("its own name", cell(&chain["original"]));
        let place = match (chain["line"].as_u64(), chain["origin"].as_str()) {
            (Some(line), _) => format!(" ({file}:{line})"),
            (None, Some("store")) => " (made over the API)".to_owned(),
            (None, _) => String::new(),
        };
        row("rule", cell(&chain["rule"]) + &place);
        let list =
            |names: Vec<String>| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        let cells =
            |value: &Value| list(value.as_array().into_iter().flatten().map(cell).collect());
        row("filled in", cells(&chain["filled_in"]));
        row("refused", cells(&chain["refused"]));
        row("its state", cell(&chain["upstream_state"]));
        let slots = chain["slots"].as_array().into_iter().flatten().map(|slot| {
            let set = if slot["set"] == true { "set" } else { "missing" };
            format!("{}: {set}", cell(&slot["slot"]))
        });
        row("secrets", list(slots.collect()));
        let yes = |value: &Value| if value == true { "yes" } else { "no" }.to_owned();
        row("visible", yes(&chain["visible"]));
        row("callable", yes(&chain["callable"]));
        row("because", cell(&chain["because"]));
    } else {
        row("key", key);
        row("callable", "no".to_owned());
    }
    screen.say(&table.render())?;
    Ok(())
}
