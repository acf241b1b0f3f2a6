//! The one table of methods: which eras know it, where it is routed, how answers are merged.

use super::Era;

/// What a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
    /// `skills/list` (extension)
    Skills,
}

impl ListKind {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Tools, Self::Prompts, Self::Resources, Self::Templates, Self::Skills];

    /// The method that lists them.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Skills => "skills/list",
        }
    }

    /// The member of the result that holds the items.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Skills => "skills",
        }
    }

    /// The member of an item that identifies it.
    #[must_use]
    pub const fn identity(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources | Self::Skills => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The server capability behind it, which is also the subject of its `list_changed`. `None`
    /// for a list of an extension: nothing announces its changes.
    #[must_use]
    pub const fn capability(self) -> Option<&'static str> {
        match self {
            Self::Tools => Some("tools"),
            Self::Prompts => Some("prompts"),
            Self::Resources | Self::Templates => Some("resources"),
            Self::Skills => None,
        }
    }
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
}

impl NameKind {
    /// The row of the method that takes such a name.
    #[must_use]
    pub fn method(self) -> &'static Method {
        let row = TABLE.iter().find(|row| row.route == Route::Name(self));
        row.expect("each kind has a row")
    }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Answered by the proxy itself.
    Local,
    /// Merged from every upstream's list.
    List(ListKind),
    /// To the upstream that owns `params.name`.
    Name(NameKind),
    /// To the upstream that owns `params.uri`.
    Uri,
    /// To the upstream that owns `params.ref`.
    Reference,
    /// `skills/get`: to the upstream that owns `params.uri`, when it has skills.
    Skill,
    /// `resources/directory/read`: likewise, when it reads directories.
    Directory,
    /// `resources/subscribe` and `resources/unsubscribe`: counted, to the owner of `params.uri`.
    Subscribe {
        /// False for unsubscribe.
        on: bool,
    },
    /// `subscriptions/listen`.
    Listen,
    /// To the upstream behind the handle in `params.taskId` (tasks extension, SEP-2663).
    Task(TaskVerb),
    /// A notification from the client.
    Notification,
}

/// What is done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskVerb {
    /// Its state is asked for.
    Get,
    /// What it asked is answered (2026-07-28).
    Update,
    /// It is to end.
    Cancel,
    /// Its result is waited for (2025-11-25; from upstreams only, clients are offered none).
    Result,
}

impl TaskVerb {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Get, Self::Update, Self::Cancel, Self::Result];

    /// Its row of the table.
    #[must_use]
    pub fn method(self) -> &'static Method {
        let row = TABLE.iter().find(|row| row.route == Route::Task(self));
        row.expect("each verb has a row")
    }
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// Name on the wire.
    pub name: &'static str,
    /// Known to the legacy era.
    pub legacy: bool,
    /// Known to 2026-07-28.
    pub modern: bool,
    /// Where it goes.
    pub route: Route,
    /// The result carries `ttlMs` and `cacheScope` in the modern era (caching, R12).
    pub cacheable: bool,
    /// Sending it twice changes nothing at the upstream, so it may be sent again when the
    /// connection broke before an answer.
    pub repeatable: bool,
}

impl Method {
    /// Its place in the table, for counts.
    #[must_use]
    pub fn place(&self) -> usize {
        // Most are the first one.
        TABLE.iter().position(|row| std::ptr::eq(row, self)).unwrap_or(TABLE.len())
    }

    /// True when `era` knows the method.
    #[must_use]
    pub const fn known_to(&self, era: Era) -> bool {
        match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }
}

/// The method that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// A row of the table.
    Known(&'static Method),
    /// None; at most 80 characters of the name are kept for the log.
    Unknown(String),
}

impl Called {
    /// Looks a name up.
    #[must_use]
    pub fn find(name: &str) -> Self {
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map_or_else(|| Self::Unknown(name.chars().take(80).collect()), Self::Known)
    }

    /// The name, for logs.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(method) => method.name,
            Self::Unknown(name) => name,
        }
    }
}

/// Every row.
#[must_use]
pub fn methods() -> &'static [Method] {
    &TABLE
}

const fn row(name: &'static str, legacy: bool, modern: bool, route: Route) -> Method {
    Method { name, legacy, modern, route, cacheable: false, repeatable: false }
}

const fn cacheable(mut method: Method) -> Method {
    method.cacheable = true;
    method.repeatable = true;
    method
}

const fn repeatable(mut method: Method) -> Method {
    method.repeatable = true;
    method
}

/// In the order of frequency: the look-up is a short linear search.
static TABLE: [Method; 28] = [
    row("tools/call", true, true, Route::Name(NameKind::Tool)),
    cacheable(row("tools/list", true, true, Route::List(ListKind::Tools))),
    cacheable(row("resources/read", true, true, Route::Uri)),
    repeatable(row("prompts/get", true, true, Route::Name(NameKind::Prompt))),
    repeatable(row("completion/complete", true, true, Route::Reference)),
    cacheable(row("prompts/list", true, true, Route::List(ListKind::Prompts))),
    cacheable(row("resources/list", true, true, Route::List(ListKind::Resources))),
    cacheable(row("resources/templates/list", true, true, Route::List(ListKind::Templates))),
    repeatable(row("tasks/get", false, true, Route::Task(TaskVerb::Get))),
    row("tasks/update", false, true, Route::Task(TaskVerb::Update)),
    repeatable(row("tasks/cancel", false, true, Route::Task(TaskVerb::Cancel))),
    row("tasks/result", true, false, Route::Task(TaskVerb::Result)),
    cacheable(row("skills/list", true, true, Route::List(ListKind::Skills))),
    repeatable(row("skills/get", true, true, Route::Skill)),
    repeatable(row("resources/directory/read", true, true, Route::Directory)),
    row("ping", true, false, Route::Local),
    row("initialize", true, false, Route::Local),
    cacheable(row("server/discover", false, true, Route::Local)),
    row("logging/setLevel", true, false, Route::Local),
    repeatable(row("resources/subscribe", true, false, Route::Subscribe { on: true })),
    repeatable(row("resources/unsubscribe", true, false, Route::Subscribe { on: false })),
    row("subscriptions/listen", false, true, Route::Listen),
    row("notifications/initialized", true, false, Route::Notification),
    row("notifications/cancelled", true, true, Route::Notification),
    row("notifications/progress", true, false, Route::Notification),
    row("notifications/roots/list_changed", true, false, Route::Notification),
    row("notifications/elicitation/complete", true, false, Route::Notification),
    row("notifications/tasks/status", true, false, Route::Notification),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_are_found() {
        for method in methods() {
            assert_eq!(Called::find(method.name), Called::Known(method));
            assert!(method.legacy || method.modern, "{} is known to no era", method.name);
        }
        let names: std::collections::BTreeSet<_> = methods().iter().map(|m| m.name).collect();
        assert_eq!(names.len(), methods().len());
        for verb in TaskVerb::ALL {
            assert_eq!(verb.method().route, Route::Task(verb));
        }
        for kind in [NameKind::Tool, NameKind::Prompt] {
            assert_eq!(kind.method().route, Route::Name(kind));
        }
    }
}
