//! Tasks in every pair of eras, through the running proxy (protocol.md 3.4).

use crate::bridge::speaker;

mod broken;
mod cells;
mod everything;
mod listening;
mod owners;
mod world;
