//! What each client sends, in its order, as data.
//!
//! `[doc]` is from the client's documentation or source, `[log]` from requests that people have
//! posted of it, `[mem]` from memory. Versions that a client counts up stand as they were seen.

use clap::ValueEnum;

/// Clients whose sequence is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// claude.ai, and Claude Desktop and mobile by their connectors.
    ClaudeAi,
    /// ChatGPT (developer mode).
    Chatgpt,
    /// Cursor.
    Cursor,
    /// Codex.
    Codex,
    /// Visual Studio Code.
    Vscode,
    /// Gemini CLI.
    Gemini,
}

/// One client.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) title: &'static str,
    pub(super) user_agent: &'static str,
    /// `clientInfo`: name and version.
    pub(super) client: (&'static str, &'static str),
    pub(super) protocol: &'static str,
    /// Its capabilities, as JSON.
    pub(super) capabilities: &'static str,
    /// It takes a key in a header: it comes to the key door.
    pub(super) keyed: bool,
    /// Where it looks for a login although it has a key. Nothing may stand there.
    pub(super) probes: &'static [&'static str],
    /// What it says between `initialize` and the first list.
    pub(super) greets: &'static [&'static str],
    /// It opens a stream by GET after `initialize`.
    pub(super) listens: bool,
    pub(super) lists: &'static [&'static str],
    pub(super) login: Login,
}

/// How a client logs in.
#[derive(Debug)]
pub(super) struct Login {
    /// What it calls itself when it registers.
    pub(super) name: &'static str,
    /// All of its callbacks, the one that it uses first.
    pub(super) redirects: &'static [&'static str],
    /// The document that is its id where the server takes such a thing.
    pub(super) document: Option<&'static str>,
    /// It asks for OpenID Connect metadata too.
    pub(super) openid: bool,
}

/// What is known of a client.
pub(super) fn recorded(role: Role) -> &'static Recorded {
    match role {
        Role::ClaudeAi => &CLAUDE_AI,
        Role::Chatgpt => &CHATGPT,
        Role::Cursor => &CURSOR,
        Role::Codex => &CODEX,
        Role::Vscode => &VSCODE,
        Role::Gemini => &GEMINI,
    }
}

const LISTS: &[&str] = &["tools/list", "prompts/list", "resources/list"];

static CLAUDE_AI: Recorded = Recorded {
    title: "claude.ai",
    // [log] anthropics/claude-ai-mcp: POST without a token first, then what its 401 leads to.
    user_agent: "Claude-User",
    client: ("Anthropic/ClaudeAI", "1.0.0"), // [mem]
    protocol: "2025-11-25",                  // [doc] its newest; 2026-07-28 was being rolled out
    capabilities: "{}",                      // [doc] no sampling, no subscriptions
    keyed: false,
    probes: &[],
    greets: &[],
    listens: true,
    lists: LISTS,
    login: Login {
        name: "Claude",
        // [doc] both hosts.
        redirects: &[
            "https://claude.ai/api/mcp/auth_callback",
            "https://claude.com/api/mcp/auth_callback",
        ],
        document: Some("https://claude.ai/oauth/mcp-oauth-client-metadata"), // [mem] it prefers it [log]
        openid: true,
    },
};

static CHATGPT: Recorded = Recorded {
    title: "ChatGPT",
    user_agent: "openai-mcp/1.0.0",  // [log]
    client: ("openai-mcp", "1.0.0"), // [log]
    protocol: "2025-11-25",          // [mem]
    capabilities: "{\"extensions\":{\"io.modelcontextprotocol/ui\":{\"mimeTypes\":[\"text/html;profile=mcp-app\"]}}}", // [doc]
    keyed: false,
    probes: &[],
    greets: &[],
    listens: false, // [mem]
    lists: &["tools/list", "resources/list"],
    login: Login {
        name: "ChatGPT",
        // [doc] one for each connector, and the older one of all.
        redirects: &["https://chatgpt.com/connector_platform_oauth_redirect"],
        document: None, // [doc] prefers a document of its own, whose address is not published
        openid: true,
    },
};

static CURSOR: Recorded = Recorded {
    title: "Cursor",
    user_agent: "Cursor/1.0",           // [mem]
    client: ("cursor-vscode", "1.0.0"), // [log]
    protocol: "2025-06-18",             // [mem]
    capabilities: "{\"roots\":{\"listChanged\":false},\"elicitation\":{}}", // [mem]
    keyed: true,
    // [log] what answers here makes it drop its header (field notes, client by client).
    probes: &[
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-authorization-server",
    ],
    greets: &[],
    listens: true,
    lists: LISTS,
    login: Login {
        name: "Cursor",
        // [log] it registers three at once.
        redirects: &[
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ],
        document: None,
        openid: true,
    },
};

static CODEX: Recorded = Recorded {
    title: "Codex",
    user_agent: "codex_cli_rs/0.159.3",      // [mem]
    client: ("codex-mcp-client", "0.159.3"), // [doc] its source
    protocol: "2025-06-18",                  // [log] openai/codex#5619
    capabilities: "{\"elicitation\":{}}",    // [mem]
    keyed: true,
    // [log] openai/codex#26955: it asks before it initializes.
    probes: &[
        "/.well-known/oauth-authorization-server/mcp",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server",
    ],
    greets: &[],
    listens: true,
    lists: &["tools/list", "resources/list", "resources/templates/list"],
    login: Login {
        name: "Codex",
        redirects: &["http://127.0.0.1:53682/callback"], // [doc] loopback with a port of the moment
        document: None,
        openid: false,
    },
};

static VSCODE: Recorded = Recorded {
    title: "VS Code",
    user_agent: "Visual Studio Code/1.126",    // [mem]
    client: ("Visual Studio Code", "1.126.0"), // [log] microsoft/vscode#275139
    protocol: "2025-11-25",                    // [log] microsoft/vscode#308766
    capabilities: "{\"roots\":{\"listChanged\":true},\"sampling\":{},\"elicitation\":{\"form\":{},\"url\":{}}}", // [log]
    keyed: true,
    probes: &["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"],
    greets: &["logging/setLevel"], // [log] modelcontextprotocol/rust-sdk#704
    listens: true,
    lists: LISTS,
    login: Login {
        name: "Visual Studio Code",
        redirects: &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"], // [doc]
        document: Some("https://vscode.dev/oauth/client-metadata.json"),        // [mem]
        openid: true,
    },
};

static GEMINI: Recorded = Recorded {
    title: "Gemini CLI",
    user_agent: "node",                                 // [mem]
    client: ("gemini-cli-mcp-client", "0.0.1"),         // [mem]
    protocol: "2025-11-25",                             // [mem] the TypeScript SDK's newest
    capabilities: "{\"roots\":{\"listChanged\":true}}", // [mem]
    keyed: true,
    // [doc] packages/core/src/mcp: only after a 401, and it must not lead anywhere.
    probes: &["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"],
    greets: &[],
    listens: true,
    lists: LISTS,
    login: Login {
        name: "Gemini CLI MCP Client",
        redirects: &["http://localhost:7777/oauth/callback"], // [doc] google-gemini/gemini-cli#7465
        document: None,
        openid: true,
    },
};
