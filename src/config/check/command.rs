//! Upstreams that are child processes: `command` and the keys that only they have.

use super::reference::References;
use super::{Surroundings, value};
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Interactive, Part, ProcessLimits, Share, Template, Transport};

/// As the first word of a `command`: this very executable.
const ITSELF: &str = "mcp-proxy";
/// Open files of a child unless the file says otherwise.
const OPEN_FILES: u64 = 1_024;

/// Keys that need `command`.
#[derive(Debug)]
pub(super) struct ChildKeys<'a> {
    env: Option<Item<'a>>,
    cwd: Option<Item<'a>>,
    share: Option<Item<'a>>,
    interactive: Option<Item<'a>>,
    memory: Option<Item<'a>>,
    open_files: Option<Item<'a>>,
    processes: Option<Item<'a>>,
}

impl<'a> ChildKeys<'a> {
    /// Takes them out of an upstream's table.
    pub(super) fn take(table: &mut Table<'a>) -> Self {
        Self {
            env: table.take("env"),
            cwd: table.take("cwd"),
            share: table.take("share"),
            interactive: table.take("interactive"),
            memory: table.take("memory"),
            open_files: table.take("open_files"),
            processes: table.take("processes"),
        }
    }

    /// Refuses each that is there: this upstream has a URL.
    pub(super) fn refuse(&self, report: &mut Report<'_>) {
        let Self { env, cwd, share, interactive, memory, open_files, processes } = self;
        if let Some(env) = env {
            env.hide(report);
        }
        for item in [env, cwd, share, interactive, memory, open_files, processes] {
            let Some(item) = item else { continue };
            item.key_problem(report, format!("`{}` goes only with `command`", item.path))
                .hint("take it out; an upstream with `url` has no process of ours");
        }
    }

    /// `share`, by default per tenant; `None` when it is no known word.
    pub(super) fn share(&self, report: &mut Report<'_>) -> Option<Share> {
        let words = [("tenant", Share::Tenant), ("session", Share::Session), ("all", Share::All)];
        match &self.share {
            Some(item) => value::word(item, report, &words),
            None => Some(Share::Tenant),
        }
    }
}

/// The transport of a child process.
pub(super) fn check(
    command: &Item<'_>,
    keys: ChildKeys<'_>,
    share: Option<Share>,
    references: &mut References,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Transport> {
    let words = words(command, references, around, report);
    let env = keys.env.map(|item| env(&item, references, report)).unwrap_or_default();
    let cwd = keys.cwd.and_then(|item| {
        if item.as_string().is_some_and(refers) {
            item.problem(report, format!("`{}` takes no references", item.path))
                .hint("give {tenant} to the program as an argument in `command`");
        }
        value::path(&item, around, report)
    });
    let interactive = keys.interactive.and_then(|item| {
        let words = [
            ("auto", Interactive::Auto),
            ("exclusive", Interactive::Exclusive),
            ("off", Interactive::Off),
        ];
        value::word(&item, report, &words)
    });
    let mut number = |item: Option<Item<'_>>, min| {
        let number = item?.integer(report, min..=1_000_000)?;
        u64::try_from(number).ok()
    };
    let open_files = number(keys.open_files, 16).unwrap_or(OPEN_FILES);
    let processes = number(keys.processes, 1);
    let memory = keys.memory.and_then(|item| value::size(&item, report, ("16MiB", "1024GiB")));
    if share == Some(Share::All)
        && let Some(item) = &keys.share
    {
        judge_all(item, references, report);
    }
    Some(Transport::Stdio {
        command: words?,
        env,
        cwd,
        share: share.unwrap_or(Share::Tenant),
        interactive: interactive.unwrap_or(Interactive::Auto),
        limits: ProcessLimits { memory, open_files: Some(open_files), processes },
    })
}

fn refers(text: &str) -> bool {
    let template = Template::parse(text);
    template.is_ok_and(|template| template.parts().iter().any(|p| !matches!(p, Part::Text(_))))
}

fn judge_all(share: &Item<'_>, references: &References, report: &mut Report<'_>) {
    let (path, what) = match (&references.secret, &references.tenant) {
        (Some(path), _) => (path, "a tenant's secret"),
        (None, Some(path)) => (path, "{tenant}"),
        (None, None) => return,
    };
    let message = format!("share = \"all\" is one process for everybody, but `{path}` has {what}");
    share
        .problem(report, message)
        .hint("use share = \"tenant\", or take the reference out of that value");
}

fn words(
    item: &Item<'_>,
    references: &mut References,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Template>> {
    if let Some(text) = item.as_string() {
        let words: Vec<String> =
            text.split_whitespace().map(|word| format!("\"{}\"", tame(word, 60))).collect();
        item.mistyped(report, "an array")
            .hint(format!("no shell reads it: command = [{}]", words.join(", ")));
        return None;
    }
    let entries = item.array(report)?;
    if entries.is_empty() {
        item.problem(report, format!("`{}` names no program", item.path))
            .hint("write command = [\"PROGRAM\", \"ARGUMENT\"]");
        return None;
    }
    let mut words = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut own = References::default();
        let Some(word) = own.read(entry, report) else { continue };
        if own.secret.is_some() {
            entry
                .problem(report, format!("`{}` has a secret in it", entry.path))
                .hint("every program can read a command line; use env = { NAME = \"{secret.…}\" }");
            continue;
        }
        references.tenant = references.tenant.take().or(own.tenant);
        references.keys.append(&mut own.keys);
        match index {
            0 => words.extend(program(&word, entry, around, report)),
            _ => words.push(word),
        }
    }
    Some(words)
}

/// The program: a name for `PATH`, a path from the file's folder, or this executable.
fn program(
    word: &Template,
    item: &Item<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Template> {
    let [Part::Text(text)] = word.parts() else {
        let message = format!("`{}` must be the plain name of a program", item.path);
        item.problem(report, message)
            .hint("references may stand in its arguments, not in its name");
        return None;
    };
    let Some(path) = place(text, around) else {
        item.problem(report, format!("`{}` leads to a path that is not UTF-8", item.path))
            .hint("move it to a folder with a plain name");
        return None;
    };
    Some(Template::new(vec![Part::Text(path)]))
}

/// What a program's name in the file means; `None` when that is not UTF-8.
pub(super) fn place(text: &str, around: &Surroundings<'_>) -> Option<String> {
    let path = match text {
        ITSELF => around.program.to_path_buf(),
        path if path.contains('/') => around.folder.join(path),
        name => return Some(name.to_owned()),
    };
    path.to_str().map(str::to_owned)
}

fn env(
    item: &Item<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Vec<(String, Template)> {
    let mut list = Vec::new();
    for (name, item) in item.table(report).into_iter().flat_map(Table::entries) {
        item.hide(report);
        if name.is_empty() || name.contains(['=', '\0']) {
            item.key_problem(report, format!("`{}` is no name of a variable", tame(name, 60)))
                .hint("a name has at least one character and neither = nor NUL");
        }
        if let Some(value) = references.read(&item, report) {
            list.push((name.to_owned(), value));
        }
    }
    list
}
