//! `mcp-proxy tenant …`

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::open::Opened;
use super::screen::Screen;
use super::table::{Table, minute};
use crate::auth::fresh_tenant;
use crate::base::Name;
use crate::base::rfc3339;
use crate::store::{Origin, TenantRecord};

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
    pub async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Create { name, json } => create(opened, screen, &name, json).await,
            Self::List { json } => list(opened, screen, json).await,
            Self::Show { name, json } => show(opened, screen, &name, json).await,
            Self::Remove { name, yes, json } => remove(opened, screen, &name, yes, json).await,
        }
    }
}

fn origin(opened: &Opened, tenant: &TenantRecord) -> &'static str {
    match tenant.origin {
        Origin::Store => "store",
        Origin::File if opened.declares(&tenant.name) => "file",
        // Its keys are refused until it is declared again or taken over.
        Origin::File => "file (no longer declared)",
    }
}

fn value(opened: &Opened, tenant: &TenantRecord) -> serde_json::Value {
    json!({
        "name": tenant.name.as_str(),
        "id": tenant.id.to_string(),
        "origin": match tenant.origin { Origin::File => "file", Origin::Store => "store" },
        "active": tenant.origin == Origin::Store || opened.declares(&tenant.name),
        "created_at": rfc3339(tenant.created_at),
    })
}

async fn create(
    opened: &Opened,
    screen: &mut Screen,
    name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let name = Name::new(name)?;
    if opened.declares(&name) {
        bail!("the tenant `{name}` is declared in the file already; nothing is to be done");
    }
    let tenants = &opened.stores.tenants;
    let tenant = match tenants.find(&name).await? {
        Some(left) if left.origin == Origin::File => {
            tenants.release(left.id).await?;
            screen.note("The file declared this tenant earlier; its keys and secrets are kept.")?;
            TenantRecord { origin: Origin::Store, ..left }
        }
        _ => {
            let tenant = fresh_tenant(&name, Origin::Store)?;
            tenants.create(tenant.clone()).await?;
            tenant
        }
    };
    if json {
        screen.json(&value(opened, &tenant))?;
    } else {
        screen.say(&format!("tenant {name} created"))?;
        screen.note(&format!("Next: mcp-proxy key create --tenant {name} --name laptop"))?;
    }
    Ok(())
}

async fn list(opened: &Opened, screen: &mut Screen, json: bool) -> anyhow::Result<()> {
    let tenants = opened.stores.tenants.list().await?;
    if json {
        let values: Vec<_> = tenants.iter().map(|tenant| value(opened, tenant)).collect();
        screen.json(&json!(values))?;
        return Ok(());
    }
    if tenants.is_empty() {
        screen.note("There are no tenants; make one with `mcp-proxy tenant create NAME`.")?;
        return Ok(());
    }
    let mut table = Table::new(&["TENANT", "ORIGIN", "CREATED", "ID"]);
    for tenant in &tenants {
        table.row(vec![
            tenant.name.to_string(),
            origin(opened, tenant).to_owned(),
            minute(tenant.created_at),
            tenant.id.to_string(),
        ]);
    }
    screen.say(&table.render())?;
    Ok(())
}

async fn counts(opened: &Opened, tenant: &TenantRecord) -> anyhow::Result<(usize, usize)> {
    let keys = opened.stores.keys.list(tenant.id.into()).await?;
    let usable = keys.iter().filter(|key| key.revoked_at.is_none()).count();
    Ok((usable, opened.stores.secrets.list(tenant.id).await?.len()))
}

async fn show(opened: &Opened, screen: &mut Screen, name: &str, json: bool) -> anyhow::Result<()> {
    let tenant = opened.tenant(name).await?;
    let (keys, secrets) = counts(opened, &tenant).await?;
    let declaration = opened.config.tenants.get(&tenant.name);
    let file_keys = declaration.map_or(0, |found| found.keys.len());
    let file_secrets = declaration.map_or(0, |found| found.secrets.len());
    if json {
        let mut value = value(opened, &tenant);
        value["keys"] = json!({ "store": keys, "file": file_keys });
        value["secrets"] = json!({ "store": secrets, "file": file_secrets });
        screen.json(&value)?;
        return Ok(());
    }
    screen.say(&format!("tenant   {}", tenant.name))?;
    screen.say(&format!("id       {}", tenant.id))?;
    screen.say(&format!("origin   {}", origin(opened, &tenant)))?;
    screen.say(&format!("created  {}", minute(tenant.created_at)))?;
    screen.say(&format!("keys     {keys} in the store, {file_keys} in the file"))?;
    screen.say(&format!("secrets  {secrets} in the store, {file_secrets} in the file"))?;
    Ok(())
}

async fn remove(
    opened: &Opened,
    screen: &mut Screen,
    name: &str,
    yes: bool,
    json: bool,
) -> anyhow::Result<()> {
    let tenant = opened.tenant(name).await?;
    if opened.declares(&tenant.name) {
        bail!("the tenant `{name}` is declared in the file; remove it there");
    }
    let (keys, secrets) = counts(opened, &tenant).await?;
    if !yes && keys + secrets > 0 {
        bail!(
            "the tenant `{name}` has {keys} keys and {secrets} secrets, which would be gone for ever; \
             add --yes to remove them too"
        );
    }
    opened.stores.tenants.remove(tenant.id).await?;
    if json {
        screen.json(&json!({ "name": name, "removed": true }))?;
    } else {
        screen.say(&format!("tenant {name} removed"))?;
    }
    Ok(())
}
