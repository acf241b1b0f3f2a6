//! `mcp-proxy secret …`: values go in and never come out.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;
use zeroize::Zeroizing;

use super::reach::Reach;
use super::refusal::is_unknown;
use super::screen::Screen;
use super::table::{Column, cell, list, moment_of};
use super::whose::{self, of};
use crate::base::{Name, Secret, Slot};

/// More than a value may have, so that a longer one is seen as too long.
const LIMIT: u64 = 70_000;

const COLUMNS: [Column; 6] = [
    ("TENANT", "/tenant", cell),
    ("UPSTREAM", "/upstream", cell),
    ("SECRET", "/slot", cell),
    ("GENERATION", "/generation", cell),
    ("SET", "/set_at", moment_of),
    ("ORIGIN", "/origin", cell),
];

/// Secrets: each tenant's own credentials for the upstreams.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Store a value, given by standard input, a file or an environment variable.
    #[command(
        after_help = "Examples:\n  mcp-proxy secret set --tenant acme gh token < token.txt\n  \
                      mcp-proxy secret set --tenant acme gh token --env GITHUB_TOKEN"
    )]
    Set(SetArgs),
    /// List the names of stored secrets; values are never shown.
    #[command(after_help = "Example: mcp-proxy secret list --tenant acme")]
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a value.
    #[command(after_help = "Example: mcp-proxy secret remove --tenant acme gh token")]
    Remove {
        /// Whose secret it is.
        #[arg(long)]
        tenant: String,
        /// The upstream that uses it.
        upstream: String,
        /// Its name there.
        slot: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `mcp-proxy secret set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Whose secret it is.
    #[arg(long)]
    tenant: String,
    /// The upstream that uses it.
    upstream: String,
    /// Its name there: the `token` of `{secret.token}`.
    slot: String,
    /// Read the value from standard input (what happens anyway when that is no terminal).
    #[arg(long, conflicts_with_all = ["file", "env"])]
    stdin: bool,
    /// Read the value from this file.
    #[arg(long, conflicts_with = "env")]
    file: Option<PathBuf>,
    /// Read the value from this environment variable.
    #[arg(long)]
    env: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    // Taken only to say why it is not taken.
    #[arg(hide = true, num_args = 0..)]
    value: Vec<OsString>,
}

impl SecretCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print, which never holds a value.
    pub async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Set(args) => set(reach, screen, args).await,
            Self::List { tenant, json } => {
                let all = whose::all(reach, tenant.as_deref(), "/api/v1/secrets").await?;
                let none = "There are no secrets; set one with `mcp-proxy secret set --tenant TENANT UPSTREAM SECRET`.";
                list(screen, &all, json, none, &COLUMNS)
            }
            Self::Remove { tenant, upstream, slot, json } => {
                let tenant = whose::tenant(reach, &tenant).await?;
                let (upstream, slot) = (Name::new(&upstream)?, Slot::new(&slot)?);
                let removed = reach.delete(Some(&tenant), &path(&upstream, &slot), false).await;
                if removed.as_ref().is_err_and(is_unknown) {
                    bail!(
                        "tenant `{tenant}` has no secret `{upstream} {slot}`; `mcp-proxy secret \
                         list --tenant {tenant}` shows what it has"
                    );
                }
                removed?;
                if json {
                    let (upstream, slot) = (upstream.as_str(), slot.as_str());
                    let gone = json!({ "upstream": upstream, "slot": slot, "removed": true });
                    screen.json(&of(&tenant, gone))?;
                } else {
                    screen.say(&format!("secret {upstream} {slot} of {tenant} removed"))?;
                }
                Ok(())
            }
        }
    }
}

fn path(upstream: &Name, slot: &Slot) -> String {
    format!("/api/v1/secrets/{upstream}/{slot}")
}

async fn set(reach: &Reach, screen: &mut Screen, args: SetArgs) -> anyhow::Result<()> {
    if !args.value.is_empty() {
        bail!(
            "a value on the command line is not taken: every user of this machine can see it there, \
             and the shell keeps it in its history; give it by standard input, --file or --env, \
             and treat the one just typed as known to others"
        );
    }
    let tenant = whose::tenant(reach, &args.tenant).await?;
    let (upstream, slot) = (Name::new(&args.upstream)?, Slot::new(&args.slot)?);
    let value = match (args.file, args.env) {
        (Some(path), _) => {
            let file = File::open(&path)
                .with_context(|| format!("the file {} cannot be opened", path.display()))?;
            read(file).with_context(|| format!("the file {}", path.display()))?
        }
        (None, Some(variable)) => match std::env::var(&variable) {
            Ok(value) => Secret::new(value),
            Err(std::env::VarError::NotPresent) => {
                bail!("the environment variable {variable} is not set")
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                bail!("the environment variable {variable} is not UTF-8")
            }
        },
        (None, None) if screen.input_is_terminal && !args.stdin => {
            bail!("the value is missing; give it by standard input (`… < file`), --file or --env")
        }
        (None, None) => read(&mut screen.input).context("standard input")?,
    };
    let body = json!({ "value": value.expose() });
    let path = path(&upstream, &slot);
    let set = reach.send(Method::PUT, Some(&tenant), &path, Some(body)).await?;
    if args.json {
        screen.json(&of(&tenant, set))?;
    } else {
        let generation = cell(&set["generation"]);
        let line = format!("secret {upstream} {slot} of {tenant} set (generation {generation})");
        screen.say(&line)?;
    }
    Ok(())
}

/// Reads a value; the line break that editors and `echo` put at its end is not part of it.
fn read(from: impl Read) -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4_096));
    from.take(LIMIT).read_to_end(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).ok().context("the value is not UTF-8")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}
