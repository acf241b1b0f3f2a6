//! The clients that are known: what each is called, and the entry that it wants.

use clap::ValueEnum;

use super::node::Node;
use super::snippet::Key;

/// The name of our entry in every client's file.
pub(super) const ENTRY: &str = "mcp-proxy";
/// What VS Code calls the key when it asks for it.
pub(super) const INPUT: &str = "mcp-proxy-key";

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Client {
    /// Claude Code (command line).
    ClaudeCode,
    /// Claude Desktop by its file: the mcp-remote shim, or `mcp-proxy stdio`.
    ClaudeDesktop,
    /// claude.ai, Claude Desktop and mobile by a connector.
    ClaudeAi,
    /// ChatGPT (developer mode).
    Chatgpt,
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
    /// LibreChat.
    Librechat,
    /// Anything that starts a process, through the mcp-remote shim.
    McpRemote,
}

impl Client {
    /// Its name for people, and where its snippet goes.
    pub(in crate::cli) fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code (type this)",
            Self::ClaudeDesktop => "Claude Desktop (claude_desktop_config.json)",
            Self::ClaudeAi => "claude.ai (Settings, Connectors, Add custom connector)",
            Self::Chatgpt => "ChatGPT (Settings, Apps, developer mode, Create)",
            Self::Cursor => "Cursor (~/.cursor/mcp.json)",
            Self::Vscode => "VS Code (.vscode/mcp.json)",
            Self::Codex => "Codex (~/.codex/config.toml)",
            Self::Gemini => "Gemini CLI (type this)",
            Self::Windsurf => "Windsurf (~/.codeium/windsurf/mcp_config.json)",
            Self::Zed => "Zed (settings.json)",
            Self::Librechat => "LibreChat (librechat.yaml)",
            Self::McpRemote => "mcp-remote (the command that the client starts)",
        }
    }

    /// Its name alone.
    pub(in crate::cli) fn name(self) -> &'static str {
        self.title().split(" (").next().unwrap_or_default()
    }

    /// It takes a key by OAuth only: it is given the connector's URL.
    pub(super) fn is_hosted(self) -> bool {
        matches!(self, Self::ClaudeAi | Self::Chatgpt)
    }

    /// The member of its file that holds the servers; none where it has no such file of JSON.
    pub(in crate::cli) fn member(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode
            | Self::ClaudeDesktop
            | Self::Cursor
            | Self::Gemini
            | Self::Windsurf => Some("mcpServers"),
            Self::Vscode => Some("servers"),
            Self::Zed => Some("context_servers"),
            Self::Codex | Self::ClaudeAi | Self::Chatgpt | Self::Librechat | Self::McpRemote => {
                None
            }
        }
    }

    /// How its file says that a value is in an environment variable; none where it cannot.
    pub(super) fn reference(self, variable: &str) -> Option<String> {
        match self {
            Self::ClaudeCode | Self::Gemini => Some(format!("${{{variable}}}")),
            Self::Cursor | Self::Windsurf => Some(format!("${{env:{variable}}}")),
            Self::Vscode => Some(format!("${{input:{INPUT}}}")),
            _ => None,
        }
    }

    /// Its snippet is a line for a shell.
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Self::ClaudeCode | Self::Gemini | Self::McpRemote)
    }

    /// It reads the key from an environment variable of its own.
    pub(super) fn takes_variable(self) -> bool {
        matches!(
            self,
            Self::ClaudeCode | Self::Codex | Self::Cursor | Self::Gemini | Self::Windsurf
        )
    }

    /// The entry for its file.
    pub(super) fn entry(self, url: &str, key: &Key<'_>) -> Option<Node> {
        let (text, url) = (key.text(self), Node::text(url));
        let headers = Node::Table(vec![("Authorization", Node::text(format!("Bearer {text}")))]);
        let members = match self {
            Self::ClaudeCode | Self::Vscode => {
                vec![("type", Node::text("http")), ("url", url), ("headers", headers)]
            }
            Self::Gemini => vec![("httpUrl", url), ("headers", headers)],
            Self::Cursor | Self::Zed => vec![("url", url), ("headers", headers)],
            Self::Windsurf => vec![("serverUrl", url), ("headers", headers)],
            // Its file takes commands only.
            Self::ClaudeDesktop => {
                let Node::Text(url) = url else { return None };
                let env = Node::Table(vec![("AUTH_HEADER", Node::text(format!("Bearer {text}")))]);
                vec![("command", Node::text("npx")), ("args", shim(&url)), ("env", env)]
            }
            _ => return None,
        };
        Some(Node::Table(members))
    }
}

/// The arguments that start mcp-remote. No space may stand around the colon: some clients cut an
/// argument there.
pub(super) fn shim(url: &str) -> Node {
    let mut words = vec!["-y", "mcp-remote", url];
    if url.starts_with("http://") {
        words.push("--allow-http");
    }
    words.extend(["--header", "Authorization:${AUTH_HEADER}"]);
    Node::List(words.into_iter().map(str::to_owned).collect())
}

/// What VS Code needs beside the entry, to ask for the key once and keep it.
pub(super) fn input() -> Node {
    Node::Table(vec![
        ("type", Node::text("promptString")),
        ("id", Node::text(INPUT)),
        ("description", Node::text("mcp-proxy key")),
        ("password", Node::Flag(true)),
    ])
}
