//! The command line: what a person or a service manager types.

mod audit;
mod command;
mod connect;
mod doctor;
mod exchange;
mod exit;
mod explain;
mod grant;
mod import;
mod key;
mod made;
mod open;
mod reach;
mod refusal;
mod screen;
mod seal;
mod secret;
mod serve;
mod session;
mod shell;
mod status;
mod stdio;
mod table;
mod tenant;
#[cfg(test)]
mod tests;
mod upstream;
mod usage;
mod whose;

pub use command::main;
pub use key::KeyCommand;
pub use open::{Opened, Resolve};
pub use reach::{Reach, Remote};
pub use screen::Screen;
pub use secret::SecretCommand;
pub use tenant::TenantCommand;
