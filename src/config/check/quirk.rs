//! `client_quirks` and `quirks`: peers that cannot be mended, as data.

use std::sync::Arc;

use super::value;
use crate::config::file::Item;
use crate::config::report::Report;
use crate::config::{ClientQuirks, UpstreamQuirks};

/// `client_quirks` of `[server]`: a list of tables, each with the name of a client.
pub(super) fn clients(item: &Item<'_>, report: &mut Report<'_>) -> Vec<Arc<ClientQuirks>> {
    let entries = item.array(report).unwrap_or_default();
    entries.iter().filter_map(|entry| client(entry, report).map(Arc::new)).collect()
}

fn client(item: &Item<'_>, report: &mut Report<'_>) -> Option<ClientQuirks> {
    let mut table = item.table(report)?;
    let (name, keep_alive) = (table.take("name"), table.take("keep_alive"));
    let (list_changed, cap) = (table.take("list_changed"), table.take("result_cap"));
    table.finish(report, &[], &[]);
    let Some(name) = name else {
        item.key_problem(report, format!("`{}` has no `name`", item.path)).absence().hint(
            "write the name that the client gives in clientInfo, such as name = \"old-client\"",
        );
        return None;
    };
    let text = name.string(report)?;
    if text.is_empty() || text.trim_end_matches('*').contains('*') {
        name.problem(report, format!("`{}` is no name of a client", name.path))
            .hint("write clientInfo.name; a * may stand at its end");
        return None;
    }
    Some(ClientQuirks {
        name: text.to_owned(),
        keep_alive: keep_alive.and_then(|item| value::duration(&item, report)),
        list_changed: list_changed.and_then(|item| item.boolean(report)).unwrap_or(true),
        result_cap: cap
            .and_then(|item| value::size(&item, report, ("1KiB", "1GiB")))
            .and_then(|size| usize::try_from(size).ok()),
    })
}

/// `quirks` of an upstream.
pub(super) fn upstream(item: &Item<'_>, report: &mut Report<'_>) -> UpstreamQuirks {
    let mut quirks = UpstreamQuirks::default();
    let Some(mut table) = item.table(report) else { return quirks };
    let mut flag = |key, report: &mut Report<'_>| table.take(key)?.boolean(report);
    quirks.session_id = flag("session_id", report).unwrap_or(quirks.session_id);
    quirks.list_changed = flag("list_changed", report).unwrap_or(quirks.list_changed);
    quirks.cancels = flag("cancels", report).unwrap_or(quirks.cancels);
    table.finish(report, &[], &[]);
    quirks
}
