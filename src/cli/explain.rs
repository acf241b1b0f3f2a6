//! `mcp-proxy explain`

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::command::{FILE, read_config};
use super::screen::Screen;
use super::table::Table;
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
                  Upstreams are started and listed as for a client, unless --no-ask."
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
        if self.json { print_json(screen, &explained) } else { print(screen, &explained, &file) }
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

fn print_json(screen: &mut Screen, explained: &Explained) -> anyhow::Result<()> {
    screen.json(&json!({
        "key": {
            "id": explained.key.map(|id| id.to_string()),
            "name": explained.key_name,
            "state": explained.key_state,
        },
        "chain": explained.chain,
    }))?;
    Ok(())
}

fn print(screen: &mut Screen, explained: &Explained, file: &str) -> anyhow::Result<()> {
    let mut table = Table::new(&["STEP", "FOUND"]);
    let mut row = |step: &str, found: String| table.row(vec![step.to_owned(), found]);
    let key = match (&explained.key, &explained.key_name) {
        (Some(id), Some(name)) => format!("{id} `{name}`, {}", explained.key_state),
        (Some(id), None) => format!("{id}, {}", explained.key_state),
        _ => explained.key_state.clone(),
    };
    if let Some(chain) = &explained.chain {
        row("tenant", chain.tenant.clone());
        row("key", key);
        row("door", chain.door.clone());
        row("tool", chain.tool.clone());
        let none = || "-".to_owned();
        row("upstream", chain.upstream.clone().unwrap_or_else(none));
        row("its own name", chain.original.clone().unwrap_or_else(none));
        let place = match (chain.line, chain.origin) {
            (Some(line), _) => format!(" ({file}:{line})"),
            (None, Some("store")) => " (made over the API)".to_owned(),
            (None, _) => String::new(),
        };
        row("rule", chain.rule.as_ref().map_or_else(none, |rule| format!("{rule}{place}")));
        let list = |names: &[String]| if names.is_empty() { none() } else { names.join(", ") };
        row("filled in", list(&chain.filled_in));
        row("refused", list(&chain.refused));
        row("its state", chain.upstream_state.clone().unwrap_or_else(none));
        let slots = chain
            .slots
            .iter()
            .map(|slot| format!("{}: {}", slot.slot, if slot.set { "set" } else { "missing" }));
        row("secrets", list(&slots.collect::<Vec<_>>()));
        row("visible", if chain.visible { "yes" } else { "no" }.to_owned());
        row("callable", if chain.callable { "yes" } else { "no" }.to_owned());
        row("because", chain.because.clone());
    } else {
        row("key", key);
        row("callable", "no".to_owned());
    }
    screen.say(&table.render())?;
    Ok(())
}
