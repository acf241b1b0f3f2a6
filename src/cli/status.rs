//! `mcp-proxy status`

use clap::Args;

use super::reach::Reach;
use super::screen::Screen;
use super::table::cell;

/// Say how the running proxy is, and what it holds.
#[derive(Debug, Args)]
#[command(after_help = "Example: mcp-proxy status --json\n\nEnds with 69 when no proxy runs.")]
pub(super) struct StatusCommand {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    /// Prints it.
    pub(super) fn run(&self, reach: &Reach, screen: &mut Screen) -> anyhow::Result<()> {
        let health = reach.health();
        if self.json {
            screen.json(health)?;
            return Ok(());
        }
        let upstreams = &health["upstreams"];
        for (label, value) in [
            ("status", &health["status"]),
            ("version", &health["version"]),
            ("url", &health["url"]),
            ("file", &health["file"]),
            ("uptime (s)", &health["uptime_seconds"]),
            ("store", &health["store"]),
            ("tenants", &health["tenants"]),
            ("upstreams", &upstreams["declared"]),
            ("connections", &upstreams["connections"]),
            ("sessions", &health["sessions"]),
            ("memory", &health["memory_bytes"]),
        ] {
            // A key that is not the operator's is told less.
            if !value.is_null() {
                screen.say(&format!("{label:<12} {}", cell(value)))?;
            }
        }
        Ok(())
    }
}
