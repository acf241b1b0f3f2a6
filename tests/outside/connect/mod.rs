//! The connector doors: discovery, login and what comes of it, as a client and a browser see it, and
//! what a stranger gets who wants a code or a token that is not his.

use crate::admin::world;

mod bed;
mod canaries;
mod clean;
mod codes;
mod deputy;
mod documents;
mod flow;
mod life;
mod pages;
mod signed;
mod tokens;
