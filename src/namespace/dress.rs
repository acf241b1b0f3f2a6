//! A tool in its guise: another name and description, and a schema without the arguments that
//! are filled in or held back.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::arguments::parameter_headers;
use super::catalogue::{Item, Tool};
use super::gate::{Guise, Pin};
use super::schema::{hide_properties, property_names};
use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};

/// What is shown in the place of an item.
#[derive(Debug)]
pub(super) struct Dressed {
    pub(super) name: Option<Box<str>>,
    pub(super) text: Bytes,
    pub(super) tool: Option<Arc<Tool>>,
}

/// Gives `None` where the item is shown as it is.
pub(super) fn dress(item: &Item, guise: &Guise<'_>) -> Option<Dressed> {
    let source = std::str::from_utf8(&item.text).ok()?;
    let (mut names, mut descriptions, mut schema) = (Vec::new(), Vec::new(), None);
    let mut reader = Reader::new(source, UPSTREAM_DEPTH);
    // The text was read when the item was made.
    let _ = reader.object::<JsonError>(|reader, key| {
        let is_object = reader.peek()? == b'{';
        let value = reader.value()?;
        if key.is("name") {
            names.push(value);
        } else if key.is("description") {
            descriptions.push(value);
        } else if key.is("inputSchema") && is_object {
            schema = Some(value);
        }
        Ok(())
    });
    let properties =
        schema.as_ref().map_or_else(BTreeSet::new, |at| property_names(&source[at.clone()]));
    let pins = pins(item, guise, &properties);
    if guise.name.is_none() && guise.description.is_none() && pins.is_empty() {
        let touched = guise.hides.iter().any(|name| properties.contains(*name));
        if !touched && guise.hides.is_empty() {
            return None;
        }
    }
    let mut edits = Edits::default();
    if let Some(name) = guise.name {
        names.into_iter().for_each(|place| edits.replace(place, quote(name)));
    }
    if let Some(text) = guise.description {
        if descriptions.is_empty() {
            // The object has a name at least.
            let start = source.find('{')? + 1;
            edits.insert(start, format!("\"description\":{},", quote(text)));
        }
        descriptions.into_iter().for_each(|place| edits.replace(place, quote(text)));
    }
    let gone: BTreeSet<&str> =
        pins.iter().map(|pin| pin.name).chain(guise.hides.iter().copied()).collect();
    if let Some(schema) = schema {
        hide_properties(source, &schema, &gone, &mut edits);
    }
    Some(Dressed {
        name: guise.name.map(Into::into),
        text: edits.apply(&item.text),
        tool: facts(item, guise, &pins, &gone),
    })
}

/// The pins that this tool takes. What the upstream's own entry fills in stays so.
fn pins<'a>(item: &Item, guise: &Guise<'a>, properties: &BTreeSet<String>) -> Vec<Pin<'a>> {
    let injected = |name: &str| item.tool.as_ref().is_some_and(|t| t.injected.contains(name));
    let meant =
        |pin: &&Pin<'a>| (pin.always || properties.contains(pin.name)) && !injected(pin.name);
    guise.pins.iter().filter(meant).copied().collect()
}

fn facts(
    item: &Item,
    guise: &Guise<'_>,
    pins: &[Pin<'_>],
    gone: &BTreeSet<&str>,
) -> Option<Arc<Tool>> {
    if gone.is_empty() {
        return item.tool.clone();
    }
    let mut tool = item.tool.as_deref().cloned().unwrap_or_default();
    let (hidden, shown): (Vec<_>, Vec<_>) =
        tool.parameters.into_iter().partition(|parameter| gone.contains(&*parameter.path[0]));
    tool.parameters = shown;
    let members: Vec<String> =
        pins.iter().map(|pin| format!("{}:{}", quote(pin.name), pin.json)).collect();
    let object = format!("{{{}}}", members.join(","));
    // The upstream holds the headers against the body, so a constant is in both. Without a given
    // header nothing can mismatch.
    tool.headers = parameter_headers(&hidden, Some(&object), None).unwrap_or_default();
    tool.pinned = pins.iter().map(|pin| (pin.name.to_owned(), pin.json.to_owned())).collect();
    tool.refused = guise.hides.iter().map(|name| (*name).to_owned()).collect();
    Some(Arc::new(tool))
}
