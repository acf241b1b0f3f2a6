//! Reads one file with `syn`: every path that it names, also inside macros, written out from the
//! crate or from a foreign crate; every literal; the modules. What is compiled for tests only is
//! passed over.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree, Visibility};

use crate::resolve::Scope;

/// A path, written out.
pub(crate) struct Named {
    pub(crate) line: usize,
    /// Such as `crate::base::now` or `tokio::time::sleep`.
    pub(crate) path: String,
}

/// A literal.
pub(crate) struct Literal {
    pub(crate) line: usize,
    /// The text of a string or byte string; a number as it is written.
    pub(crate) text: String,
}

/// An item of a file that is not a `mod x;` or a `use`.
pub(crate) struct Other {
    pub(crate) line: usize,
}

/// A struct, and whether modules elsewhere can build or change it by its fields.
pub(crate) struct Struct {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) open: bool,
}

/// What one file holds.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) named: Vec<Named>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) others: Vec<Other>,
    pub(crate) structs: Vec<Struct>,
    /// From the crate.
    pub(crate) test_modules: Vec<Vec<String>>,
}

/// Reads a file. `module` is its own path from the crate.
pub(crate) fn read(path: &str, text: &str, module: &[String]) -> Facts {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut scope = Scope::new(module);
    let mut names = Names { scope: &mut scope };
    names.visit_file(&file);
    let mut reader = Reader { scope: &scope, module: module.to_vec(), facts: Facts::default() };
    for item in &file.items {
        let plain = match item {
            Item::Use(_) => true,
            Item::Mod(module) => module.content.is_none(),
            _ => false,
        };
        if !plain {
            reader.facts.others.push(Other { line: line(syn::spanned::Spanned::span(item)) });
        }
    }
    reader.visit_file(&file);
    reader.facts
}

fn line(span: Span) -> usize {
    span.start().line
}

/// True for `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all (test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The leaves of a `use`: the path, and the name under which it is known here.
fn leaves(
    tree: &UseTree,
    before: &[String],
    found: &mut Vec<(usize, Vec<String>, Option<String>)>,
) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
        UseTree::Glob(glob) => found.push((line(glob.star_token.spans[0]), before.to_vec(), None)),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((line(name.ident.span()), before.to_vec(), before.last().cloned()));
        }
        UseTree::Name(name) => {
            found.push((line(name.ident.span()), with(&name.ident), Some(name.ident.to_string())));
        }
        UseTree::Rename(rename) => {
            let path = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
            found.push((line(rename.ident.span()), path, Some(rename.rename.to_string())));
        }
    }
}

/// First pass: which short names stand for which paths, and which modules lie below.
struct Names<'a> {
    scope: &'a mut Scope,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if only_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Use(item) => {
                let mut found = Vec::new();
                leaves(&item.tree, &[], &mut found);
                for (_, path, name) in found {
                    if let Some(name) = name {
                        self.scope.uses(&name, &path);
                    }
                }
            }
            Item::Mod(item) => self.scope.has_child(&item.ident.to_string()),
            _ => visit::visit_item(self, item),
        }
    }
}

/// Second pass: the facts.
struct Reader<'a> {
    scope: &'a Scope,
    module: Vec<String>,
    facts: Facts,
}

impl Reader<'_> {
    fn name(&mut self, line: usize, path: &[String]) {
        if let Some(path) = self.scope.write_out(path) {
            self.facts.named.push(Named { line, path });
        }
    }

    fn literal(&mut self, line: usize, literal: &syn::Lit) {
        let text = match literal {
            syn::Lit::Str(text) => text.value(),
            syn::Lit::ByteStr(bytes) => String::from_utf8_lossy(&bytes.value()).into_owned(),
            syn::Lit::Int(number) => number.base10_digits().to_owned(),
            _ => return,
        };
        self.facts.literals.push(Literal { line, text });
    }

    /// Inside a macro there is no syntax yet: names joined by `::` are paths.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut start, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.name(start, &std::mem::take(&mut path));
                    }
                    if path.is_empty() {
                        start = line(ident.span());
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let at = line(literal.span());
                    self.literal(at, &syn::Lit::new(literal));
                }
                TokenTree::Punct(_) => {}
            }
            self.name(start, &std::mem::take(&mut path));
            colons = 0;
        }
        self.name(start, &path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let test = only_for_tests(attributes(item));
        if let Item::Mod(item) = item
            && test
        {
            let child = [self.module.as_slice(), &[item.ident.to_string()]].concat();
            self.facts.test_modules.push(child);
        }
        if !test {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => item.attrs.as_slice(),
            syn::ImplItem::Const(item) => &item.attrs,
            _ => &[],
        };
        if !only_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let public = |field: &syn::Field| match &field.vis {
            Visibility::Public(_) => true,
            Visibility::Restricted(within) => within.path.is_ident("crate"),
            Visibility::Inherited => false,
        };
        let open = item.fields.is_empty() || item.fields.iter().any(public);
        let (line, name) = (line(item.ident.span()), item.ident.to_string());
        self.facts.structs.push(Struct { line, name, open });
        visit::visit_item_struct(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for (line, path, _) in found {
            self.name(line, &path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.name(line(first.ident.span()), &segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // The words of documentation and of error messages are for people; paths still count.
        if let Meta::List(list) = &attribute.meta {
            let literals = self.facts.literals.len();
            self.visit_path(&list.path);
            self.tokens(list.tokens.clone());
            self.facts.literals.truncate(literals);
        } else {
            self.visit_path(attribute.path());
        }
    }

    fn visit_lit(&mut self, literal: &'ast syn::Lit) {
        self.literal(line(literal.span()), literal);
    }
}
