//! What is changed on the way, and where it stands.

use std::borrow::Cow;

use super::walk::Broken;
use crate::base::Name;
use crate::namespace::{Naming, UriWay, falls_back, rewrite_naming};
use crate::pipeline::line::{SERVER_INFO_MEMBER, SERVER_INFO_META, server_info};
use crate::pipeline::relay::Asked;
use crate::pipeline::result::uri_way;
use crate::pipeline::task::Tasked;
use crate::wire::json::{JsonError, Reader, Text, UPSTREAM_DEPTH};
use crate::wire::{Edits, Era, IdText, SERVER_INFO};

/// An object or array that is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The message.
    Envelope,
    /// The value of `result`.
    Result,
    /// `content` of a tool's result.
    Blocks,
    /// One of these.
    Block,
    /// `contents` of what was read.
    Resources,
    /// One of these, or what is embedded in a block.
    Resource,
}

impl Role {
    pub(super) fn is_array(self) -> bool {
        matches!(self, Self::Blocks | Self::Resources)
    }

    pub(super) fn opens(self) -> u8 {
        if self.is_array() { b'[' } else { b'{' }
    }

    pub(super) fn closes(self) -> u8 {
        if self.is_array() { b']' } else { b'}' }
    }
}

/// A value that is read whole before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Id,
    Error,
    ResultType,
    IsError,
    Scope,
    /// `_meta` of the result.
    OwnMeta,
    Names(Naming),
}

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// It goes on as it is.
    Pass,
    /// It is looked into, if it is of the type that has such a role.
    Enter(Role),
    /// The same, of which an object is expected.
    Object,
    Keep(Word),
}

/// What one answer needs, and what was seen of it.
#[derive(Debug)]
pub(super) struct Rules {
    ours: u64,
    id: IdText,
    era: Era,
    upstream_era: Era,
    cacheable: bool,
    way: Option<UriWay>,
    /// Whose URIs become public.
    public: Option<Name>,
    /// Its beginning has gone out.
    settled: bool,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    id: bool,
    result: bool,
    /// It says that it is complete, or has what only such a one has.
    complete: bool,
    result_type: bool,
    ttl: bool,
    scope: bool,
    meta: bool,
    failed: bool,
}

impl Rules {
    /// For the answer to our request of this number; `None` when more may become of it than one
    /// answer with changes in known places.
    pub(super) fn new(asked: &Asked, ours: u64) -> Option<Self> {
        let way = uri_way(asked.method.route);
        let known = match way {
            None | Some(UriWay::Content | UriWay::Contents) => true,
            Some(_) => !asked.merged,
        };
        // What a client of the older era does not know is taken out, and put elsewhere.
        let older = asked.era == Era::Legacy && asked.upstream_era == Era::Modern;
        let back = way.is_some_and(|way| falls_back(way, asked.revision(), None));
        let plain = matches!(asked.tasked, Tasked::No | Tasked::MayBecome);
        (known && !older && !back && plain && asked.result_cap.is_none()).then(|| Self {
            ours,
            id: asked.id.clone(),
            era: asked.era,
            upstream_era: asked.upstream_era,
            cacheable: asked.method.cacheable,
            way,
            public: asked.merged.then(|| asked.upstream.name.clone()),
            settled: false,
            seen: Seen::default(),
        })
    }

    /// For a test: our request has the number 7, and its client's id is `"a"`.
    #[cfg(test)]
    pub(super) fn plain(eras: [Era; 2], way: UriWay, public: bool) -> Self {
        let [era, upstream_era] = eras;
        Self {
            ours: 7,
            id: IdText::new_static("\"a\""),
            era,
            upstream_era,
            cacheable: way == UriWay::Contents,
            way: Some(way),
            public: public.then(|| Name::new("gh").unwrap()),
            settled: false,
            seen: Seen::default(),
        }
    }

    /// Whether enough has been seen to let the rest go through. If so it goes: what comes late
    /// cannot be put elsewhere any more.
    pub(super) fn settle(&mut self) -> bool {
        self.settled = self.seen.result && (self.seen.complete || self.upstream_era == Era::Legacy);
        self.settled
    }

    /// The result says that it is an error.
    pub(super) fn failed(&self) -> bool {
        self.seen.failed
    }

    /// What is done with the next item of an array.
    pub(super) fn item(role: Role) -> Care {
        Care::Enter(if role == Role::Blocks { Role::Block } else { Role::Resource })
    }

    /// What is done with the value of this key.
    pub(super) fn member(&mut self, role: Role, key: &Text<'_>) -> Result<Care, Broken> {
        let names = |naming| match self.public {
            Some(_) => Care::Keep(Word::Names(naming)),
            None => Care::Pass,
        };
        Ok(match role {
            Role::Envelope => return self.envelope(key),
            Role::Result => self.result(key),
            Role::Block | Role::Resource if key.is("uri") => names(Naming::Uri),
            Role::Block if key.is("resource") => Care::Enter(Role::Resource),
            Role::Resource if key.is("_meta") => names(Naming::Meta),
            _ => Care::Pass,
        })
    }

    fn envelope(&mut self, key: &Text<'_>) -> Result<Care, Broken> {
        let seen = &mut self.seen;
        if key.is("id") && !seen.id {
            seen.id = true;
            return Ok(Care::Keep(Word::Id));
        }
        if key.is("result") && seen.id && !seen.result {
            seen.result = true;
            return Ok(Care::Enter(Role::Result));
        }
        if key.is("id") || key.is("result") || key.is("method") {
            return Err(Broken);
        }
        Ok(if key.is("error") { Care::Keep(Word::Error) } else { Care::Pass })
    }

    fn result(&mut self, key: &Text<'_>) -> Care {
        let seen = &mut self.seen;
        let spoken = self.era == Era::Modern || self.upstream_era == Era::Modern;
        let into = |role| if self.public.is_some() { Care::Enter(role) } else { Care::Pass };
        if key.is("content") {
            seen.complete = true;
            return if self.way == Some(UriWay::Content) { into(Role::Blocks) } else { Care::Pass };
        }
        if key.is("contents") {
            seen.complete = true;
            let read = self.way == Some(UriWay::Contents);
            return if read { into(Role::Resources) } else { Care::Pass };
        }
        if key.is("structuredContent") {
            seen.complete = true;
            // Clients of the older era take objects only.
            let object = self.era == Era::Legacy && !self.settled;
            return if object { Care::Object } else { Care::Pass };
        }
        if key.is("messages") {
            seen.complete = true;
        } else if key.is("isError") {
            return Care::Keep(Word::IsError);
        } else if key.is("_meta") {
            seen.meta = true;
            return Care::Keep(Word::OwnMeta);
        } else if spoken && key.is("resultType") {
            seen.result_type = true;
            return Care::Keep(Word::ResultType);
        } else if self.era == Era::Modern && self.cacheable && key.is("cacheScope") {
            seen.scope = true;
            return Care::Keep(Word::Scope);
        } else if key.is("ttlMs") {
            seen.ttl = true;
        }
        Care::Pass
    }

    /// Reads a value; gives what goes out in its place, if that is something else.
    pub(super) fn keep<'v>(
        &mut self,
        word: Word,
        value: &'v str,
    ) -> Result<Option<Cow<'v, str>>, Broken> {
        let mut edits = Edits::default();
        match word {
            Word::Id if value.trim_matches('"').parse() == Ok(self.ours) => {
                return Ok(Some(Cow::Owned(self.id.to_string())));
            }
            // Some servers send `"error": null` beside a result.
            Word::Error if value == "null" => {}
            Word::ResultType if value == "\"complete\"" => self.seen.complete = true,
            Word::Id | Word::Error | Word::ResultType => return Err(Broken),
            Word::IsError => self.seen.failed = value.starts_with('t'),
            // What a tenant reads with its own credentials is nobody else's (R91).
            Word::Scope if value != "\"private\"" => {
                return Ok(Some(Cow::Borrowed("\"private\"")));
            }
            Word::Scope => {}
            Word::OwnMeta => {
                self.name(Naming::Meta, value, &mut edits)?;
                if self.era == Era::Modern {
                    add_server_info(value, &mut edits)?;
                }
            }
            Word::Names(naming) => self.name(naming, value, &mut edits)?,
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let changed = edits.apply(&bytes::Bytes::copy_from_slice(value.as_bytes()));
        String::from_utf8(changed.into()).map(|text| Some(Cow::Owned(text))).map_err(|_| Broken)
    }

    fn name(&self, naming: Naming, value: &str, edits: &mut Edits) -> Result<(), Broken> {
        let Some(upstream) = self.public.as_ref().filter(|_| self.way.is_some()) else {
            return Ok(());
        };
        Ok(rewrite_naming(naming, value, upstream.as_str(), edits)?)
    }

    /// What goes in before the end of the result, which has no member when it is `empty`: what
    /// each result of the modern era has (R10, R11, R12).
    pub(super) fn missing(&self, empty: bool) -> Option<String> {
        if self.era != Era::Modern {
            return None;
        }
        let mut added = Vec::new();
        if !self.seen.result_type {
            added.push("\"resultType\":\"complete\"");
        }
        if self.cacheable && !self.seen.ttl {
            added.push("\"ttlMs\":0");
        }
        if self.cacheable && !self.seen.scope {
            added.push("\"cacheScope\":\"private\"");
        }
        if !self.seen.meta {
            added.push(SERVER_INFO_META.trim_end_matches(','));
        }
        let comma = if empty { "" } else { "," };
        (!added.is_empty()).then(|| format!("{comma}{}", added.join(",")))
    }
}

/// The upstream's own name belongs to its hop (R96).
fn add_server_info(meta: &str, edits: &mut Edits) -> Result<(), Broken> {
    if !meta.starts_with('{') {
        return Ok(());
    }
    let mut own = None;
    Reader::new(meta, UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is(SERVER_INFO) {
            own = Some(value);
        }
        Ok(())
    })?;
    match own {
        Some(place) => edits.replace_fixed(place, server_info()),
        None if meta[1..].trim_start().starts_with('}') => {
            edits.insert_fixed(1, SERVER_INFO_MEMBER.trim_end_matches(','));
        }
        None => edits.insert_fixed(1, SERVER_INFO_MEMBER),
    }
    Ok(())
}
