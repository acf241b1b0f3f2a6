//! What one tenant sees at one door: merged lists as ready bytes, and the route of each name.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::audience::{Audience, tool_for};
use super::catalogue::{Catalogue, Item, Tool, public, publish};
use super::door::Door;
use super::dress::{Dressed, dress};
use super::gate::{Entry, Gate};
use super::name::Namer;
use super::plan::{Plan, Target};
use super::uri::{expands_to, split_uri};
use crate::base::Map;
use crate::config::Upstream;
use crate::wire::{ListKind, NameKind, Skills};

/// A route behind a public name.
#[derive(Debug, Clone)]
struct Route {
    upstream: usize,
    original: Arc<str>,
    tool: Option<Arc<Tool>>,
    renamed: bool,
}

/// An entry that is shown: its place, and its guise where it has one.
#[derive(Debug)]
struct Shown {
    upstream: usize,
    at: usize,
    dressed: Option<Box<Dressed>>,
}

/// What one tenant sees at one door.
#[derive(Debug)]
pub struct View {
    door: Door,
    catalogues: Vec<Arc<Catalogue>>,
    /// By kind; what rules hold back is not here, and so nowhere.
    shown: [Vec<Shown>; ListKind::COUNT],
    /// By upstream and kind: only what is shown is known.
    strict: Vec<[bool; ListKind::COUNT]>,
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
    /// Merges what `gate` shows of the catalogues, which are in the order of their upstreams'
    /// names.
    #[must_use]
    pub fn new(door: Door, catalogues: Vec<Arc<Catalogue>>, namer: Namer, gate: &dyn Gate) -> Self {
        let strict = catalogues.iter().map(|catalogue| {
            ListKind::ALL.map(|kind| gate.narrows(&catalogue.upstream.name, kind))
        });
        let mut view = Self {
            strict: strict.collect(),
            shown: Default::default(),
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
        view.shown = ListKind::ALL.map(|kind| view.select(kind, gate));
        if view.is_mapped(ListKind::Tools) {
            view.tools = view.routes(&[ListKind::Tools]);
        }
        if view.is_mapped(ListKind::Prompts) {
            view.prompts = view.routes(&[ListKind::Prompts]);
        }
        if view.is_mapped(ListKind::Resources) {
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
        let fit = || {
            self.shown[kind as usize].iter().all(|s| self.item(kind, s).definition.suits(audience))
        };
        self.tool_lists[audience as usize]
            .get_or_init(|| if fit() { whole() } else { self.write_list(kind, Some(audience)) })
            .clone()
    }

    /// What the upstreams of this door announced of skills, together. An upstream whose skills
    /// are all held back has none here.
    #[must_use]
    pub fn skills(&self) -> Skills {
        let has = |(at, catalogue): (usize, &Arc<Catalogue>)| {
            let kind = ListKind::Skills as usize;
            let any = !self.strict[at][kind] || self.shown[kind].iter().any(|s| s.upstream == at);
            any.then_some(catalogue.skills)
        };
        self.catalogues.iter().enumerate().filter_map(has).max().unwrap_or_default()
    }

    /// The instructions for the model: how names are made, then what each upstream says.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        let said = self.catalogues.iter().filter_map(|catalogue| {
            let text = catalogue.instructions.as_deref()?.trim();
            (!text.is_empty()).then_some((catalogue.upstream.name.as_str(), text))
        });
        if !self.door.merges() {
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
        let (list, target, routes) = match kind {
            NameKind::Tool => (ListKind::Tools, Target::Tool, &self.tools),
            NameKind::Prompt => (ListKind::Prompts, Target::Prompt, &self.prompts),
        };
        if !self.is_mapped(list) {
            let catalogue = self.catalogues.first()?;
            let tool = match kind {
                NameKind::Tool => catalogue.tool(name).cloned(),
                NameKind::Prompt => None,
            };
            if tool.is_none() && kind == NameKind::Tool && catalogue.forbids(name) {
                return None;
            }
            return Some(self.plan(0, target, name.into()).with_tool(tool, false));
        }
        let route = routes.get(name)?;
        let plan = self.plan(route.upstream, target, route.original.clone());
        Some(plan.with_tool(route.tool.clone(), route.renamed))
    }

    /// Resolves a URI: by its prefix, as one that a list shows without prefix, or as a bare one of
    /// the only upstream marked so that can own it.
    #[must_use]
    pub fn uri(&self, uri: &str) -> Option<Plan> {
        if !self.door.merges() {
            return self.catalogues.first().map(|_| self.reach(uri, 0, uri));
        }
        if let Some((prefix, original)) = split_uri(uri)
            && let Some(upstream) = self.position(prefix)
        {
            return Some(self.reach(uri, upstream, &original));
        }
        if let Some(route) = self.resources.get(uri) {
            return Some(self.plan(route.upstream, Target::Resource, route.original.clone()));
        }
        self.template_owner(uri).map(|upstream| self.reach(uri, upstream, uri))
    }

    /// The way to an upstream behind this door, for something that it keeps under this id of its
    /// own (a task).
    #[must_use]
    pub fn held(&self, upstream: &str, id: &str) -> Option<Plan> {
        self.position(upstream).map(|at| self.plan(at, Target::Task, id.into()))
    }

    /// The upstream that a public tool or prompt name would belong to by its prefix, whether it
    /// is listed or not.
    #[must_use]
    pub fn owner(&self, name: &str) -> Option<&Arc<Upstream>> {
        if !self.door.merges() {
            return self.catalogues.first().map(|catalogue| &catalogue.upstream);
        }
        let (prefix, _) = self.namer.split(name)?;
        self.position(prefix).map(|at| &self.catalogues[at].upstream)
    }

    fn position(&self, upstream: &str) -> Option<usize> {
        self.catalogues
            .binary_search_by(|catalogue| catalogue.upstream.name.as_str().cmp(upstream))
            .ok()
    }

    fn plan(&self, upstream: usize, target: Target, original: Arc<str>) -> Plan {
        let upstream = self.catalogues[upstream].upstream.clone();
        Plan::new(upstream, target, original, self.door.merges())
    }

    /// The way to a URI of an upstream, which need not be listed to be read. Where rules decide
    /// and no list shows it, it goes on unjudged.
    fn reach(&self, public: &str, upstream: usize, original: &str) -> Plan {
        let plan = self.plan(upstream, Target::Resource, original.into());
        let listed = |route: &Route| route.upstream == upstream && *route.original == *original;
        if !self.strict[upstream][ListKind::Resources as usize]
            || self.resources.get(public).is_some_and(listed)
        {
            return plan;
        }
        let templates = templates(&self.catalogues[upstream], original);
        plan.unjudged(templates.into_iter().map(Into::into).collect())
    }

    /// True when only names of a map lead anywhere.
    fn is_mapped(&self, kind: ListKind) -> bool {
        self.door.merges() || self.strict.iter().any(|strict| strict[kind as usize])
    }

    /// The entries of a list that are shown.
    fn select(&self, kind: ListKind, gate: &dyn Gate) -> Vec<Shown> {
        let mut shown = Vec::new();
        for (upstream, catalogue) in self.catalogues.iter().enumerate() {
            let name = &catalogue.upstream.name;
            let strict = self.strict[upstream][kind as usize];
            let by_uri = strict && !matches!(kind, ListKind::Tools | ListKind::Prompts);
            for (at, item) in catalogue.listing(kind).items.iter().enumerate() {
                let templates = if by_uri { templates(catalogue, &item.id) } else { Vec::new() };
                let (id, read_only) = (&*item.id, item.read_only);
                if strict
                    && !gate.admits(name, &Entry { kind, id, read_only, templates: &templates })
                {
                    continue;
                }
                let dressed =
                    (kind == ListKind::Tools).then(|| dress(item, &gate.guise(name, id))).flatten();
                shown.push(Shown { upstream, at, dressed: dressed.map(Box::new) });
            }
        }
        shown
    }

    fn item(&self, kind: ListKind, shown: &Shown) -> &Item {
        &self.catalogues[shown.upstream].listing(kind).items[shown.at]
    }

    /// What clients of this door call an entry.
    fn public<'a>(&'a self, kind: ListKind, shown: &'a Shown) -> Cow<'a, str> {
        let own = shown.dressed.as_ref().and_then(|dressed| dressed.name.as_deref());
        let id = own.unwrap_or(&self.item(kind, shown).id);
        if self.door.merges() {
            public(kind, id, &self.catalogues[shown.upstream].upstream, &self.namer)
        } else {
            Cow::Borrowed(id)
        }
    }

    /// Every public name of these kinds with its route. Where two meet, neither is kept.
    fn routes(&mut self, kinds: &[ListKind]) -> Map<Box<str>, Route> {
        let mut routes: Map<Box<str>, Option<Route>> = Map::default();
        let mut bare: Map<Box<str>, Option<Route>> = Map::default();
        for (kind, shown) in
            kinds.iter().flat_map(|k| self.shown[*k as usize].iter().map(|s| (*k, s)))
        {
            let item = self.item(kind, shown);
            let own = shown.dressed.as_ref();
            let route = Route {
                upstream: shown.upstream,
                original: Arc::from(&*item.id),
                tool: own.map_or_else(|| item.tool.clone(), |dressed| dressed.tool.clone()),
                renamed: own.is_some_and(|dressed| dressed.name.is_some()),
            };
            let public = self.public(kind, shown);
            if self.door.merges() && self.catalogues[shown.upstream].upstream.bare {
                let plain = own.and_then(|dressed| dressed.name.as_deref()).unwrap_or(&item.id);
                if *public != *plain {
                    enter(&mut bare, plain, route.clone());
                }
            }
            enter(&mut routes, &public, route);
        }
        if self.door.merges() && kinds.contains(&ListKind::Resources) {
            self.enter_apps(&mut bare);
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

    /// User interfaces need not be listed to be read (MCP Apps). Where rules decide about
    /// resources, they decide about these as well.
    fn enter_apps(&self, bare: &mut Map<Box<str>, Option<Route>>) {
        for shown in &self.shown[ListKind::Tools as usize] {
            let upstream = shown.upstream;
            let free = !self.strict[upstream][ListKind::Resources as usize];
            if free
                && self.catalogues[upstream].upstream.bare
                && let Some(app) = &self.item(ListKind::Tools, shown).app
            {
                let route =
                    Route { upstream, original: Arc::from(&**app), tool: None, renamed: false };
                enter(bare, app, route);
            }
        }
    }

    /// The one upstream marked `bare` whose templates a URI without prefix can come from.
    fn template_owner(&self, uri: &str) -> Option<usize> {
        let kind = ListKind::Templates;
        let mut owners: Vec<usize> = self.shown[kind as usize]
            .iter()
            .filter(|shown| {
                let upstream = &self.catalogues[shown.upstream].upstream;
                upstream.bare && expands_to(&self.item(kind, shown).id, uri)
            })
            .map(|shown| shown.upstream)
            .collect();
        owners.dedup();
        match owners[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    fn write_list(&self, kind: ListKind, audience: Option<Audience>) -> Bytes {
        let all = &self.shown[kind as usize];
        let size = all.iter().map(|shown| self.item(kind, shown).text.len() + 64).sum();
        let mut list = Vec::with_capacity(size);
        for shown in all {
            let item = self.item(kind, shown);
            let public = self.public(kind, shown);
            if self.is_mapped(kind) && !self.shows(kind, &public) {
                continue;
            }
            if !list.is_empty() {
                list.push(b',');
            }
            let mut text =
                shown.dressed.as_ref().map_or_else(|| item.text.clone(), |own| own.text.clone());
            if self.door.merges() {
                let upstream = &self.catalogues[shown.upstream].upstream;
                text = publish(kind, &text, &public, upstream);
            }
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

/// The templates of an upstream that can give this URI.
fn templates<'a>(catalogue: &'a Catalogue, uri: &str) -> Vec<&'a str> {
    let all = catalogue.listing(ListKind::Templates).items.iter();
    all.filter(|item| expands_to(&item.id, uri)).map(|item| &*item.id).collect()
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
    use crate::base::Name;
    use crate::namespace::gate::Open;
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
        View::new(Door::Merged, catalogues, Namer::new("__", 48), &Open)
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
            let view = View::new(door, vec![Arc::new(catalogue)], Namer::new("__", 48), &Open);
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
