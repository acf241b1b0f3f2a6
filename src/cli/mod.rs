//! The command line: what a person or a service manager types.

mod audit;
mod command;
mod connect;
mod exit;
mod explain;
mod key;
mod open;
mod screen;
mod secret;
mod serve;
mod shell;
mod stdio;
mod table;
mod tenant;
#[cfg(test)]
mod tests;
mod usage;

pub use command::main;
pub use key::KeyCommand;
pub use open::{Opened, Resolve};
pub use screen::Screen;
pub use secret::SecretCommand;
pub use tenant::TenantCommand;
