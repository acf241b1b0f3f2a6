//! `[admin]`: keys of the operator, and where they count.

use super::Surroundings;
use super::server::address;
use super::tenant::{Holders, Taken, keys};
use crate::config::Admin;
use crate::config::file::Table;
use crate::config::report::Report;

/// The section, or its defaults.
pub(super) fn check(
    table: Option<Table<'_>>,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Admin {
    let Some(mut table) = table else { return Admin::default() };
    let listen = table.take("listen").and_then(|item| address(&item, report));
    let list = table.take("keys");
    let keys = list.map(|item| keys(&item, Holders::Operator, taken, around, report));
    let foreign = [("key", "write keys = [{ name = \"NAME\", env = \"VARIABLE\" }]")];
    table.finish(report, &["socket"], &foreign);
    Admin { listen, keys: keys.unwrap_or_default() }
}
