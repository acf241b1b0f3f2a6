//! What clients take of names and numbers of tools.

/// A client's limits, for an entry that is called `mcp-proxy` there.
pub(super) struct Limit {
    pub(super) client: &'static str,
    /// Longest name of a tool that still fits behind what the client puts before it.
    pub(super) name: usize,
    /// Most tools of all servers together.
    pub(super) tools: Option<usize>,
}

/// Longest whole names: Claude Code 64 (`mcp__SERVER__TOOL`), Cursor 60 (server and tool, widely
/// reported), VS Code 64 and 128 tools in a request, Gemini CLI 63 (`mcp_SERVER_TOOL`; longer ones are
/// cut in their middle, packages/core/src/tools/mcp-tool.ts), Windsurf 100 tools (from memory). The other
/// interfaces take 64.
pub(super) const LIMITS: &[Limit] = &[
    Limit { client: "Claude Code", name: 64 - "mcp__mcp-proxy__".len(), tools: None },
    Limit { client: "Cursor", name: 60 - "mcp-proxy:".len(), tools: None },
    Limit { client: "VS Code", name: 64 - "mcp_mcp-proxy_".len(), tools: Some(128) },
    Limit { client: "Gemini CLI", name: 63 - "mcp_mcp-proxy_".len(), tools: None },
    Limit { client: "Windsurf", name: 64, tools: Some(100) },
    Limit { client: "ChatGPT", name: 64, tools: None },
];
