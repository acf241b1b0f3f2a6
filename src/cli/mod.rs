//! The command line.

mod key;
mod open;
mod screen;
mod secret;
mod table;
mod tenant;
#[cfg(test)]
mod tests;

pub use key::KeyCommand;
pub use open::{Opened, Resolve};
pub use screen::Screen;
pub use secret::SecretCommand;
pub use tenant::TenantCommand;
