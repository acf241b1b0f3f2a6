//! `mcp-proxy session …`: what clients of the older revisions have open.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::reach::Reach;
use super::refusal::is_unknown;
use super::screen::Screen;
use super::table::{Column, cell, list};
use super::whose::{self, of};

const COLUMNS: [Column; 7] = [
    ("ID", "/id", cell),
    ("TENANT", "/tenant", cell),
    ("KEY", "/key", cell),
    ("DOOR", "/door", cell),
    ("REVISION", "/revision", cell),
    ("CLIENT", "/client/name", cell),
    ("IDLE (S)", "/idle_seconds", cell),
];

/// Sessions: what clients of revisions before 2026-07-28 have open.
#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List the open sessions.
    #[command(after_help = "Example: mcp-proxy session list --tenant acme")]
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a session; its client has to begin another one.
    #[command(after_help = "Example: mcp-proxy session end --tenant acme 5sT0…")]
    End {
        /// Its id, as `session list` shows it.
        id: String,
        /// Whose it is; not needed where there is only one tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl SessionCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// With the line to print.
    pub(super) async fn run(self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        match self {
            Self::List { tenant, json } => {
                let all = whose::all(reach, tenant.as_deref(), "/api/v1/sessions").await?;
                list(screen, &all, json, "No session is open.", &COLUMNS)
            }
            Self::End { id, tenant, json } => {
                let tenant = whose::the_tenant(reach, tenant.as_deref()).await?;
                let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
                if !id.bytes().all(plain) {
                    bail!("`{id:.40}` is no id of a session; `mcp-proxy session list` shows them");
                }
                let ended =
                    reach.delete(Some(&tenant), &format!("/api/v1/sessions/{id}"), false).await;
                if ended.as_ref().is_err_and(is_unknown) {
                    bail!(
                        "tenant `{tenant}` has no open session `{id}`; `mcp-proxy session list` \
                         shows what is open"
                    );
                }
                ended?;
                if json {
                    screen.json(&of(&tenant, json!({ "id": id, "ended": true })))?;
                } else {
                    screen.say(&format!("session {id} of {tenant} ended"))?;
                }
                Ok(())
            }
        }
    }
}
