//! `mcp-proxy session …`: what clients of the older revisions have open.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::reach::Reach;
use super::refusal::is_unknown;
use super::screen::Screen;
use super::table::{Table, cell};
use super::whose::{self, of};

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
            Self::List { tenant, json } => list(reach, screen, tenant.as_deref(), json).await,
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

async fn list(
    reach: &Reach,
    screen: &mut Screen,
    only: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let mut sessions = Vec::new();
    for tenant in whose::tenants(reach, only).await? {
        let all = reach.all(Some(&tenant), "/api/v1/sessions").await?;
        sessions.extend(all.into_iter().map(|session| of(&tenant, session)));
    }
    if json {
        screen.json(&json!(sessions))?;
        return Ok(());
    }
    if sessions.is_empty() {
        screen.note("No session is open.")?;
        return Ok(());
    }
    let headings = ["ID", "TENANT", "KEY", "DOOR", "REVISION", "CLIENT", "IDLE (S)"];
    let mut table = Table::new(&headings);
    for session in &sessions {
        let first = ["id", "tenant", "key", "door", "revision"].map(|name| cell(&session[name]));
        let rest = [cell(&session["client"]["name"]), cell(&session["idle_seconds"])];
        table.row(first.into_iter().chain(rest).collect());
    }
    screen.say(&table.render())?;
    Ok(())
}
