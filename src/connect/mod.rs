//! Doors for people at browsers: `account` logs tenants in at upstreams, `page` is what every page
//! is made of, `browser` is who looks at it, `throttle` slows down who guesses.

mod account;
mod browser;
mod page;
mod throttle;

pub use account::{Account, is_account};
