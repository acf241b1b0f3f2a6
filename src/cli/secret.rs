//! `mcp-proxy secret …`: values go in and never come out.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::open::{Opened, listed};
use super::screen::Screen;
use super::table::{Table, minute};
use crate::base::rfc3339;
use crate::base::{Name, Secret, Slot};
use crate::store::{SecretPlace, TenantRecord};

/// More than a value may have, so that a longer one is seen as too long.
const LIMIT: u64 = 70_000;

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
    pub async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Set(args) => set(opened, screen, args).await,
            Self::List { tenant, json } => list(opened, screen, tenant.as_deref(), json).await,
            Self::Remove { tenant, upstream, slot, json } => {
                let tenant = opened.tenant(&tenant).await?;
                let place =
                    SecretPlace { upstream: Name::new(&upstream)?, slot: Slot::new(&slot)? };
                refuse_declared(opened, &tenant, &place)?;
                if !opened.stores.secrets.remove(tenant.id, place.clone()).await? {
                    bail!(
                        "tenant `{}` has no secret `{place}`; `mcp-proxy secret list --tenant {}` \
                         shows what it has",
                        tenant.name,
                        tenant.name
                    );
                }
                if json {
                    screen.json(&shown(&tenant, &place, &json!({ "removed": true })))?;
                } else {
                    screen.say(&format!("secret {place} of {} removed", tenant.name))?;
                }
                Ok(())
            }
        }
    }
}

async fn set(opened: &Opened, screen: &mut Screen, args: SetArgs) -> anyhow::Result<()> {
    if !args.value.is_empty() {
        bail!(
            "a value on the command line is not taken: every user of this machine can see it there, \
             and the shell keeps it in its history; give it by standard input, --file or --env, \
             and treat the one just typed as known to others"
        );
    }
    let tenant = opened.tenant(&args.tenant).await?;
    let place = known_place(opened, &args.upstream, &args.slot)?;
    refuse_declared(opened, &tenant, &place)?;
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
    let generation = opened.vault.set(tenant.id, place.clone(), value).await?;
    if args.json {
        screen.json(&shown(&tenant, &place, &json!({ "generation": generation })))?;
    } else {
        screen.say(&format!("secret {place} of {} set (generation {generation})", tenant.name))?;
    }
    Ok(())
}

/// What programs read of a change.
fn shown(
    tenant: &TenantRecord,
    place: &SecretPlace,
    change: &serde_json::Value,
) -> serde_json::Value {
    let mut value = json!({
        "tenant": tenant.name.as_str(), "upstream": place.upstream.as_str(), "secret": place.slot.as_str(),
    });
    for (name, change) in change.as_object().into_iter().flatten() {
        value[name] = change.clone();
    }
    value
}

/// Reads a value; the line break that editors and `echo` put at its end is not part of it.
fn read(from: impl Read) -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4_096));
    from.take(LIMIT).read_to_end(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).ok().context("the value is not UTF-8")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// A slot that the file knows: a typing error would leave the upstream waiting for ever.
fn known_place(opened: &Opened, upstream: &str, slot: &str) -> anyhow::Result<SecretPlace> {
    let place = SecretPlace { upstream: Name::new(upstream)?, slot: Slot::new(slot)? };
    let Some(entry) = opened.config.upstreams.get(&place.upstream) else {
        let known = listed(opened.config.upstreams.keys().map(Name::as_str));
        bail!("the file has no upstream `{upstream}` ({known})");
    };
    if !entry.slots.contains(&place.slot) {
        let known = listed(entry.slots.iter().map(Slot::as_str));
        bail!("the upstream `{upstream}` uses no secret `{slot}` ({known})");
    }
    Ok(place)
}

fn refuse_declared(
    opened: &Opened,
    tenant: &TenantRecord,
    place: &SecretPlace,
) -> anyhow::Result<()> {
    let declared = opened.config.tenants.get(&tenant.name).is_some_and(|found| {
        found.secrets.contains_key(&(place.upstream.clone(), place.slot.clone()))
    });
    if declared {
        bail!("the secret `{place}` of `{}` is declared in the file; change it there", tenant.name);
    }
    Ok(())
}

async fn list(
    opened: &Opened,
    screen: &mut Screen,
    only: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let mut values = Vec::new();
    let mut table = Table::new(&["TENANT", "UPSTREAM", "SECRET", "GENERATION", "SET", "ORIGIN"]);
    let dash = || "-".to_owned();
    for tenant in opened.tenants(only).await? {
        let declared = opened.config.tenants.get(&tenant.name).map(|found| &found.secrets);
        for (upstream, slot) in declared.into_iter().flat_map(|secrets| secrets.keys()) {
            values.push(json!({
                "tenant": tenant.name.as_str(), "upstream": upstream.as_str(),
                "secret": slot.as_str(), "origin": "file",
            }));
            let (tenant, upstream) = (tenant.name.to_string(), upstream.to_string());
            table.row(vec![tenant, upstream, slot.to_string(), dash(), dash(), "file".to_owned()]);
        }
        for info in opened.stores.secrets.list(tenant.id).await? {
            values.push(json!({
                "tenant": tenant.name.as_str(), "upstream": info.place.upstream.as_str(),
                "secret": info.place.slot.as_str(), "origin": "store",
                "generation": info.generation, "set_at": rfc3339(info.set_at),
            }));
            table.row(vec![
                tenant.name.to_string(),
                info.place.upstream.to_string(),
                info.place.slot.to_string(),
                info.generation.to_string(),
                minute(info.set_at),
                "store".to_owned(),
            ]);
        }
    }
    if json {
        screen.json(&json!(values))?;
    } else if values.is_empty() {
        screen.note(
            "There are no secrets; set one with `mcp-proxy secret set --tenant TENANT UPSTREAM SECRET`.",
        )?;
    } else {
        screen.say(&table.render())?;
    }
    Ok(())
}
