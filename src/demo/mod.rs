//! `mcp-proxy demo`: a small real MCP server over standard input and output, written with the
//! official SDK. It makes the first minute work on a bare machine, and it is the one place
//! besides tests where the SDK's server part is used; the call path never touches it.

mod server;

pub use server::run;
