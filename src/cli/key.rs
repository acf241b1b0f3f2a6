//! `mcp-proxy key …`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::open::seconds;
use super::reach::Reach;
use super::refusal::is_unknown;
use super::screen::Screen;
use super::table::{Column, cell, list, minute, moment_of};
use super::whose::{self, post};
use crate::base::{KeyId, unix_seconds};

const COLUMNS: [Column; 10] = [
    ("ID", "/id", cell),
    ("TENANT", "/tenant", cell),
    ("NAME", "/name", cell),
    ("ROLE", "/role", cell),
    ("SCOPES", "/scopes", cell),
    ("STATE", "/state", cell),
    ("CREATED", "/created_at", moment_of),
    ("EXPIRES", "/expires_at", moment_of),
    ("LAST USED", "/last_used_at", moment_of),
    ("ORIGIN", "/origin", cell),
];

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
    pub async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Create { tenant, operator: _, role, scope, name, expires, json } => {
                let tenant = match tenant {
                    Some(tenant) => Some(whose::tenant(reach, &tenant).await?),
                    None => None,
                };
                if tenant.is_none() && !reach.is_operator() {
                    bail!(
                        "a key of the operator is made with another one; this key is of a tenant"
                    );
                }
                if tenant.is_some() && role.as_deref() == Some("operator") {
                    bail!("keys of the operator belong to no tenant; write --operator alone");
                }
                check_expiry(expires.as_deref())?;
                let wanted = members([
                    ("name", Some(json!(name))),
                    ("role", role.map(|role| json!(role))),
                    ("scopes", Some(json!(scope))),
                    ("expires_in", expires.map(|expires| json!(expires))),
                ]);
                let made = post(reach, tenant.as_deref(), "/api/v1/keys", wanted).await?;
                print(screen, &made, json)
            }
            Self::List { tenant, json } => {
                let only = tenant.as_deref();
                let mut keys = whose::all(reach, only, "/api/v1/keys").await?;
                if only.is_none() && reach.is_operator() {
                    keys.extend(reach.all(None, "/api/v1/keys").await?);
                }
                let none = "There are no keys; make one with `mcp-proxy key create --tenant TENANT --name NAME`.";
                list(screen, &keys, json, none, &COLUMNS)
            }
            Self::Rotate { id, grace, expires, json } => {
                let old = find(reach, &id).await?;
                let ends_at = unix_seconds().saturating_add(seconds(&grace)?);
                check_expiry(expires.as_deref())?;
                let wanted = members([
                    ("grace", Some(json!(grace))),
                    ("expires_in", expires.map(|expires| json!(expires))),
                ]);
                let path = format!("/api/v1/keys/{id}/rotate");
                let made = post(reach, old["tenant"].as_str(), &path, wanted).await?;
                screen.note(&format!("{id} works until {} (UTC).", minute(ends_at)))?;
                print(screen, &made, json)
            }
            Self::Revoke { id, json } => {
                let key = find(reach, &id).await?;
                if key["state"] == "revoked" {
                    bail!("the key `{id}` was revoked before");
                }
                let tenant = key["tenant"].as_str();
                reach.delete(tenant, &format!("/api/v1/keys/{id}"), false).await?;
                if json {
                    screen.json(&reach.get(tenant, &format!("/api/v1/keys/{id}")).await?)?;
                } else {
                    screen.say(&format!("key {id} of {} revoked", of(&key)))?;
                }
                Ok(())
            }
        }
    }
}

/// The members of a body that there are.
fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

/// How the owner of a key is called.
fn of(key: &Value) -> &str {
    key["tenant"].as_str().unwrap_or("the operator")
}

/// Judged here, since the flag has another name than the member of the body.
fn check_expiry(text: Option<&str>) -> anyhow::Result<()> {
    let Some(text) = text else { return Ok(()) };
    if seconds(text)? == 0 {
        bail!("--expires {text}: the key would be expired at once; give a longer time");
    }
    Ok(())
}

/// A key of the store by its id; keys of the file are named as such.
async fn find(reach: &Reach, id: &str) -> anyhow::Result<Value> {
    let id: KeyId = id.parse().with_context(|| {
        format!("`{id}` is no key id; `mcp-proxy key list` shows them (never give the key itself)")
    })?;
    let key = match reach.get(None, &format!("/api/v1/keys/{id}")).await {
        Ok(key) => key,
        Err(error) if is_unknown(&error) => {
            bail!("there is no key `{id}`; `mcp-proxy key list` shows all")
        }
        Err(error) => return Err(error),
    };
    if key["origin"] == "file" {
        let (name, place) = (cell(&key["name"]), cell(&key["declared_at"]));
        bail!("the key `{id}` is `{name}` of the file; change it at {place}");
    }
    Ok(key)
}

fn print(screen: &mut Screen, key: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        screen.json(key)?;
        return Ok(());
    }
    let until = match &key["expires_at"] {
        Value::Null => "never".to_owned(),
        time => moment_of(time),
    };
    screen.note(&format!(
        "Key {} `{}` of {}, {}, expires {until}.",
        cell(&key["id"]),
        cell(&key["name"]),
        of(key),
        cell(&key["role"])
    ))?;
    screen.note("It is shown only now; keep it as you keep a password:")?;
    screen.say(key["key"].as_str().context("the proxy did not show the new key; revoke it")?)?;
    Ok(())
}
