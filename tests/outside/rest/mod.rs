//! Tools over plain HTTP, from outside: what is listed (`listed`), what a call gives (`calls`),
//! what is said in its course (`stream`), and what is refused (`refused`).

use crate::admin::world;

mod bed;
mod calls;
mod listed;
mod refused;
mod stream;
