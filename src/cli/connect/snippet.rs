//! What is printed for a client.

use super::client::{Client, ENTRY, input, shim};
use super::node::Node;

/// What stands where a person writes the key.
pub(super) const PLACEHOLDER: &str = "YOUR_KEY";

/// The key, or what stands for it.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Key<'a> {
    /// Its text, which the person has just been given or has given.
    Text(&'a str),
    /// In this environment variable.
    Variable(&'a str),
}

impl Key<'_> {
    /// What stands in the file of this client.
    pub(super) fn text(&self, client: Client) -> String {
        match self {
            Self::Text(key) => (*key).to_owned(),
            Self::Variable(name) => {
                client.reference(name).unwrap_or_else(|| PLACEHOLDER.to_owned())
            }
        }
    }

    fn in_shell(&self) -> String {
        match self {
            Self::Text(key) => (*key).to_owned(),
            Self::Variable(name) => format!("${name}"),
        }
    }

    fn variable(&self) -> &str {
        match self {
            Self::Text(_) => "MCP_PROXY_KEY",
            Self::Variable(name) => name,
        }
    }
}

/// The snippet for a client. Without a key, each client's own way to keep it out of the file is
/// used where it has one.
pub(in crate::cli) fn snippet(client: Client, url: &str, key: &Key<'_>) -> String {
    let shell = key.in_shell();
    match client {
        Client::ClaudeCode => format!(
            "claude mcp add --transport http {ENTRY} {url} --header \"Authorization: Bearer {shell}\""
        ),
        Client::Gemini => format!(
            "gemini mcp add --scope user --transport http --header \"Authorization: Bearer {shell}\" {ENTRY} {url}"
        ),
        // It takes a key by environment variable only.
        Client::Codex => super::codex::table(url, key.variable()),
        // They log in with OAuth; the consent page takes the key.
        Client::ClaudeAi | Client::Chatgpt => url.to_owned(),
        Client::Librechat => format!(
            "mcpServers:\n  {ENTRY}:\n    type: streamable-http\n    url: {url}\n    timeout: 60000\n    headers:\n      \
             Authorization: \"Bearer {{{{MCP_PROXY_KEY}}}}\"\n    customUserVars:\n      MCP_PROXY_KEY:\n        \
             title: Proxy key\n        description: Your own key for this proxy"
        ),
        Client::McpRemote => {
            let Node::List(words) = shim(url) else { return String::new() };
            format!("AUTH_HEADER=\"Bearer {shell}\" npx {}", words.join(" ").replace("${", "\\${"))
        }
        Client::Vscode if matches!(key, Key::Variable(_)) => {
            let inputs = format!("\n  \"inputs\": [\n    {}\n  ],", input().write("", "", None));
            document(client, url, key).replacen('{', &format!("{{{inputs}"), 1)
        }
        _ => document(client, url, key),
    }
}

fn document(client: Client, url: &str, key: &Key<'_>) -> String {
    match (client.member(), client.entry(url, key)) {
        (Some(member), Some(entry)) => {
            let servers = Node::Table(vec![(ENTRY, entry)]);
            Node::Table(vec![(member, servers)]).write("", "  ", Some("\n"))
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_snippet_is_whole() {
        for client in Client::value_variants() {
            for key in [Key::Variable("MCP_PROXY_KEY"), Key::Text("KEY")] {
                let text = snippet(*client, "https://mcp.example.com/mcp", &key);
                assert!(text.contains("https://mcp.example.com/mcp"), "{text}");
                if text.starts_with('{') {
                    serde_json::from_str::<serde_json::Value>(&text).unwrap();
                }
                match client {
                    Client::Codex => assert!(text.contains("bearer_token_env_var"), "{text}"),
                    Client::ClaudeAi | Client::Chatgpt => assert!(!text.contains("KEY"), "{text}"),
                    _ => assert!(text.contains("Authorization"), "{text}"),
                }
            }
        }
    }
}
