//! `mcp-proxy key …`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::open::{Opened, seconds};
use super::screen::Screen;
use super::table::{Table, minute};
use crate::auth::issue;
use crate::base::rfc3339;
use crate::base::{KeyId, Name, Secret, unix_seconds};
use crate::store::{FoundKey, KeyRecord};

/// Keys: what a client shows to be let in.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it. It is shown only now.
    #[command(
        visible_alias = "add",
        after_help = "Example: mcp-proxy key create --tenant acme --name laptop --expires 90d"
    )]
    Create {
        /// Whose key it is.
        #[arg(long)]
        tenant: String,
        /// What you call it: who or what uses it.
        #[arg(long)]
        name: String,
        /// When it stops to work, such as 12h or 90d from now; never without this.
        #[arg(long)]
        expires: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List keys. No text of a key is ever shown again.
    #[command(after_help = "Example: mcp-proxy key list --tenant acme")]
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key that takes the place of another, which works on for a while.
    #[command(after_help = "Example: mcp-proxy key rotate Kq3v9XbT2a --grace 1h")]
    Rotate {
        /// The id of the old one, as `key list` shows it.
        id: String,
        /// How long the old one works on, such as 0s or 7d.
        #[arg(long, default_value = "1h")]
        grace: String,
        /// When the new one stops to work; without this as long after now as the old one lived.
        #[arg(long)]
        expires: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a key now: its next request and its open streams.
    #[command(after_help = "Example: mcp-proxy key revoke Kq3v9XbT2a")]
    Revoke {
        /// Its id, as `key list` shows it.
        id: String,
    },
}

impl KeyCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Create { tenant, name, expires, json } => {
                let tenant = opened.tenant(&tenant).await?;
                let expires_at = expiry(expires.as_deref())?;
                let (record, text) = issue(&opened.ring, tenant.id, &name, expires_at)?;
                opened.stores.keys.insert(tenant.id, record.clone()).await?;
                print(screen, &tenant.name, &record, &text, json)
            }
            Self::List { tenant, json } => list(opened, screen, tenant.as_deref(), json).await,
            Self::Rotate { id, grace, expires, json } => {
                let found = find(opened, &id).await?;
                let (now, grace) = (unix_seconds(), seconds(&grace)?);
                let lifetime = found.key.expires_at.map(|end| end - found.key.created_at.min(end));
                let expires_at = match expiry(expires.as_deref())? {
                    Some(at) => Some(at),
                    None => lifetime.map(|lifetime| now.saturating_add(lifetime)),
                };
                let tenant = found.tenant;
                let (record, text) = issue(&opened.ring, tenant.id, &found.key.name, expires_at)?;
                let ends_at = now.saturating_add(grace);
                let keys = &opened.stores.keys;
                keys.rotate(tenant.id, found.key.id, ends_at, record.clone()).await?;
                screen.note(&format!("{id} works until {} (UTC).", minute(ends_at)))?;
                print(screen, &tenant.name, &record, &text, json)
            }
            Self::Revoke { id } => {
                let FoundKey { key, tenant } = find(opened, &id).await?;
                if !opened.stores.keys.revoke(tenant.id, key.id, unix_seconds()).await? {
                    bail!("the key `{id}` was revoked before");
                }
                screen.say(&format!("key {id} of {} revoked", tenant.name))?;
                Ok(())
            }
        }
    }
}

fn expiry(text: Option<&str>) -> anyhow::Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    let seconds = seconds(text)?;
    if seconds == 0 {
        bail!("--expires {text}: the key would be expired at once; give a longer time");
    }
    Ok(Some(unix_seconds().saturating_add(seconds)))
}

/// A key of the store by its id; keys of the file are named as such.
async fn find(opened: &Opened, id: &str) -> anyhow::Result<FoundKey> {
    let id: KeyId = id.parse().with_context(|| {
        format!("`{id}` is no key id; `mcp-proxy key list` shows them (never give the key itself)")
    })?;
    if let Some(found) = opened.stores.keys.find(vec![id]).await?.pop() {
        return Ok(found);
    }
    for tenant in opened.config.tenants.keys() {
        for (name, declared) in opened.declared_keys(tenant) {
            if declared == Some(id) {
                bail!("the key `{id}` is `{name}` of `{tenant}` in the file; change it there");
            }
        }
    }
    bail!("there is no key `{id}`; `mcp-proxy key list` shows all")
}

fn print(
    screen: &mut Screen,
    tenant: &Name,
    record: &KeyRecord,
    text: &Secret,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        screen.json(&json!({
            "id": record.id.as_str(),
            "tenant": tenant.as_str(),
            "name": record.name,
            "key": text.expose(),
            "expires_at": record.expires_at.map(rfc3339),
        }))?;
        return Ok(());
    }
    let until = record.expires_at.map_or_else(|| "never".to_owned(), minute);
    screen.note(&format!("Key {} `{}` of {tenant}, expires {until}.", record.id, record.name))?;
    screen.note("It is shown only now; keep it as you keep a password:")?;
    screen.say(text.expose())?;
    Ok(())
}

fn state(key: &KeyRecord, now: u64) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "live"
    }
}

async fn list(
    opened: &Opened,
    screen: &mut Screen,
    only: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let now = unix_seconds();
    let mut values = Vec::new();
    let headings = ["ID", "TENANT", "NAME", "STATE", "CREATED", "EXPIRES", "LAST USED", "ORIGIN"];
    let mut table = Table::new(&headings);
    let dash = || "-".to_owned();
    for tenant in opened.tenants(only).await? {
        for (name, id) in opened.declared_keys(&tenant.name) {
            let state = if id.is_some() { "live" } else { "value missing" };
            values.push(json!({
                "id": id.map(|id| id.to_string()), "tenant": tenant.name.as_str(), "name": name,
                "state": state, "origin": "file",
            }));
            let id = id.map_or_else(dash, |id| id.to_string());
            let tenant = tenant.name.to_string();
            let file = "file".to_owned();
            table.row(vec![id, tenant, name, state.to_owned(), dash(), dash(), dash(), file]);
        }
        for key in opened.stores.keys.list(tenant.id).await? {
            let state = state(&key, now);
            values.push(json!({
                "id": key.id.as_str(), "tenant": tenant.name.as_str(), "name": key.name,
                "state": state, "origin": "store",
                "created_at": rfc3339(key.created_at),
                "expires_at": key.expires_at.map(rfc3339),
                "revoked_at": key.revoked_at.map(rfc3339),
                "last_used_at": key.last_used_at.map(rfc3339),
            }));
            table.row(vec![
                key.id.to_string(),
                tenant.name.to_string(),
                key.name,
                state.to_owned(),
                minute(key.created_at),
                key.expires_at.map_or_else(dash, minute),
                key.last_used_at.map_or_else(dash, minute),
                "store".to_owned(),
            ]);
        }
    }
    if json {
        screen.json(&json!(values))?;
    } else if values.is_empty() {
        screen.note(
            "There are no keys; make one with `mcp-proxy key create --tenant TENANT --name NAME`.",
        )?;
    } else {
        screen.say(&table.render())?;
    }
    Ok(())
}
