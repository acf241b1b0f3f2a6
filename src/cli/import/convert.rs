//! From a server of a client to an upstream of ours: what is secret becomes a reference.
//! `program` and `endpoint` know how, for the two ways there are.

use std::collections::BTreeSet;

use toml_edit::{Array, InlineTable, Table, value};

use super::found::{Found, Piece, Pieces, Way, plain};
use crate::base::{Name, Secret, Slot};

/// Where the value of a slot comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// It stood in the file.
    Sealed(Secret),
    /// The client had it in this variable.
    Variable(String),
    /// Somebody has to say it; why.
    Asked(String),
}

/// An upstream that an entry becomes.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: Name,
    pub(super) table: Table,
    pub(super) secrets: Vec<(Slot, Source)>,
    pub(super) notes: Vec<String>,
}

/// What is known around an entry.
pub(super) struct Around<'a> {
    /// Folder that stands for the workspace, and the person's own.
    pub(super) workspace: Option<&'a str>,
    pub(super) home: Option<&'a str>,
    /// Variables whose values are no secrets.
    pub(super) open: &'a [String],
    /// Longest name.
    pub(super) longest: usize,
    pub(super) separator: &'a str,
}

/// Makes the upstream, under a name that nothing has yet.
///
/// # Errors
/// With why the entry cannot be one.
pub(super) fn convert(
    mut found: Found,
    taken: &BTreeSet<String>,
    around: &Around<'_>,
) -> Result<Made, String> {
    super::remote::unwrap(&mut found);
    let name = name(&found.name, taken, around);
    let mut maker = Maker { around, secrets: Vec::new(), notes: found.notes };
    if name.as_str() != found.name {
        maker.notes.push(format!("is called `{name}` here"));
    }
    let mut table = Table::new();
    match found.way {
        None => return Err(maker.notes.pop().unwrap_or_default()),
        Some(Way::Url { url, headers }) => {
            maker.url(&mut table, &url, headers)?;
            match found.login {
                Some(login) => maker.login(&mut table, login),
                None if !table.contains_key("headers") && maker.secrets.is_empty() => {
                    let note =
                        "has no credential; if it wants a login, write oauth = {} below its url";
                    maker.notes.push(note.to_owned());
                }
                None => {}
            }
        }
        Some(Way::Command { words, env, cwd }) => {
            maker.command(&mut table, words, env)?;
            if let Some(cwd) = cwd {
                let cwd = maker.known(&cwd).ok_or("its `cwd` refers to what is not known here")?;
                table.insert("cwd", value(cwd));
            }
        }
    }
    if !found.allow.is_empty() || !found.deny.is_empty() {
        let mut tools = InlineTable::new();
        for (key, names) in [("allow", found.allow), ("deny", found.deny)] {
            if !names.is_empty() {
                tools.insert(key, names.into_iter().collect::<Array>().into());
            }
        }
        table.insert("tools", value(tools));
    }
    for (key, millis) in [("timeout", found.timeout), ("start_timeout", found.start_timeout)] {
        if let Some(millis) = millis {
            let text = if millis.is_multiple_of(1_000) {
                format!("{}s", millis / 1_000)
            } else {
                format!("{millis}ms")
            };
            table.insert(key, value(text));
            if key == "timeout" && millis > 300_000 {
                table.insert("max_time", value(format!("{}s", millis.div_ceil(1_000))));
            }
        }
    }
    Ok(Made { name, table, secrets: maker.secrets, notes: maker.notes })
}

/// A name of ours that is as near as can be.
fn name(given: &str, taken: &BTreeSet<String>, around: &Around<'_>) -> Name {
    let mut name: String = given
        .to_lowercase()
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name = name.replace(around.separator, "");
    let longest = around.longest.max(4);
    let name: String = name.trim_matches('-').chars().take(longest).collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "server" } else { name };
    let mut number = 1;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let whole: String = name.chars().take(longest.saturating_sub(suffix.len())).collect();
        let whole = format!("{}{suffix}", whole.trim_end_matches('-'));
        number += 1;
        if taken.contains(&whole) {
            continue;
        }
        if let Ok(name) = Name::new(&whole) {
            return name;
        }
    }
}

/// An upstream in the making.
pub(super) struct Maker<'a> {
    pub(super) around: &'a Around<'a>,
    pub(super) secrets: Vec<(Slot, Source)>,
    pub(super) notes: Vec<String>,
}

/// Text of a template that stands for itself.
pub(super) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

impl Maker<'_> {
    /// A slot that is still free, named after what it is for.
    fn slot(&mut self, base: &str, source: Source) -> String {
        let base: String = base
            .to_ascii_lowercase()
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() { char } else { '_' })
            .collect();
        let base: String = base.trim_matches('_').chars().take(56).collect();
        let base = if base.is_empty() { "value" } else { &base };
        let mut number = 1;
        loop {
            let name = if number == 1 { base.to_owned() } else { format!("{base}_{number}") };
            number += 1;
            let Ok(slot) = Slot::new(&name) else { continue };
            if self.secrets.iter().any(|(other, _)| *other == slot) {
                continue;
            }
            self.secrets.push((slot, source));
            return format!("{{secret.{name}}}");
        }
    }

    /// Seals a text, or says why that cannot be.
    pub(super) fn seal(&mut self, base: &str, text: &str) -> String {
        let secret = Secret::new(text.to_owned());
        match crate::credential::check_value(&secret) {
            Ok(()) => self.slot(base, Source::Sealed(secret)),
            Err(error) => self.slot(base, Source::Asked(error.to_string())),
        }
    }

    /// Pieces without words of the client, where they are known.
    pub(super) fn settled(&mut self, pieces: &[Piece]) -> Pieces {
        let known = |word: &str| match word {
            "workspaceFolder" => self.around.workspace.map(str::to_owned),
            "userHome" => self.around.home.map(str::to_owned),
            "pathSeparator" | "/" => Some("/".to_owned()),
            _ => None,
        };
        let mut settled: Pieces = Vec::new();
        for piece in pieces {
            let piece = match piece {
                Piece::Word(word) => known(word).map_or_else(|| piece.clone(), Piece::Text),
                piece => piece.clone(),
            };
            match (settled.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => *before += &text,
                (_, piece) => settled.push(piece),
            }
        }
        settled
    }

    /// The text of pieces that hold nothing unknown.
    pub(super) fn known(&mut self, pieces: &[Piece]) -> Option<String> {
        plain(&self.settled(pieces))
    }

    /// A value of which every text is a secret, beside the word that says what kind it is.
    pub(super) fn hidden(&mut self, base: &str, pieces: &[Piece]) -> String {
        let mut template = String::new();
        for (index, piece) in self.settled(pieces).into_iter().enumerate() {
            template += &match piece {
                Piece::Text(text) => {
                    let kinds = ["Bearer ", "bearer ", "Basic ", "basic ", "Token ", "token "];
                    let kind = kinds.iter().find(|kind| index == 0 && text.starts_with(**kind));
                    let kind = kind.copied().unwrap_or_default();
                    match text[kind.len()..].trim() {
                        "" => literal(&text),
                        rest => format!("{kind}{}", self.seal(base, rest)),
                    }
                }
                Piece::Variable(name, other) => {
                    if other.is_some_and(|other| !other.is_empty()) {
                        self.notes.push(format!("what stood in for `{name}` is left out"));
                    }
                    self.slot(base, Source::Variable(name))
                }
                Piece::Input(name) => {
                    let why = format!("the client asked for `{name}`");
                    self.slot(base, Source::Asked(why))
                }
                Piece::Word(word) => {
                    let why = format!("`${{{word}}}` means nothing here");
                    self.slot(base, Source::Asked(why))
                }
            };
        }
        template
    }

    pub(super) fn env(&mut self, table: &mut Table, env: Vec<(String, Pieces)>) {
        let mut made = InlineTable::new();
        for (name, pieces) in env {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.notes.push("a variable without a proper name is left out".to_owned());
                continue;
            }
            let open = self.around.open.contains(&name);
            let text = match self.known(&pieces).filter(|_| open) {
                Some(text) => literal(&text),
                None => self.hidden(&name, &pieces),
            };
            made.insert(&name, text.into());
        }
        if !made.is_empty() {
            table.insert("env", value(made));
        }
    }
}
