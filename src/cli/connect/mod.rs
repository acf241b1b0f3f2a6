//! `mcp-proxy connect CLIENT`: what a client needs to reach this proxy, printed or written into
//! the client's own file.

mod client;
mod codex;
mod command;
mod edit;
mod jsonc;
mod link;
mod node;
mod place;
mod snippet;
#[cfg(test)]
mod tests;

pub(super) use client::Client;
pub(super) use codex::read as read_toml;
pub(super) use command::ConnectCommand;
pub(super) use edit::Existing;
pub(super) use jsonc::{Syntax, parse};
pub(super) use place::{Machine, place};
pub(super) use snippet::{Key, snippet};
