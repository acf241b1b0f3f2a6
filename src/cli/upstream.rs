//! `mcp-proxy upstream …`: how each stands for a tenant, and those that are made here.

use clap::Subcommand;
use serde_json::{Value, json};

use super::made::{self, AddArgs, ChangeArgs};
use super::reach::Reach;
use super::screen::Screen;
use super::table::{Table, cell, moment_of};
use super::whose;
use crate::base::Name;

/// Upstreams: how each stands for a tenant, and those that stand beside the ones of the file.
#[derive(Debug, Subcommand)]
pub(super) enum UpstreamCommand {
    /// List all upstreams with their state.
    #[command(after_help = "Example: mcp-proxy upstream list --tenant acme")]
    List {
        /// For this tenant; not needed where there is only one.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one upstream with its tools, which are read from it.
    #[command(after_help = "Example: mcp-proxy upstream show gh --tenant acme")]
    Show {
        /// Its name.
        name: String,
        /// For this tenant; not needed where there is only one.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add one beside those of the file; it runs at once.
    #[command(
        visible_alias = "create",
        after_help = "Examples:\n  mcp-proxy upstream add docs https://mcp.example.com/mcp \
                      --header 'Authorization: Bearer {secret.token}'\n  \
                      mcp-proxy upstream add files --env LEVEL=info --set timeout=30s -- npx -y \
                      @modelcontextprotocol/server-everything\n\n\
                      A program must be one of `programs` in [admin]. What is secret is no value here: \
                      write {secret.NAME} and let each tenant set it with `mcp-proxy secret set`."
    )]
    Add(AddArgs),
    /// Change some keys of one that was added here.
    #[command(
        after_help = "Example: mcp-proxy upstream change files --set timeout=1m --unset env.LEVEL"
    )]
    Change(ChangeArgs),
    /// Remove one that was added here, with every tenant's secrets for it.
    #[command(after_help = "Example: mcp-proxy upstream remove files --yes")]
    Remove {
        /// Its name.
        name: String,
        /// Remove it although tenants have secrets for it.
        #[arg(long)]
        yes: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let one run that was disabled.
    #[command(after_help = "Example: mcp-proxy upstream enable files")]
    Enable {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep one that was added here and let it run no more.
    #[command(after_help = "Example: mcp-proxy upstream disable files")]
    Disable {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End its connections and processes when their calls have; the next request starts anew.
    #[command(after_help = "Example: mcp-proxy upstream restart files --tenant acme")]
    Restart {
        /// Its name.
        name: String,
        /// Only this tenant's; those of all tenants without.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl UpstreamCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub(super) async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::List { tenant, json } => {
                let tenant = whose::the_tenant(reach, tenant.as_deref()).await?;
                let all = reach.all(Some(&tenant), "/api/v1/upstreams").await?;
                list(screen, &all, json)
            }
            Self::Show { name, tenant, json } => {
                let name = Name::new(&name)?;
                let tenant = whose::the_tenant(reach, tenant.as_deref()).await?;
                let path = format!("/api/v1/upstreams/{name}");
                let upstream = reach.get(Some(&tenant), &path).await?;
                show(screen, &upstream, json)
            }
            Self::Add(args) => made::add(reach, screen, args).await,
            Self::Change(args) => made::change(reach, screen, args).await,
            Self::Remove { name, yes, json } => made::remove(reach, screen, &name, yes, json).await,
            Self::Enable { name, json } => made::turn(reach, screen, &name, true, json).await,
            Self::Disable { name, json } => made::turn(reach, screen, &name, false, json).await,
            Self::Restart { name, tenant, json } => {
                made::restart(reach, screen, &name, tenant.as_deref(), json).await
            }
        }
    }
}

fn list(screen: &mut Screen, all: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        screen.json(&json!(all))?;
        return Ok(());
    }
    if all.is_empty() {
        screen
            .note("There are no upstreams; `mcp-proxy init` writes a file that explains them.")?;
        return Ok(());
    }
    let headings = ["UPSTREAM", "TRANSPORT", "STATE", "TOOLS", "CONNECTIONS", "MISSING", "REASON"];
    let mut table = Table::new(&headings);
    let columns =
        ["name", "transport", "state", "tool_count", "connections", "missing_secrets", "reason"];
    for upstream in all {
        table.row(columns.map(|name| cell(&upstream[name])).into());
    }
    screen.say(&table.render())?;
    Ok(())
}

fn show(screen: &mut Screen, upstream: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        screen.json(upstream)?;
        return Ok(());
    }
    for (label, name) in [
        ("upstream", "name"),
        ("transport", "transport"),
        ("state", "state"),
        ("reason", "reason"),
        ("missing", "missing_secrets"),
        ("connections", "connections"),
        ("running", "running_requests"),
    ] {
        screen.say(&format!("{label:<12} {}", cell(&upstream[name])))?;
    }
    if let Some(login) = upstream.get("login") {
        let ends = if login["expires_at"].is_null() {
            String::new()
        } else {
            format!(" until {}", moment_of(&login["expires_at"]))
        };
        let (state, issuer) = (cell(&login["state"]), cell(&login["issuer"]));
        screen.say(&format!("{:<12} {state}{ends}, at {issuer}", "login"))?;
    }
    for process in upstream["processes"].as_array().into_iter().flatten() {
        let (pid, began) = (cell(&process["pid"]), moment_of(&process["started_at"]));
        screen.say(&format!("{:<12} {pid} since {began}", "process"))?;
    }
    if !upstream["restarts"].is_null() {
        screen.say(&format!("{:<12} {}", "restarts", cell(&upstream["restarts"])))?;
    }
    let mut table = Table::new(&["TOOL", "ITS OWN NAME", "TITLE"]);
    for tool in upstream["tools"].as_array().into_iter().flatten() {
        table.row(["name", "original", "title"].map(|name| cell(&tool[name])).into());
    }
    screen.say(&table.render())?;
    Ok(())
}
