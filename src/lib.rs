//! Many MCP servers behind one URL, for many tenants.

pub mod auth;
pub mod base;
pub mod config;
pub mod namespace;
pub mod seal;
pub mod session;
pub mod store;
pub mod upstream;
pub mod wire;
