//! What each client sends, in its order, as data.
//!
//! `[src]` is from the client's own source, `[doc]` from its documentation, `[log]` from requests that
//! people have recorded of it; `[?]` nobody has told. Versions that a client counts up stand as they were
//! seen, in the year 2026.

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
    /// What it calls itself at a door, and where it looks for a login and makes it.
    pub(super) agents: (&'static str, &'static str),
    /// `clientInfo`: name and version.
    pub(super) client: (&'static str, &'static str),
    /// The revision that it asks for; with one of 2026-07-28 or later it begins with `server/discover`.
    pub(super) protocol: &'static str,
    /// It says the revision in a header of what follows `initialize`.
    pub(super) versioned: bool,
    pub(super) accept: &'static str,
    /// Its capabilities, as JSON.
    pub(super) capabilities: &'static str,
    /// It takes a key in a header: it comes to the key door.
    pub(super) keyed: bool,
    /// Where it looks for a login although it has a key. Nothing may stand there.
    pub(super) probes: &'static [&'static str],
    /// What it says of the revision where it looks.
    pub(super) probe_version: Option<&'static str>,
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
const EITHER: &str = "application/json, text/event-stream";

static CLAUDE_AI: Recorded = Recorded {
    title: "claude.ai",
    // [log] anthropics/claude-ai-mcp#354, #680: POST without a token first, then what its 401 leads to, all
    // of that by its backend's HTTP library; #1061: requests with a token are by another.
    agents: ("Claude-User", "python-httpx/0.28.1"),
    client: ("Anthropic/ClaudeAI", "1.0.0"), // [log] initialize requests in several public repositories
    protocol: "2025-11-25",                  // [log] anthropics/claude-ai-mcp#70
    versioned: false, // [log] anthropics/claude-ai-mcp#70: in `initialize` alone
    accept: EITHER,
    capabilities: "{}", // [log] as its name; [doc] no sampling, no subscriptions
    keyed: false,
    probes: &[],
    probe_version: Some("2025-11-25"), // [log] anthropics/claude-ai-mcp#354, #886
    greets: &[],
    listens: false, // [log] it initializes anew for most calls and opens no stream
    lists: LISTS,
    login: Login {
        name: "Claude", // [log] anthropics/claude-ai-mcp#886, its whole registration
        redirects: &["https://claude.ai/api/mcp/auth_callback"],
        document: Some("https://claude.ai/oauth/mcp-oauth-client-metadata"), // [log] #215; it prefers it
        openid: true,
    },
};

static CHATGPT: Recorded = Recorded {
    title: "ChatGPT",
    agents: ("openai-mcp/1.0.0", "openai-mcp/1.0.0"), // [log] for some products with more behind it
    client: ("openai-mcp", "1.0.0"),                  // [log]
    // [log] `server/discover` first, since August; where that fails, `initialize` with 2025-11-25.
    protocol: "2026-07-28",
    versioned: true,
    accept: EITHER,
    capabilities: "{\"experimental\":{\"openai/visibility\":{\"enabled\":true}},\
        \"extensions\":{\"io.modelcontextprotocol/ui\":{\"mimeTypes\":[\"text/html;profile=mcp-app\"]}}}", // [log]
    keyed: false,
    probes: &[],
    probe_version: None, // [?]
    greets: &[],
    listens: false, // [log] no GET, no DELETE
    lists: &["tools/list", "resources/list"],
    login: Login {
        name: "ChatGPT",
        // [doc] one for each connector, and the older one of all.
        redirects: &["https://chatgpt.com/connector_platform_oauth_redirect"],
        document: Some("https://chatgpt.com/oauth/client.json"), // [doc] one for each connector, too
        openid: true,
    },
};

static CURSOR: Recorded = Recorded {
    title: "Cursor",
    // [?] its source is closed; what it looks for a login by is the TypeScript SDK's.
    agents: ("Cursor/3.17.19", "Cursor/3.17.19"),
    // [log] Cursor 3.4.20 and 3.17.19 (October), with revision and capabilities.
    client: ("cursor-vscode", "1.0.0"),
    protocol: "2025-11-25",
    versioned: true, // as the SDK does
    accept: EITHER,
    capabilities: "{\"elicitation\":{\"form\":{}},\"roots\":{\"listChanged\":false},\
        \"extensions\":{\"io.modelcontextprotocol/ui\":{\"mimeTypes\":[\"text/html;profile=mcp-app\"]}}}",
    keyed: true,
    // [log] what answers here makes it drop its header (field notes, client by client). The order is that
    // of the SDK (packages/client/src/client/auth.ts).
    probes: &[
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ],
    probe_version: Some("2025-11-25"),
    greets: &[],
    listens: true, // [log] arabold/docs-mcp-server#312
    lists: LISTS,
    login: Login {
        name: "Cursor",
        // [log] it registers three at once: soflyy/agent-connector-for-wp#111.
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
    // [log] codex-mcp-client at a door; where it looks for a login its HTTP library says nothing.
    agents: ("codex-mcp-client/0.159.3", ""),
    client: ("codex-mcp-client", "0.159.3"), // [src]
    protocol: "2025-06-18",                  // [src] codex-rs/rmcp-client
    versioned: true,                         // [src] rmcp's transport
    accept: EITHER,
    capabilities: "{\"elicitation\":{}}", // [log] of 0.131
    keyed: true,
    // [src] codex-rs/rmcp-client/src/auth_status.rs, discovery_paths: with `bearer_token_env_var` it does
    // not look, without it looks before it initializes (openai/codex#26955).
    probes: &[
        "/.well-known/oauth-authorization-server/mcp",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server",
    ],
    probe_version: Some("2024-11-05"), // [src] OAUTH_DISCOVERY_VERSION there
    greets: &[],
    listens: true,
    lists: &["tools/list", "resources/list", "resources/templates/list"],
    login: Login {
        name: "Codex", // [src] perform_oauth_login.rs
        // [src] there: loopback, a port of the moment, and twelve characters of a digest of the URL.
        redirects: &["http://127.0.0.1:53682/callback/Zm9yIHRoaXMg"],
        document: Some("https://chatgpt.com/oauth/codex/client.json"), // [log] since 0.154
        openid: false,
    },
};

static VSCODE: Recorded = Recorded {
    title: "VS Code",
    // [src] src/vs/workbench/api/common/extHostMcp.ts, McpHTTPHandle: name and version of the product,
    // no MCP-Protocol-Version at a door, this order in Accept.
    agents: ("Visual Studio Code/1.130.0", "Visual Studio Code/1.130.0"),
    client: ("Visual Studio Code", "1.130.0"), // [src] mcpServerRequestHandler.ts
    protocol: "2025-11-25", // [src] LATEST_PROTOCOL_VERSION of modelContextProtocol.ts
    versioned: false,
    accept: "text/event-stream, application/json",
    capabilities: "{\"roots\":{\"listChanged\":true},\"sampling\":{},\"elicitation\":{\"form\":{},\"url\":{}}}", // [log] microsoft/vscode#275139
    keyed: true,
    // [src] createAuthMetadata there: only when a door answers 401 or 403, so when its key has ended.
    probes: &[
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ],
    probe_version: Some("2025-11-25"),
    greets: &["logging/setLevel"], // [log] modelcontextprotocol/rust-sdk#704
    listens: true,
    lists: LISTS,
    login: Login {
        name: "Visual Studio Code",
        // [src] fetchDynamicRegistration of src/vs/base/common/oauth.ts; the first is used on a desktop.
        redirects: &[
            "http://127.0.0.1:33418/",
            "http://127.0.0.1/",
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
        ],
        document: Some("https://vscode.dev/oauth/client-metadata.json"), // [log] its published identity
        openid: true,
    },
};

static GEMINI: Recorded = Recorded {
    title: "Gemini CLI",
    // [src] it sets none, so that of Node's fetch.
    agents: ("node", "node"),
    // [src] packages/core/src/tools/mcp-client.ts, connectToMcpServer; version of the program.
    client: ("gemini-cli-mcp-client", "0.56.0"),
    protocol: "2025-11-25", // [src] package.json: the TypeScript SDK 1.23, whose newest this is
    versioned: true,
    accept: EITHER,
    capabilities: "{\"roots\":{\"listChanged\":true}}", // [src]
    keyed: true,
    // [src] packages/core/src/mcp/oauth-utils.ts, discoverOAuthConfig: only after a 401.
    probes: &[
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ],
    probe_version: None,
    greets: &[],
    listens: true,
    lists: &["prompts/list", "tools/list", "resources/list"], // [src] discoverInto
    login: Login {
        name: "Gemini CLI MCP Client", // [src] oauth-provider.ts
        redirects: &["http://localhost:41975/oauth/callback"], // [src] a port of the moment
        document: None,
        openid: true,
    },
};
