//! `mcp-proxy upstream …`: how each stands for a tenant.

use clap::Subcommand;
use serde_json::{Value, json};

use super::reach::Reach;
use super::screen::Screen;
use super::table::{Table, cell};
use super::whose;
use crate::base::Name;

/// Upstreams: how each stands for a tenant.
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
    let mut table = Table::new(&["TOOL", "ITS OWN NAME", "TITLE"]);
    for tool in upstream["tools"].as_array().into_iter().flatten() {
        table.row(["name", "original", "title"].map(|name| cell(&tool[name])).into());
    }
    screen.say(&table.render())?;
    Ok(())
}
