//! `mcp-proxy grant …`: what people have allowed to clients at the connector doors.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::reach::Reach;
use super::refusal::is_unknown;
use super::screen::Screen;
use super::table::{Column, cell, list, moment_of};
use super::whose::{self, of};

const COLUMNS: [Column; 7] = [
    ("ID", "/id", cell),
    ("TENANT", "/tenant", cell),
    ("KEY", "/key", cell),
    ("CLIENT", "/client_name", cell),
    ("DOOR", "/resource", cell),
    ("USED", "/used_at", moment_of),
    ("ENDED", "/ended_by", cell),
];

/// Grants: what people have allowed to clients that do OAuth, such as Claude and ChatGPT.
#[derive(Debug, Subcommand)]
pub(super) enum GrantCommand {
    /// List them, ended ones too.
    #[command(after_help = "Example: mcp-proxy grant list --tenant acme")]
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take one back: its tokens and open streams end, and the person has to sign in again.
    #[command(after_help = "Example: mcp-proxy grant revoke --tenant acme 5f0c…")]
    Revoke {
        /// Its id, as `grant list` shows it.
        id: String,
        /// Whose it is; not needed where there is only one tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl GrantCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub(super) async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::List { tenant, json } => {
                let all = whose::all(reach, tenant.as_deref(), "/api/v1/grants").await?;
                list(screen, &all, json, "Nobody has allowed a client anything.", &COLUMNS)
            }
            Self::Revoke { id, tenant, json } => {
                let tenant = whose::the_tenant(reach, tenant.as_deref()).await?;
                let path = format!("/api/v1/grants/{id}");
                if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    bail!("`{id:.40}` is no id of a grant; `mcp-proxy grant list` shows them");
                }
                let ended = reach.delete(Some(&tenant), &path, false).await;
                if ended.as_ref().is_err_and(is_unknown) {
                    bail!(
                        "tenant `{tenant}` has no grant `{id}`; `mcp-proxy grant list` shows them"
                    );
                }
                ended?;
                if json {
                    screen.json(&of(&tenant, json!({ "id": id, "revoked": true })))?;
                } else {
                    screen.say(&format!("grant {id} of {tenant} revoked"))?;
                }
                Ok(())
            }
        }
    }
}
