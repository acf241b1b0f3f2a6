//! `mcp-proxy key …`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::open::{Opened, seconds};
use super::screen::Screen;
use super::table::{Table, minute};
use crate::auth::{NewKey, issue};
use crate::base::rfc3339;
use crate::base::{KeyId, Role, Scopes, Secret, unix_seconds};
use crate::store::{FoundKey, KeyRecord, Owner, TenantRecord};

/// Keys: what a client shows to be let in.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it. It is shown only now.
    #[command(
        visible_alias = "add",
        after_help = "Examples:\n  mcp-proxy key create --tenant acme --name laptop --expires 90d\n  \
                      mcp-proxy key create --tenant acme --name boss --role admin\n  \
                      mcp-proxy key create --tenant acme --name bot --scope support --scope 'gh__get_*'\n  \
                      mcp-proxy key create --operator --name ops"
    )]
    Create {
        /// Whose key it is.
        #[arg(long, required_unless_present = "operator", conflicts_with = "operator")]
        tenant: Option<String>,
        /// A key of the operator: it decides about tenants, and acts for one when it names one.
        #[arg(long)]
        operator: bool,
        /// What it may decide: admin (its tenant) or member (its own keys) [default: member].
        #[arg(long, conflicts_with = "operator", value_name = "ROLE")]
        role: Option<String>,
        /// What it may use: a profile, or tools as UPSTREAM__NAME with * for any characters;
        /// everything without this. May be given several times.
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
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
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl KeyCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Create { tenant, operator: _, role, scope, name, expires, json } => {
                let tenant = match tenant {
                    Some(tenant) => Some(opened.tenant(&tenant).await?),
                    None => None,
                };
                let role = match (&tenant, role) {
                    (None, _) => Role::Operator,
                    (Some(_), Some(role)) => role.parse()?,
                    (Some(_), None) => Role::Member,
                };
                if tenant.is_some() && role == Role::Operator {
                    bail!("keys of the operator belong to no tenant; write --operator alone");
                }
                let wanted = NewKey {
                    owner: tenant.as_ref().map_or(Owner::Operator, |tenant| tenant.id.into()),
                    name: &name,
                    role,
                    scopes: Scopes::read(scope.iter().map(String::as_str))?,
                    expires_at: expiry(expires.as_deref())?,
                    created_by: None,
                    holder: None,
                };
                let (record, text) = issue(&opened.ring, wanted)?;
                opened.stores.keys.insert(record.owner, record.clone()).await?;
                print(screen, tenant.as_ref(), &record, &text, json)
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
                let FoundKey { key: old, tenant } = found;
                let wanted = NewKey {
                    owner: old.owner,
                    name: &old.name,
                    role: old.role,
                    scopes: old.scopes,
                    expires_at,
                    created_by: None,
                    holder: Some(old.holder),
                };
                let (record, text) = issue(&opened.ring, wanted)?;
                let ends_at = now.saturating_add(grace);
                opened.stores.keys.rotate(old.owner, old.id, ends_at, record.clone()).await?;
                screen.note(&format!("{id} works until {} (UTC).", minute(ends_at)))?;
                print(screen, tenant.as_ref(), &record, &text, json)
            }
            Self::Revoke { id, json } => {
                let FoundKey { key, tenant } = find(opened, &id).await?;
                let now = unix_seconds();
                if !opened.stores.keys.revoke(key.owner, key.id, now).await? {
                    bail!("the key `{id}` was revoked before");
                }
                let of = of(tenant.as_ref());
                if json {
                    screen.json(&json!({ "id": id, "tenant": of, "revoked_at": rfc3339(now) }))?;
                } else {
                    screen.say(&format!("key {id} of {of} revoked"))?;
                }
                Ok(())
            }
        }
    }
}

/// How the owner of a key is called.
fn of(tenant: Option<&TenantRecord>) -> &str {
    tenant.map_or("the operator", |tenant| tenant.name.as_str())
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
    for tenant in opened.config.tenants.keys().map(Some).chain([None]) {
        for (key, declared) in opened.declared_keys(tenant) {
            if declared == Some(id) {
                let (file, line) = (&opened.config.file, key.line);
                bail!("the key `{id}` is `{}` of the file; change it at {file}:{line}", key.name);
            }
        }
    }
    bail!("there is no key `{id}`; `mcp-proxy key list` shows all")
}

fn print(
    screen: &mut Screen,
    tenant: Option<&TenantRecord>,
    record: &KeyRecord,
    text: &Secret,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        screen.json(&json!({
            "id": record.id.as_str(),
            "tenant": tenant.map(|tenant| tenant.name.as_str()),
            "name": record.name,
            "role": record.role.as_str(),
            "scopes": scopes(&record.scopes),
            "key": text.expose(),
            "expires_at": record.expires_at.map(rfc3339),
        }))?;
        return Ok(());
    }
    let until = record.expires_at.map_or_else(|| "never".to_owned(), minute);
    screen.note(&format!(
        "Key {} `{}` of {}, {}, expires {until}.",
        record.id,
        record.name,
        of(tenant),
        record.role
    ))?;
    screen.note("It is shown only now; keep it as you keep a password:")?;
    screen.say(text.expose())?;
    Ok(())
}

fn scopes(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
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
    let headings = [
        "ID",
        "TENANT",
        "NAME",
        "ROLE",
        "SCOPES",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "ORIGIN",
    ];
    let mut table = Table::new(&headings);
    let mut owners: Vec<Option<TenantRecord>> =
        opened.tenants(only).await?.into_iter().map(Some).collect();
    if only.is_none() {
        owners.push(None);
    }
    for tenant in owners {
        let name = tenant.as_ref().map(|tenant| tenant.name.as_str());
        for (key, id) in opened.declared_keys(tenant.as_ref().map(|tenant| &tenant.name)) {
            let state = if id.is_some() { "live" } else { "value missing" };
            let id = id.map(|id| id.to_string());
            values.push(json!({
                "id": id, "tenant": name, "name": key.name, "role": key.role.as_str(),
                "scopes": scopes(&key.scopes), "state": state, "origin": "file",
            }));
            table.row(row(id, name, &key.name, key.role, &key.scopes, state, [None; 3], "file"));
        }
        let owner = tenant.as_ref().map_or(Owner::Operator, |tenant| tenant.id.into());
        for key in opened.stores.keys.list(owner).await? {
            let state = state(&key, now);
            values.push(json!({
                "id": key.id.as_str(), "tenant": name, "name": key.name,
                "role": key.role.as_str(), "scopes": scopes(&key.scopes),
                "state": state, "origin": "store",
                "created_at": rfc3339(key.created_at),
                "created_by": key.created_by.map(|id| id.to_string()),
                "expires_at": key.expires_at.map(rfc3339),
                "revoked_at": key.revoked_at.map(rfc3339),
                "last_used_at": key.last_used_at.map(rfc3339),
            }));
            let times = [Some(key.created_at), key.expires_at, key.last_used_at];
            let id = Some(key.id.to_string());
            table.row(row(id, name, &key.name, key.role, &key.scopes, state, times, "store"));
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

#[expect(clippy::too_many_arguments, reason = "one for each column")]
fn row(
    id: Option<String>,
    tenant: Option<&str>,
    name: &str,
    role: Role,
    scopes: &Scopes,
    state: &str,
    times: [Option<u64>; 3],
    origin: &str,
) -> Vec<String> {
    let dash = || "-".to_owned();
    let scopes = if scopes.is_everything() { dash() } else { scopes.to_string() };
    let tenant = tenant.map_or_else(dash, str::to_owned);
    let [created, expires, used] = times.map(|time| time.map_or_else(dash, minute));
    let (name, state, origin) = (name.to_owned(), state.to_owned(), origin.to_owned());
    let id = id.unwrap_or_else(dash);
    vec![id, tenant, name, role.to_string(), scopes, state, created, expires, used, origin]
}
