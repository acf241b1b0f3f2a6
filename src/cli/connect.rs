//! `mcp-proxy connect CLIENT`: the exact snippet for each client.

use std::net::SocketAddr;
use std::path::Path;

use clap::{Args, ValueEnum};

use super::command::read_config;
use super::screen::Screen;
use super::serve::endpoint;

/// Print what a client needs to connect.
#[derive(Debug, Args)]
#[command(after_help = "Example: mcp-proxy connect claude-code")]
pub(super) struct ConnectCommand {
    /// Which client.
    client: Client,
    /// Connect to this endpoint instead of the file's.
    #[arg(long)]
    url: Option<String>,
}

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Claude Code (command line).
    ClaudeCode,
    /// Claude Desktop, through the mcp-remote shim.
    ClaudeDesktop,
    /// Cursor.
    Cursor,
    /// Visual Studio Code with Copilot.
    Vscode,
    /// Codex (command line, IDE, desktop).
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Windsurf.
    Windsurf,
    /// Zed.
    Zed,
}

impl Client {
    /// Its name for people, and where its snippet goes.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code (type this)",
            Self::ClaudeDesktop => "Claude Desktop (claude_desktop_config.json)",
            Self::Cursor => "Cursor (~/.cursor/mcp.json)",
            Self::Vscode => "VS Code (.vscode/mcp.json)",
            Self::Codex => "Codex (~/.codex/config.toml)",
            Self::Gemini => "Gemini CLI (type this)",
            Self::Windsurf => "Windsurf (~/.codeium/windsurf/mcp_config.json)",
            Self::Zed => "Zed (settings.json)",
        }
    }
}

impl ConnectCommand {
    /// Prints the snippet. The key is never on the command line; it stands as a variable.
    pub(super) fn run(self, given: Option<&Path>, screen: &mut Screen) -> anyhow::Result<()> {
        let url = match self.url {
            Some(url) => url,
            None => {
                let (config, _, _) = read_config(given)?;
                let mut address: SocketAddr = config.server.listen;
                if address.ip().is_unspecified() {
                    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                endpoint(&config, address)
            }
        };
        screen.note(self.client.title())?;
        screen.say(&snippet(self.client, &url, None))?;
        screen.note("Make a key with `mcp-proxy key create --tenant default --name laptop`.")?;
        Ok(())
    }
}

/// The snippet for a client. Without a key, each client's own way to keep it out of the file is
/// used where it has one.
pub(super) fn snippet(client: Client, url: &str, key: Option<&str>) -> String {
    let shell = key.unwrap_or("$MCP_PROXY_KEY");
    match client {
        Client::ClaudeCode => format!(
            "claude mcp add --transport http mcp-proxy {url} --header \"Authorization: Bearer {shell}\""
        ),
        Client::Gemini => format!(
            "gemini mcp add --scope user --transport http --header \"Authorization: Bearer {shell}\" mcp-proxy {url}"
        ),
        // It takes a key by environment variable only.
        Client::Codex => {
            format!(
                "[mcp_servers.mcp-proxy]\nurl = \"{url}\"\nbearer_token_env_var = \"MCP_PROXY_KEY\""
            )
        }
        Client::Cursor => {
            let key = key.unwrap_or("${env:MCP_PROXY_KEY}");
            servers("mcpServers", &format!("\"url\": \"{url}\",\n      {}", headers(key)))
        }
        Client::Windsurf => {
            let key = key.unwrap_or("YOUR_KEY");
            servers("mcpServers", &format!("\"serverUrl\": \"{url}\",\n      {}", headers(key)))
        }
        Client::Zed => {
            let key = key.unwrap_or("YOUR_KEY");
            servers("context_servers", &format!("\"url\": \"{url}\",\n      {}", headers(key)))
        }
        Client::Vscode => {
            let inputs = if key.is_some() {
                ""
            } else {
                "\n  \"inputs\": [\n    { \"type\": \"promptString\", \"id\": \"mcp-proxy-key\", \"description\": \
                 \"mcp-proxy key\", \"password\": true }\n  ],"
            };
            let key = key.unwrap_or("${input:mcp-proxy-key}");
            format!(
                "{{{inputs}\n  \"servers\": {{\n    \"mcp-proxy\": {{\n      \"type\": \"http\",\n      \"url\": \
                 \"{url}\",\n      {}\n    }}\n  }}\n}}",
                headers(key)
            )
        }
        // Its file takes commands only. No space may stand around the colon in an argument.
        Client::ClaudeDesktop => {
            let key = key.unwrap_or("YOUR_KEY");
            let http = if url.starts_with("http://") { ", \"--allow-http\"" } else { "" };
            servers(
                "mcpServers",
                &format!(
                    "\"command\": \"npx\",\n      \"args\": [\"-y\", \"mcp-remote\", \"{url}\"{http}, \"--header\", \
                     \"Authorization:${{AUTH_HEADER}}\"],\n      \"env\": {{ \"AUTH_HEADER\": \"Bearer {key}\" }}"
                ),
            )
        }
    }
}

fn headers(key: &str) -> String {
    format!("\"headers\": {{ \"Authorization\": \"Bearer {key}\" }}")
}

fn servers(member: &str, entry: &str) -> String {
    format!("{{\n  \"{member}\": {{\n    \"mcp-proxy\": {{\n      {entry}\n    }}\n  }}\n}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_snippet_is_whole() {
        for client in Client::value_variants() {
            for key in [None, Some("KEY")] {
                let text = snippet(*client, "https://mcp.example.com/mcp", key);
                assert!(text.contains("https://mcp.example.com/mcp"), "{text}");
                if text.starts_with('{') {
                    serde_json::from_str::<serde_json::Value>(&text).unwrap();
                }
                if text.starts_with('[') {
                    assert!(text.contains("bearer_token_env_var"));
                } else {
                    assert!(text.contains("Authorization"), "{text}");
                }
            }
        }
    }
}
