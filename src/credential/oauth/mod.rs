//! Logging in at upstreams with OAuth 2.1, one login for each tenant and upstream: `discover` finds
//! the authorization server, `client` says who we are there, `flow` takes a browser through it,
//! `token` asks for tokens, `tools` does without all of them, `logins` keeps and renews them, `record` is what is sealed.

mod assertion;
mod challenge;
mod client;
mod discover;
mod error;
mod flow;
mod logins;
mod record;
mod renew;
mod target;
mod token;
mod tools;

pub use error::OAuthError;
pub use flow::{Begun, Browser, Callback, Finished};
pub(super) use logins::login_slot;
pub use logins::{LoginState, Logins, Pushed};
