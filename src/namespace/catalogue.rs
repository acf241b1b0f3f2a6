//! What one upstream offers one tenant: its four lists as bytes, and what routing needs of them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::audience::Definition;
use super::meta::{app_uri, rewrite_meta};
use super::name::Namer;
use super::page::Page;
use super::rewrite::rewrite_skill;
use super::schema::{HeaderParameter, header_parameters, hide_properties, property_names};
use super::uri::{join_template, join_uri};
use crate::base::Map;
use crate::config::{Transport, Upstream};
use crate::wire::json::{JsonError, Reader, Span, UPSTREAM_DEPTH, quote};
use crate::wire::{Edits, Era, ListKind, Skills};

/// What routing needs to know of a tool besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Arguments that also travel as headers.
    pub parameters: Vec<HeaderParameter>,
    /// Arguments that the proxy fills in and the model does not see.
    pub injected: BTreeSet<String>,
    /// Arguments that the proxy fills in whenever the tenant has a secret of their name: those of
    /// the schema, where the file says `arguments = "all"`.
    pub open: BTreeSet<String>,
    /// Arguments that always have this value (JSON text), which the model does not see.
    pub pinned: Vec<(String, String)>,
    /// Pinned arguments that also travel as headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Arguments that nobody may send.
    pub refused: BTreeSet<String>,
    /// Its upstream, of the legacy era, runs it as a task and in no other way
    /// (`execution.taskSupport: "required"`, R104).
    pub as_task: bool,
}

impl Tool {
    /// True when arguments are filled in.
    #[must_use]
    pub fn fills_in(&self) -> bool {
        !(self.injected.is_empty() && self.pinned.is_empty() && self.open.is_empty())
    }

    /// True for an argument that gets the tenant's value.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.injected.contains(name) || self.open.contains(name)
    }
}

/// One entry of a list.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its name, URI or URI template at the upstream.
    pub id: Box<str>,
    /// Its text as the upstream wrote it, less the arguments that the proxy fills in.
    pub text: Bytes,
    /// Routing facts, of tools that have any.
    pub tool: Option<Arc<Tool>>,
    /// What of its definition not every client takes, of tools.
    pub definition: Definition,
    /// The URI of its user interface (MCP Apps), of tools.
    pub app: Option<Box<str>>,
    /// Its annotations say `readOnlyHint`, of tools. That is the upstream's word and no more.
    pub read_only: bool,
}

/// One list of an upstream.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In the upstream's order.
    pub items: Vec<Item>,
}

/// The four lists of one upstream as one tenant sees them.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Whose lists.
    pub upstream: Arc<Upstream>,
    /// The revision of the credentials with which they were read.
    pub credential: u64,
    /// The upstream's instructions.
    pub instructions: Option<String>,
    /// Whether it can complete arguments and be subscribed to.
    pub completes: bool,
    /// Whether it takes calls of tools as tasks (2025-11-25, `tasks.requests.tools.call`).
    pub runs_tasks: bool,
    /// What it announced of skills.
    pub skills: Skills,
    /// Secrets that the tenant has for it, which hide arguments of their names where the file says
    /// `arguments = "all"`.
    pub secrets: BTreeSet<String>,
    listings: [Listing; ListKind::COUNT],
    tools: Map<Box<str>, Arc<Tool>>,
    /// Names of tools that were left out for what they say of headers.
    unusable: BTreeSet<Box<str>>,
}

/// Why an entry was left out, and its name when a client must not use it by that either.
struct LeftOut {
    name: Option<Box<str>>,
    reason: String,
}

impl From<String> for LeftOut {
    fn from(reason: String) -> Self {
        Self { name: None, reason }
    }
}

impl Catalogue {
    /// The same lists for another entry of the file for the same upstream, by which it would list
    /// the same.
    #[must_use]
    pub fn for_entry(&self, upstream: Arc<Upstream>) -> Self {
        Self { upstream, ..self.clone() }
    }

    /// An empty catalogue of an upstream, to be filled by `add`.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, credential: u64) -> Self {
        Self {
            upstream,
            credential,
            instructions: None,
            completes: false,
            runs_tasks: false,
            skills: Skills::None,
            secrets: BTreeSet::new(),
            listings: Default::default(),
            tools: Map::default(),
            unusable: BTreeSet::new(),
        }
    }

    /// Adds one page: `text` is the page's result and `page` its places. An entry that cannot be
    /// used is left out, the others stay; each one left out is named in the answer, for the log.
    pub fn add(&mut self, kind: ListKind, era: Era, text: &Bytes, page: &Page) -> Vec<String> {
        let mut reports = Vec::new();
        for span in &page.items {
            match self.read_item(kind, era, &text.slice(span.clone())) {
                Ok(item) => {
                    let listing = &mut self.listings[kind as usize];
                    if kind == ListKind::Tools {
                        // Names only SHOULD be unique: the first one stands.
                        if self.tools.contains_key(&item.id) {
                            reports.push(format!("tool `{:.80}` is listed twice", item.id));
                            continue;
                        }
                        self.tools.insert(item.id.clone(), item.tool.clone().unwrap_or_default());
                    }
                    listing.items.push(item);
                }
                Err(left_out) => {
                    self.unusable.extend(left_out.name);
                    reports.push(left_out.reason);
                }
            }
        }
        reports
    }

    /// A list.
    #[must_use]
    pub fn listing(&self, kind: ListKind) -> &Listing {
        &self.listings[kind as usize]
    }

    /// Routing facts of a tool.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(name)
    }

    /// True for a tool that the upstream lists and that no client may call (R67).
    #[must_use]
    pub fn forbids(&self, name: &str) -> bool {
        self.unusable.contains(name)
    }

    fn read_item(&self, kind: ListKind, era: Era, text: &Bytes) -> Result<Item, LeftOut> {
        let source = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let (mut id, mut schema, mut as_task, mut read_only) = (None, None, false, false);
        let mut definition = Definition::default();
        let mut reader = Reader::new(source, UPSTREAM_DEPTH);
        let read = reader.object::<JsonError>(|reader, key| {
            if key.is(kind.identity()) && reader.peek()? == b'"' {
                id = reader.string()?.decode().map(Cow::into_owned);
                return Ok(());
            }
            let is_schema = key.is("inputSchema") && reader.peek()? == b'{';
            let execution = self.runs_tasks && era == Era::Legacy && key.is("execution");
            let annotated = kind == ListKind::Tools && key.is("annotations");
            let value = reader.value()?;
            read_only |= annotated && is_read_only(&source[value.clone()]);
            as_task |= execution && requires_task(&source[value.clone()]);
            if is_schema {
                schema = Some(value);
            } else if kind == ListKind::Tools {
                definition.note(&key, &source[value]);
            }
            Ok(())
        });
        let id = match (read, id) {
            (Ok(_), Some(id)) => id,
            _ => {
                let reason = format!("an entry of {} without {}", kind.method(), kind.identity());
                return Err(reason.into());
            }
        };
        let app = (kind == ListKind::Tools).then(|| app_uri(source)).flatten().map(Into::into);
        let mut item =
            Item { id: id.into(), text: text.clone(), tool: None, definition, app, read_only };
        if kind == ListKind::Tools
            && let Some(schema) = schema
        {
            self.read_schema(&mut item, era, source, &schema)?;
        }
        if kind == ListKind::Tools && as_task {
            let tool = item.tool.as_deref().cloned().unwrap_or_default();
            item.tool = Some(Arc::new(Tool { as_task, ..tool }));
        }
        Ok(item)
    }

    fn read_schema(
        &self,
        item: &mut Item,
        era: Era,
        source: &str,
        schema: &Span,
    ) -> Result<(), LeftOut> {
        let mut tool = Tool::default();
        match header_parameters(&source[schema.clone()]) {
            // Whatever the upstream makes of them: clients on HTTP read them in the list, send
            // the headers, and these are held against the arguments (R6).
            Ok(parameters) => tool.parameters = parameters,
            // To a client on modern HTTP such a tool is none; elsewhere annotations mean nothing.
            Err(reason)
                if era == Era::Modern
                    && matches!(self.upstream.transport, Transport::Http { .. }) =>
            {
                let reason = format!("tool `{:.80}` is left out: {reason}", item.id);
                return Err(LeftOut { name: Some(item.id.clone()), reason });
            }
            Err(_) => {}
        }
        if !self.upstream.arguments.is_empty() || self.upstream.all_arguments {
            let properties = property_names(&source[schema.clone()]);
            if self.upstream.all_arguments {
                tool.injected.extend(self.secrets.intersection(&properties).cloned());
            }
            for (name, argument) in &self.upstream.arguments {
                let meant = argument
                    .tools
                    .as_ref()
                    .map_or_else(|| properties.contains(name), |tools| tools.contains(&*item.id));
                if meant {
                    tool.injected.insert(name.clone());
                }
            }
            let hidden: BTreeSet<&str> = tool.injected.iter().map(String::as_str).collect();
            let mut edits = Edits::default();
            hide_properties(source, schema, &hidden, &mut edits);
            item.text = edits.apply(&item.text);
            // An injected value never becomes a header.
            tool.parameters.retain(|parameter| !hidden.contains(parameter.path[0].as_str()));
            if self.upstream.all_arguments {
                tool.open = properties;
            }
        }
        if tool != Tool::default() {
            item.tool = Some(Arc::new(tool));
        }
        Ok(())
    }
}

/// True when a tool's `annotations` say that it changes nothing.
fn is_read_only(annotations: &str) -> bool {
    let annotations: Option<serde_json::Value> = serde_json::from_str(annotations).ok();
    annotations.is_some_and(|annotations| annotations["readOnlyHint"] == true)
}

/// True when a tool's `execution` says that it runs as a task and in no other way.
fn requires_task(execution: &str) -> bool {
    let execution: Option<serde_json::Value> = serde_json::from_str(execution).ok();
    execution.is_some_and(|execution| execution["taskSupport"] == "required")
}

/// The public name or URI at a merged door.
#[must_use]
pub(super) fn public<'a>(
    kind: ListKind,
    id: &'a str,
    upstream: &Upstream,
    namer: &Namer,
) -> Cow<'a, str> {
    match kind {
        ListKind::Tools | ListKind::Prompts => Cow::Owned(namer.public(&upstream.name, id)),
        ListKind::Resources | ListKind::Skills => join_uri(upstream.name.as_str(), id),
        ListKind::Templates => join_template(upstream.name.as_str(), id),
    }
}

/// The text of an entry as a merged door lists it: the public name, the public forms of the URIs
/// of a tool's user interface (MCP Apps) and of a skill's files, and no domain of such an
/// interface. All else as it came.
#[must_use]
pub(super) fn publish(kind: ListKind, text: &Bytes, public: &str, upstream: &Upstream) -> Bytes {
    let source = std::str::from_utf8(text).unwrap_or_default();
    let mut edits = Edits::default();
    let mut reader = Reader::new(source, UPSTREAM_DEPTH);
    if kind == ListKind::Skills {
        // The text was read when the item was made.
        let _ = rewrite_skill(source, &mut reader, upstream.name.as_str(), &mut edits);
        return edits.apply(text);
    }
    // Likewise.
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is(kind.identity()) {
            let place = reader.value()?;
            edits.replace(place, quote(public));
            return Ok(());
        }
        if key.is("_meta") && reader.peek()? == b'{' {
            return rewrite_meta(source, reader, upstream.name.as_str(), &mut edits);
        }
        reader.value().map(drop)
    });
    edits.apply(text)
}
