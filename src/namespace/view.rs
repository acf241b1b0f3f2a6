//! What one tenant sees at one door: merged lists as ready bytes, and the route of each name.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::audience::{Audience, tool_for};
use super::catalogue::{Catalogue, Item, Tool};
use super::name::Namer;
use super::uri::{expands_to, split_uri};
use crate::base::{Map, Name};
use crate::config::Upstream;
use crate::wire::{ListKind, NameKind, Skills};

/// The path a client came in by, as far as names are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/mcp`: every upstream, names prefixed.
    Merged,
    /// `/mcp/{upstream}`: one upstream, names as they are.
    Single(Name),
}

/// Where a request goes: made here alone, from a name that this tenant can see at this door.
#[derive(Debug, Clone)]
pub struct Plan {
    upstream: Arc<Upstream>,
    original: Box<str>,
    tool: Option<Arc<Tool>>,
    merged: bool,
}

impl Plan {
    /// The upstream that owns the name.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The name or URI as the upstream knows it.
    #[must_use]
    pub fn original(&self) -> &str {
        &self.original
    }

    /// Routing facts, of a tool that has any.
    #[must_use]
    pub fn tool(&self) -> Option<&Tool> {
        self.tool.as_deref()
    }

    /// True when what comes back must be made public again.
    #[must_use]
    pub fn merged(&self) -> bool {
        self.merged
    }
}

/// A route behind a public name.
#[derive(Debug, Clone)]
struct Route {
    upstream: usize,
    original: Box<str>,
    tool: Option<Arc<Tool>>,
}

/// What one tenant sees at one door.
#[derive(Debug)]
pub struct View {
    door: Door,
    catalogues: Vec<Arc<Catalogue>>,
    tools: Map<Box<str>, Route>,
    prompts: Map<Box<str>, Route>,
    resources: Map<Box<str>, Route>,
    lists: [OnceLock<Bytes>; ListKind::COUNT],
    /// The tools for each audience; the same bytes where it takes them as they are.
    tool_lists: [OnceLock<Bytes>; Audience::COUNT],
    namer: Namer,
    withheld: Vec<String>,
}

impl View {
    /// Merges the catalogues, which are in the order of their upstreams' names.
    #[must_use]
    pub fn new(door: Door, catalogues: Vec<Arc<Catalogue>>, namer: Namer) -> Self {
        let mut view = Self {
            door,
            catalogues,
            tools: Map::default(),
            prompts: Map::default(),
            resources: Map::default(),
            lists: Default::default(),
            tool_lists: Default::default(),
            namer,
            withheld: Vec::new(),
        };
        if view.door == Door::Merged {
            view.tools = view.routes(&[ListKind::Tools]);
            view.prompts = view.routes(&[ListKind::Prompts]);
            view.resources = view.routes(&[ListKind::Resources, ListKind::Skills]);
        }
        view
    }

    /// Names that would mean two things and are therefore neither listed nor callable.
    #[must_use]
    pub fn withheld(&self) -> &[String] {
        &self.withheld
    }

    /// The items of a list as JSON text without the brackets.
    #[must_use]
    pub fn list(&self, kind: ListKind, audience: Audience) -> Bytes {
        let whole =
            || self.lists[kind as usize].get_or_init(|| self.write_list(kind, None)).clone();
        if kind != ListKind::Tools {
            return whole();
        }
        let fit = || self.items(kind).all(|(_, item)| item.definition.suits(audience));
        self.tool_lists[audience as usize]
            .get_or_init(|| if fit() { whole() } else { self.write_list(kind, Some(audience)) })
            .clone()
    }

    /// What the upstreams of this door announced of skills, together.
    #[must_use]
    pub fn skills(&self) -> Skills {
        self.catalogues.iter().map(|catalogue| catalogue.skills).max().unwrap_or_default()
    }

    /// The instructions for the model: how names are made, then what each upstream says.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        let said = self.catalogues.iter().filter_map(|catalogue| {
            let text = catalogue.instructions.as_deref()?.trim();
            (!text.is_empty()).then_some((catalogue.upstream.name.as_str(), text))
        });
        if let Door::Single(_) = self.door {
            return said.map(|(_, text)| text.to_owned()).next();
        }
        let mut text = String::from(
            "Several MCP servers stand behind this one. The name of each tool and prompt begins with \
             the server it belongs to.",
        );
        for (upstream, said) in said {
            text.push_str("\n\n## ");
            text.push_str(upstream);
            text.push('\n');
            // Another server's text: bounded, and under its own heading.
            text.extend(said.chars().take(2_000));
        }
        Some(text)
    }

    /// Resolves the name of a tool or prompt.
    #[must_use]
    pub fn name(&self, kind: NameKind, name: &str) -> Option<Plan> {
        if self.door != Door::Merged {
            let catalogue = self.catalogues.first()?;
            let tool = match kind {
                NameKind::Tool => catalogue.tool(name).cloned(),
                NameKind::Prompt => None,
            };
            if tool.is_none() && kind == NameKind::Tool && catalogue.forbids(name) {
                return None;
            }
            return Some(self.plan(0, name.into(), tool));
        }
        let route = match kind {
            NameKind::Tool => self.tools.get(name)?,
            NameKind::Prompt => self.prompts.get(name)?,
        };
        Some(self.plan(route.upstream, route.original.clone(), route.tool.clone()))
    }

    /// Resolves a URI: by its prefix, as one that a list shows without prefix, or as a bare one of
    /// the only upstream marked so that can own it.
    #[must_use]
    pub fn uri(&self, uri: &str) -> Option<Plan> {
        if self.door != Door::Merged {
            return self.catalogues.first().map(|_| self.plan(0, uri.into(), None));
        }
        if let Some((prefix, original)) = split_uri(uri)
            && let Some(upstream) = self.position(prefix)
        {
            return Some(self.plan(upstream, Cow::into_owned(original).into(), None));
        }
        if let Some(route) = self.resources.get(uri) {
            return Some(self.plan(route.upstream, route.original.clone(), None));
        }
        self.template_owner(uri).map(|upstream| self.plan(upstream, uri.into(), None))
    }

    /// The way to an upstream behind this door, for something that it keeps under this id of its
    /// own (a task).
    #[must_use]
    pub fn held(&self, upstream: &str, id: &str) -> Option<Plan> {
        self.position(upstream).map(|at| self.plan(at, id.into(), None))
    }

    /// The upstream that a public tool or prompt name would belong to by its prefix, whether it
    /// is listed or not.
    #[must_use]
    pub fn owner(&self, name: &str) -> Option<&Arc<Upstream>> {
        match &self.door {
            Door::Single(_) => self.catalogues.first().map(|catalogue| &catalogue.upstream),
            Door::Merged => {
                let (prefix, _) = self.namer.split(name)?;
                self.position(prefix).map(|at| &self.catalogues[at].upstream)
            }
        }
    }

    fn position(&self, upstream: &str) -> Option<usize> {
        self.catalogues
            .binary_search_by(|catalogue| catalogue.upstream.name.as_str().cmp(upstream))
            .ok()
    }

    fn plan(&self, upstream: usize, original: Box<str>, tool: Option<Arc<Tool>>) -> Plan {
        let upstream = self.catalogues[upstream].upstream.clone();
        Plan { upstream, original, tool, merged: self.door == Door::Merged }
    }

    /// Every public name of these kinds with its route. Where two meet, neither is kept.
    fn routes(&mut self, kinds: &[ListKind]) -> Map<Box<str>, Route> {
        let mut routes: Map<Box<str>, Option<Route>> = Map::default();
        let mut bare: Map<Box<str>, Option<Route>> = Map::default();
        for (upstream, catalogue) in self.catalogues.iter().enumerate() {
            for kind in kinds {
                for item in &catalogue.listing(*kind).items {
                    let route =
                        Route { upstream, original: item.id.clone(), tool: item.tool.clone() };
                    let public = item.public(*kind, &catalogue.upstream, &self.namer);
                    if catalogue.upstream.bare && *public != *item.id {
                        enter(&mut bare, &item.id, route.clone());
                    }
                    enter(&mut routes, &public, route);
                }
            }
            if catalogue.upstream.bare && kinds.contains(&ListKind::Resources) {
                // User interfaces need not be listed to be read (MCP Apps).
                for app in catalogue.listing(ListKind::Tools).items.iter().flat_map(|i| &i.app) {
                    let route = Route { upstream, original: app.clone(), tool: None };
                    enter(&mut bare, app, route);
                }
            }
        }
        self.withheld.extend(
            routes
                .iter()
                .filter(|(_, route)| route.is_none())
                .map(|(name, _)| format!("{}: {name}", kinds[0].method())),
        );
        for (name, route) in bare {
            // A prefixed name always wins over a bare one.
            routes.entry(name).or_insert(route);
        }
        routes.into_iter().filter_map(|(name, route)| Some((name, route?))).collect()
    }

    /// The one upstream marked `bare` whose templates a URI without prefix can come from.
    fn template_owner(&self, uri: &str) -> Option<usize> {
        let mut owners = self.catalogues.iter().enumerate().filter(|(_, catalogue)| {
            let templates = &catalogue.listing(ListKind::Templates).items;
            catalogue.upstream.bare && templates.iter().any(|item| expands_to(&item.id, uri))
        });
        let owner = owners.next()?;
        owners.next().is_none().then_some(owner.0)
    }

    fn items(&self, kind: ListKind) -> impl Iterator<Item = (&Upstream, &Item)> {
        self.catalogues.iter().flat_map(move |catalogue| {
            catalogue.listing(kind).items.iter().map(move |item| (&*catalogue.upstream, item))
        })
    }

    fn write_list(&self, kind: ListKind, audience: Option<Audience>) -> Bytes {
        let size = self.items(kind).map(|(_, item)| item.text.len() + 64).sum();
        let mut list = Vec::with_capacity(size);
        for (upstream, item) in self.items(kind) {
            let public = item.public(kind, upstream, &self.namer);
            if self.door == Door::Merged && !self.shows(kind, &public) {
                continue;
            }
            if !list.is_empty() {
                list.push(b',');
            }
            let mut text = if self.door == Door::Merged {
                item.merged(kind, upstream, &self.namer)
            } else {
                item.text.clone()
            };
            if let Some(audience) = audience.filter(|audience| !item.definition.suits(*audience)) {
                text = tool_for(audience, &text);
            }
            list.extend_from_slice(&text);
        }
        Bytes::from(list)
    }

    /// Listed exactly when callable.
    fn shows(&self, kind: ListKind, public: &str) -> bool {
        match kind {
            ListKind::Tools => self.tools.contains_key(public),
            ListKind::Prompts => self.prompts.contains_key(public),
            ListKind::Resources | ListKind::Skills => self.resources.contains_key(public),
            ListKind::Templates => true,
        }
    }
}

fn enter(routes: &mut Map<Box<str>, Option<Route>>, name: &str, route: Route) {
    match routes.get_mut(name) {
        // One upstream may list a name twice; the first one stands.
        Some(Some(first))
            if first.upstream == route.upstream && first.original == route.original => {}
        Some(taken) => *taken = None,
        None => drop(routes.insert(name.into(), Some(route))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::read_page;
    use crate::wire::Era;

    fn catalogue(upstream: Upstream, kind: ListKind, result: &'static str) -> Arc<Catalogue> {
        let mut catalogue = Catalogue::new(Arc::new(upstream), 0);
        let text = Bytes::from_static(result.as_bytes());
        let page = read_page(kind, result).unwrap();
        catalogue.add(kind, Era::Modern, &text, &page);
        Arc::new(catalogue)
    }

    fn merged(catalogues: Vec<Arc<Catalogue>>) -> View {
        View::new(Door::Merged, catalogues, Namer::new("__", 48))
    }

    fn names(view: &View) -> Vec<String> {
        let list: Vec<serde_json::Value> = serde_json::from_str(&format!(
            "[{}]",
            String::from_utf8_lossy(&view.list(ListKind::Tools, Audience::Modern))
        ))
        .unwrap();
        list.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn listed_is_callable_and_callable_is_listed() {
        let view = merged(vec![
            catalogue(
                Upstream::for_test("a"),
                ListKind::Tools,
                r#"{"tools":[{"name":"x","n":1.10},{"name":"x"},{"nameless":1}]}"#,
            ),
            catalogue(
                Upstream::for_test("b"),
                ListKind::Tools,
                r#"{"tools":[{"name":"x"},{"name":"y.z"}]}"#,
            ),
        ]);
        let names = names(&view);
        assert_eq!(names.len(), 3);
        for name in &names {
            assert!(view.name(NameKind::Tool, name).is_some(), "{name}");
        }
        assert_eq!(view.name(NameKind::Tool, "b__x").unwrap().original(), "x");
        assert!(view.name(NameKind::Tool, "x").is_none());
        assert!(view.name(NameKind::Tool, "a__nope").is_none());
        assert_eq!(view.owner("a__nope").unwrap().name.as_str(), "a");
        assert!(
            view.list(ListKind::Tools, Audience::Modern)
                .starts_with(br#"{"name":"a__x","n":1.10}"#)
        );
    }

    #[test]
    fn a_tool_left_out_for_its_headers_is_not_callable_by_name_alone() {
        let tools =
            r#"{"tools":[{"name":"bad","inputSchema":{"properties":{"a":{"x-mcp-header":""}}}}]}"#;
        let text = Bytes::from_static(tools.as_bytes());
        let page = read_page(ListKind::Tools, tools).unwrap();
        for (era, left_out) in [(Era::Modern, true), (Era::Legacy, false)] {
            let upstream = Upstream::for_test("a");
            let door = Door::Single(upstream.name.clone());
            let mut catalogue = Catalogue::new(Arc::new(upstream), 0);
            assert_eq!(!catalogue.add(ListKind::Tools, era, &text, &page).is_empty(), left_out);
            let view = View::new(door, vec![Arc::new(catalogue)], Namer::new("__", 48));
            assert_eq!(view.name(NameKind::Tool, "bad").is_none(), left_out);
            // One that is in no list may be new: its upstream answers.
            assert!(view.name(NameKind::Tool, "unheard_of").is_some());
        }
    }

    #[test]
    fn names_that_would_meet_are_withheld_both() {
        let shortened = Namer::new("__", 48).public(&Name::new("a").unwrap(), "p.q");
        let other: &'static str = Box::leak(
            format!(
                r#"{{"tools":[{{"name":"p.q"}},{{"name":"{}"}},{{"name":"fine"}}]}}"#,
                &shortened[3..]
            )
            .into_boxed_str(),
        );
        let view = merged(vec![catalogue(Upstream::for_test("a"), ListKind::Tools, other)]);
        assert_eq!(names(&view), ["a__fine"]);
        assert!(view.name(NameKind::Tool, &shortened).is_none());
        assert_eq!(view.withheld().len(), 1);
    }

    #[test]
    fn bare_names_resolve_only_for_one_marked_owner() {
        let bare = |name| Upstream { bare: true, ..Upstream::for_test(name) };
        let tools = r#"{"tools":[{"name":"x"}]}"#;
        let one = merged(vec![
            catalogue(bare("a"), ListKind::Tools, tools),
            catalogue(Upstream::for_test("b"), ListKind::Tools, tools),
        ]);
        assert_eq!(one.name(NameKind::Tool, "x").unwrap().upstream().name.as_str(), "a");
        assert_eq!(names(&one), ["a__x", "b__x"]);
        let two = merged(vec![
            catalogue(bare("a"), ListKind::Tools, tools),
            catalogue(bare("b"), ListKind::Tools, tools),
        ]);
        assert!(two.name(NameKind::Tool, "x").is_none());
    }

    #[test]
    fn resources_resolve_by_prefix_and_web_ones_by_owner() {
        let view = merged(vec![catalogue(
            Upstream::for_test("a"),
            ListKind::Resources,
            r#"{"resources":[{"uri":"test://r"},{"uri":"https://x.example/r"}]}"#,
        )]);
        assert_eq!(view.uri("a+test://unlisted").unwrap().original(), "test://unlisted");
        assert_eq!(view.uri("https://x.example/r").unwrap().original(), "https://x.example/r");
        assert!(view.uri("test://r").is_none());
        assert!(view.uri("zz+test://r").is_none());
    }
}
