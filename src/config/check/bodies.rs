//! `[bodies]`: whose calls are kept with their arguments and answers.

use super::value;
use crate::base::Glob;
use crate::config::Bodies;
use crate::config::file::Item;
use crate::config::report::Report;

const FOREIGN: [(&str, &str); 4] = [
    ("enabled", "take the section out to keep none"),
    ("path", "they lie in the audit's database, beside the store"),
    ("expires", "write retention = \"1d\""),
    ("redact", "take it out; secrets, and members that are named like one, are always masked"),
];

/// The section; nothing is kept without it. `audited` is whether there is an audit.
pub(super) fn check(
    item: Option<Item<'_>>,
    audited: bool,
    report: &mut Report<'_>,
) -> Option<Bodies> {
    let item = item?;
    let mut table = item.table(report)?;
    let mut bodies = Bodies::default();
    let places = [
        ("tenants", &mut bodies.tenants),
        ("upstreams", &mut bodies.upstreams),
        ("tools", &mut bodies.tools),
    ];
    let mut named = false;
    for (key, place) in places {
        if let Some(item) = table.take(key) {
            named = true;
            *place = globs(&item, report);
        }
    }
    if let Some(item) = table.take("max_body")
        && let Some(size) = value::size(&item, report, ("1KiB", "1MiB"))
    {
        bodies.max_body = usize::try_from(size).unwrap_or(bodies.max_body);
    }
    if let Some(time) = table.take("retention").and_then(|item| value::duration(&item, report)) {
        bodies.retention = time;
    }
    if let Some(item) = table.take("max_total")
        && let Some(size) = value::size(&item, report, ("4MiB", "64GiB"))
    {
        bodies.max_total = size;
    }
    table.finish(report, &[], &FOREIGN);
    if !named {
        item.key_problem(report, "`bodies` does not say whose calls are kept")
            .absence()
            .hint("write tenants = [\"NAME\"], upstreams or tools; \"*\" is all of them");
    }
    if !audited {
        item.key_problem(report, "`bodies` needs the audit, in which each call has its number")
            .hint("write enabled = true in [audit], or take [bodies] out");
    }
    Some(bodies)
}

fn globs(item: &Item<'_>, report: &mut Report<'_>) -> Vec<Glob> {
    let Some(entries) = item.array(report) else { return Vec::new() };
    if entries.is_empty() {
        item.problem(report, format!("`{}` names nothing", item.path))
            .hint("write [\"NAME\"]; * is any text, and without the key it is all of them");
    }
    let mut globs = Vec::new();
    for entry in entries {
        match entry.string(report) {
            Some("") => {
                entry
                    .problem(report, format!("`{}` is empty", entry.path))
                    .hint("write a name; * is any text");
            }
            Some(text) => globs.push(Glob::new(text)),
            None => {}
        }
    }
    globs
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::config::check_text;

    #[test]
    fn the_section_is_off_without_a_word_and_says_whose_calls_it_means() {
        let read = |text: &str| check_text(text, "file.toml", Path::new("/"));
        assert_eq!(read("").unwrap().0.bodies, None);
        let some = "[bodies]\ntenants = [\"acme\"]\ntools = [\"get_*\"]\nretention = \"2h\"";
        let bodies = read(some).unwrap().0.bodies.unwrap();
        assert_eq!(bodies.retention, Duration::from_secs(7_200));
        assert_eq!((bodies.max_body, bodies.max_total), (16 << 10, 64 << 20));
        for (tenant, tool, taken) in [
            ("acme", Some("get_x"), true),
            ("acme", Some("set_x"), false),
            ("acme", None, false),
            ("other", Some("get_x"), false),
        ] {
            assert_eq!(bodies.take(tenant, "gh", tool), taken, "{tenant} {tool:?}");
        }
        for (text, hint) in [
            ("[bodies]", "\"*\" is all of them"),
            ("[bodies]\ntenants = []", "without the key"),
            ("[bodies]\ntenants = \"acme\"", "put it in [ ]"),
            ("[bodies]\ntools = [\"\"]", "* is any text"),
            ("[bodies]\ntenants = [\"a\"]\nmax_body = \"2MiB\"", "1KiB to 1MiB"),
            ("[bodies]\ntenants = [\"a\"]\nretention = \"soon\"", "30s"),
            ("[bodies]\ntenants = [\"a\"]\nmax_total = 7", "4MiB to 64GiB"),
            ("[bodies]\ntenants = [\"a\"]\nmax_size = 7", "its keys are"),
            ("[bodies]\ntenants = [\"a\"]\n[audit]\nenabled = false", "enabled = true"),
        ] {
            let problems = read(text).unwrap_err().to_string();
            assert!(problems.contains(hint), "{text}: {problems}");
        }
    }
}
