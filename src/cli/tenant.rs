//! `mcp-proxy tenant …`

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::reach::Reach;
use super::refusal::{is_unknown, must_mean};
use super::screen::Screen;
use super::table::{Table, cell, moment_of};
use super::whose::{self, post};
use crate::base::Name;

/// Tenants: who is kept apart from whom.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Add a tenant.
    #[command(visible_alias = "add", after_help = "Example: mcp-proxy tenant create acme")]
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and -.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List all tenants.
    #[command(after_help = "Example: mcp-proxy tenant list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one tenant with the number of its keys and secrets.
    #[command(after_help = "Example: mcp-proxy tenant show acme")]
    Show {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a tenant with its keys and secrets, for ever.
    #[command(after_help = "Example: mcp-proxy tenant remove acme --yes")]
    Remove {
        /// Its name.
        name: String,
        /// Remove it although it has keys or secrets.
        #[arg(long)]
        yes: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl TenantCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Create { name, json } => create(reach, screen, &name, json).await,
            Self::List { json } => list(reach, screen, json).await,
            Self::Show { name, json } => show(reach, screen, &name, json).await,
            Self::Remove { name, yes, json } => remove(reach, screen, &name, yes, json).await,
        }
    }
}

fn origin(tenant: &Value) -> String {
    // Its keys are refused until it is declared again or taken over.
    let gone = if tenant["active"] == false { " (no longer declared)" } else { "" };
    format!("{}{gone}", cell(&tenant["origin"]))
}

fn path(name: &Name) -> String {
    format!("/api/v1/tenants/{name}")
}

async fn create(reach: &Reach, screen: &mut Screen, name: &str, json: bool) -> anyhow::Result<()> {
    let name = Name::new(name)?;
    let before = match reach.get(None, &path(&name)).await {
        Ok(before) => before,
        Err(error) if is_unknown(&error) => Value::Null,
        Err(error) => return Err(error),
    };
    let made = post(reach, None, "/api/v1/tenants", json!({ "name": name.as_str() })).await?;
    if before["active"] == false {
        screen.note("The file declared this tenant earlier; its keys and secrets are kept.")?;
    }
    if json {
        screen.json(&made)?;
    } else {
        screen.say(&format!("tenant {name} created"))?;
        screen.note(&format!("Next: mcp-proxy key create --tenant {name} --name laptop"))?;
    }
    Ok(())
}

async fn list(reach: &Reach, screen: &mut Screen, json: bool) -> anyhow::Result<()> {
    let tenants = reach.all(None, "/api/v1/tenants").await?;
    if json {
        screen.json(&json!(tenants))?;
        return Ok(());
    }
    if tenants.is_empty() {
        screen.note("There are no tenants; make one with `mcp-proxy tenant create NAME`.")?;
        return Ok(());
    }
    let mut table = Table::new(&["TENANT", "ORIGIN", "CREATED", "ID"]);
    for tenant in &tenants {
        table.row(vec![
            cell(&tenant["name"]),
            origin(tenant),
            moment_of(&tenant["created_at"]),
            cell(&tenant["id"]),
        ]);
    }
    screen.say(&table.render())?;
    Ok(())
}

/// How many entries of a list are in the store, and how many in the file.
async fn counts(reach: &Reach, tenant: &str, path: &str) -> anyhow::Result<(usize, usize)> {
    let all = reach.all(Some(tenant), path).await?;
    let file = all.iter().filter(|entry| entry["origin"] == "file").count();
    let ended = all.iter().filter(|entry| entry["state"] == "revoked").count();
    Ok((all.len() - file - ended, file))
}

async fn show(reach: &Reach, screen: &mut Screen, name: &str, json: bool) -> anyhow::Result<()> {
    let name = whose::tenant(reach, name).await?;
    let tenant = reach.get(None, &format!("/api/v1/tenants/{name}")).await?;
    if json {
        screen.json(&tenant)?;
        return Ok(());
    }
    screen.say(&format!("tenant   {name}"))?;
    screen.say(&format!("id       {}", cell(&tenant["id"])))?;
    screen.say(&format!("origin   {}", origin(&tenant)))?;
    screen.say(&format!("created  {}", moment_of(&tenant["created_at"])))?;
    for (what, column) in [("keys", "keys   "), ("secrets", "secrets")] {
        // Nobody acts for a tenant that is not served.
        let (store, file) = if tenant["active"] == true {
            counts(reach, &name, &format!("/api/v1/{what}")).await?
        } else {
            (usize::try_from(tenant[what].as_u64().unwrap_or_default())?, 0)
        };
        screen.say(&format!("{column}  {store} in the store, {file} in the file"))?;
    }
    Ok(())
}

async fn remove(
    reach: &Reach,
    screen: &mut Screen,
    name: &str,
    yes: bool,
    json: bool,
) -> anyhow::Result<()> {
    let name = whose::tenant(reach, name).await?;
    let path = format!("/api/v1/tenants/{name}");
    if let Err(error) = reach.delete(None, &path, yes).await {
        if !must_mean(&error) {
            return Err(error);
        }
        let content = reach.get(None, &path).await?;
        bail!(
            "the tenant `{name}` has {} keys and {} secrets, which would be gone for ever; add \
             --yes to remove them too",
            content["keys"],
            content["secrets"]
        );
    }
    if json {
        screen.json(&json!({ "name": name, "removed": true }))?;
    } else {
        screen.say(&format!("tenant {name} removed"))?;
    }
    Ok(())
}
