//! A key that is revoked opens nothing any more: no call begins, its streams end, and nobody else
//! notices. Over REST, and by a command of another process that writes into the store.

use crate::admin::world;

mod bed;
mod callers;
mod rounds;
mod streams;
