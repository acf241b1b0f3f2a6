//! Many MCP servers behind one URL, for many tenants.

pub mod app;
pub mod auth;
pub mod base;
pub mod cli;
pub mod config;
pub mod credential;
pub mod demo;
pub mod namespace;
pub mod pipeline;
pub mod seal;
pub mod server;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod wire;
