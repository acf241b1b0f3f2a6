//! `mcp-proxy seal …`: the keys that secrets are sealed by.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::reach::Reach;
use super::screen::Screen;
use super::table::{Table, cell};
use crate::base::Name;

/// The keys that secrets are sealed by. No key is ever shown.
#[derive(Debug, Subcommand)]
pub(super) enum SealCommand {
    /// Show the generations of the sealing key, and how much each has sealed.
    #[command(after_help = "Example: mcp-proxy seal show")]
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make another generation of the sealing key, and seal every tenant's data key anew by it.
    #[command(after_help = "Example: mcp-proxy seal rotate --data-keys\n\
                      Nothing stands still meanwhile. The key file stays as it is.")]
    Rotate {
        /// Only another data key for this tenant, and its secrets sealed anew by it.
        #[arg(long, conflicts_with = "data_keys")]
        tenant: Option<String>,
        /// Another data key for every tenant as well, and all secrets sealed anew.
        #[arg(long)]
        data_keys: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl SealCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub(super) async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::Show { json } => {
                let seal = reach.get(None, "/api/v1/seal").await?;
                show(screen, &seal, json)
            }
            Self::Rotate { tenant: Some(tenant), json, .. } => {
                let path = format!("/api/v1/tenants/{}/seal/rotate", Name::new(&tenant)?);
                let done = reach.send(Method::POST, None, &path, None).await?;
                if json {
                    screen.json(&done)?;
                    return Ok(());
                }
                let secrets = cell(&done["secrets"]);
                screen.say(&format!(
                    "The tenant {tenant} has another data key; secrets sealed anew: {secrets}."
                ))?;
                Ok(())
            }
            Self::Rotate { tenant: None, data_keys, json } => {
                let body = json!({ "data_keys": data_keys });
                let done =
                    reach.send(Method::POST, None, "/api/v1/seal/rotate", Some(body)).await?;
                rotated(screen, &done, json)
            }
        }
    }
}

fn show(screen: &mut Screen, seal: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        screen.json(seal)?;
        return Ok(());
    }
    let mut table = Table::new(&["GENERATION", "ID", "CURRENT", "MADE", "DATA KEYS"]);
    for generation in seal["generations"].as_array().into_iter().flatten() {
        let columns = ["generation", "id", "current", "made_at", "data_keys"];
        table.row(columns.map(|name| cell(&generation[name])).into());
    }
    screen.say(&table.render())?;
    screen.say(&format!("{} secrets are sealed in the store.", cell(&seal["secrets"])))?;
    Ok(())
}

fn rotated(screen: &mut Screen, done: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        screen.json(done)?;
        return Ok(());
    }
    screen.say(&format!(
        "Generation {} seals now; data keys sealed anew: {}, tenants with another data key: {}.",
        cell(&done["generation"]),
        cell(&done["data_keys"]),
        cell(&done["resealed"]["tenants"]),
    ))?;
    let failed = done["failed"].as_array().map(Vec::len).unwrap_or_default();
    if failed > 0 {
        screen.note(&format!(
            "What does not open was left as it is: {}; the log of the proxy says why.",
            cell(&done["failed"])
        ))?;
    }
    Ok(())
}
