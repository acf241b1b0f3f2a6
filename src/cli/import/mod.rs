//! `mcp-proxy import CLIENT`: the servers of a client's file become upstreams, and the
//! credentials among them sealed secrets.

mod command;
mod convert;
mod endpoint;
mod file;
mod found;
mod judge;
mod program;
mod read;
mod remote;
#[cfg(test)]
mod tests;
mod words;

pub(super) use command::ImportCommand;
