//! From a server of a client to an upstream of ours: what is secret becomes a reference.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use toml_edit::{Array, InlineTable, Table, Value, value};

use super::found::{Found, Piece, Pieces, Way, plain};
use super::judge::{has_password, is_harmless, is_secret_name, is_token};
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
        Some(Way::Url { url, headers }) => maker.url(&mut table, &url, headers)?,
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

struct Maker<'a> {
    around: &'a Around<'a>,
    secrets: Vec<(Slot, Source)>,
    notes: Vec<String>,
}

/// Text of a template that stands for itself.
fn literal(text: &str) -> String {
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
    fn seal(&mut self, base: &str, text: &str) -> String {
        let secret = Secret::new(text.to_owned());
        match crate::credential::check_value(&secret) {
            Ok(()) => self.slot(base, Source::Sealed(secret)),
            Err(error) => self.slot(base, Source::Asked(error.to_string())),
        }
    }

    /// Pieces without words of the client, where they are known.
    fn settled(&mut self, pieces: &[Piece]) -> Pieces {
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
    fn known(&mut self, pieces: &[Piece]) -> Option<String> {
        plain(&self.settled(pieces))
    }

    /// A value of which every text is a secret, beside the word that says what kind it is.
    fn hidden(&mut self, base: &str, pieces: &[Piece]) -> String {
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

    fn env(&mut self, table: &mut Table, env: Vec<(String, Pieces)>) {
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

    /// Program and arguments. What is secret among them moves to a variable: every program of the
    /// machine can read a command line.
    fn command(
        &mut self,
        table: &mut Table,
        words: Vec<Pieces>,
        mut env: Vec<(String, Pieces)>,
    ) -> Result<(), String> {
        let mut kept: Vec<String> = Vec::new();
        let mut all = words
            .into_iter()
            .map(|word| self.settled(&word))
            .collect::<Vec<_>>()
            .into_iter()
            .peekable();
        let first = all.next().and_then(|word| plain(&word));
        let program = first.ok_or("its command refers to what is not known here")?;
        // What starts programs on Windows.
        let program = if matches!(program.to_ascii_lowercase().as_str(), "cmd" | "cmd.exe")
            && all
                .peek()
                .and_then(|word| plain(word))
                .is_some_and(|word| word.eq_ignore_ascii_case("/c"))
        {
            let next = all.nth(1).and_then(|word| plain(&word));
            self.notes.push("`cmd /c` is left out".to_owned());
            next.ok_or("nothing stands behind `cmd /c`")?
        } else {
            program
        };
        let is_container =
            ["docker", "podman"].contains(&program.rsplit('/').next().unwrap_or_default());
        kept.push(literal(&program));
        while let Some(word) = all.next() {
            let text = plain(&word);
            let shown = text.as_deref().unwrap_or_default();
            // `docker run -e NAME=VALUE`: it takes the value from its own environment as well.
            if is_container && matches!(shown, "-e" | "--env") {
                kept.push(shown.to_owned());
                let Some(setting) = all.next() else { break };
                kept.push(literal(&setting_of(&setting, &mut env)));
                continue;
            }
            if let Some(setting) = shown.strip_prefix("--env=").filter(|_| is_container) {
                let setting = [Piece::Text(setting.to_owned())];
                kept.push(format!("--env={}", literal(&setting_of(&setting, &mut env))));
                continue;
            }
            let flag = match word.first() {
                Some(Piece::Text(text)) if text.starts_with('-') => Some(text.as_str()),
                _ => None,
            };
            let (flag, joined) = match flag.and_then(|flag| flag.split_once('=')) {
                Some((flag, _)) => (Some(flag.to_owned()), true),
                None => (flag.map(str::to_owned), false),
            };
            match flag {
                Some(flag) if joined => {
                    let mut rest = word.clone();
                    if let Some(Piece::Text(text)) = rest.first_mut() {
                        *text = text[flag.len() + 1..].to_owned();
                    }
                    let token = plain(&rest).is_none_or(|text| is_token(&text));
                    if (is_secret_name(&flag) || token) && !is_word(&rest) {
                        self.moved(&flag, rest, &mut env);
                        continue;
                    }
                }
                Some(flag) => {
                    let next = all.peek().cloned();
                    let value = next.filter(|next| !matches!(next.first(), Some(Piece::Text(text)) if text.starts_with('-')));
                    if let Some(value) = value.filter(|value| {
                        plain(value).is_none_or(|text| {
                            is_token(&text) || is_secret_name(&flag) && flag.starts_with("--")
                        }) && !is_word(value)
                    }) {
                        all.next();
                        // `--header "Name: value"` and the like.
                        self.moved(&flag, value, &mut env);
                        continue;
                    }
                }
                None if text.as_deref().is_none_or(is_token) => {
                    let base = if text.as_deref().is_some_and(has_password) {
                        "DATABASE_URL"
                    } else {
                        "TOKEN"
                    };
                    self.moved(base, word, &mut env);
                    continue;
                }
                None => {}
            }
            match text {
                Some(text) => kept.push(literal(&text)),
                None => {
                    let base = format!("ARGUMENT_{}", kept.len());
                    self.moved(&base, word, &mut env);
                }
            }
        }
        table.insert("command", value(kept.into_iter().collect::<Array>()));
        self.env(table, env);
        Ok(())
    }

    fn moved(&mut self, from: &str, word: Pieces, env: &mut Vec<(String, Pieces)>) {
        let base: String = from
            .trim_start_matches('-')
            .to_ascii_uppercase()
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() { char } else { '_' })
            .collect();
        let mut name = if base.is_empty() { "SECRET".to_owned() } else { base };
        while env.iter().any(|(other, _)| *other == name) {
            name.push('_');
        }
        self.notes.push(format!(
            "what `{from:.40}` said stood on the command line, where every user of the machine reads it; \
             it is given as the variable {name} now: see whether the program takes it there"
        ));
        env.push((name, word));
    }

    /// The endpoint.
    fn url(
        &mut self,
        table: &mut Table,
        pieces: &[Piece],
        headers: Vec<(String, Pieces)>,
    ) -> Result<(), String> {
        let mut headers = headers;
        let pieces = self.settled(pieces);
        let Some(Piece::Text(first)) = pieces.first() else {
            return Err("its URL begins with a reference".to_owned());
        };
        let rest_of = |text: &str| text.split_once("://").map(|(_, rest)| rest.to_owned());
        let authority = rest_of(first).ok_or("its URL has no scheme")?;
        if pieces.len() > 1 && !authority.contains('/') {
            return Err("its URL has a reference before its path".to_owned());
        }
        let mut template = String::new();
        for (index, piece) in pieces.iter().enumerate() {
            template += &match piece {
                Piece::Text(text) if index == 0 => self.beginning(text, &mut headers)?,
                Piece::Text(text) => self.parts(text),
                piece => self.hidden("url", std::slice::from_ref(piece)),
            };
        }
        table.insert("url", value(template));
        let mut made = InlineTable::new();
        for (name, pieces) in headers {
            let lower = name.to_ascii_lowercase();
            if http::HeaderName::from_bytes(name.as_bytes()).is_err()
                || OURS.contains(&lower.as_str())
                || lower.starts_with("mcp-")
            {
                self.notes
                    .push(format!("the header `{name:.40}` is left out; the proxy sets it itself"));
                continue;
            }
            let open = self.around.open.contains(&name);
            let text = match self.known(&pieces).filter(|_| open) {
                Some(text) => literal(&text),
                None => self.hidden(&name, &pieces),
            };
            made.insert(&name, Value::from(text));
        }
        if !made.is_empty() {
            table.insert("headers", value(made));
        }
        Ok(())
    }

    /// Scheme, host and what follows, with a login before the host made a header.
    fn beginning(
        &mut self,
        text: &str,
        headers: &mut Vec<(String, Pieces)>,
    ) -> Result<String, String> {
        let parsed = url::Url::parse(text).map_err(|error| format!("its URL: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("its URL is of the scheme `{}`", parsed.scheme()));
        }
        let (scheme, rest) = text.split_once("://").ok_or("its URL has no scheme")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        if host.len() < authority.len() {
            let user = percent_decode_str(parsed.username()).decode_utf8_lossy().into_owned();
            let password = parsed.password().unwrap_or_default();
            let password = percent_decode_str(password).decode_utf8_lossy();
            let login = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                format!("{user}:{password}"),
            );
            let basic = vec![Piece::Text(format!("Basic {login}"))];
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
            headers.push(("Authorization".to_owned(), basic));
            self.notes.push("the login in its URL is sent as the header Authorization".to_owned());
        }
        Ok(format!("{scheme}://{host}{}", self.parts(tail)))
    }

    /// Path and query: what looks like a credential becomes a reference.
    fn parts(&mut self, text: &str) -> String {
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = path.split('/').map(|segment| {
            let text = decoded(segment);
            if is_token(&text) { self.seal("url_path", &text) } else { literal(segment) }
        });
        let path = path.collect::<Vec<_>>().join("/");
        let Some(query) = query else { return path };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, "")) => format!("{}=", literal(name)),
            Some((name, value)) if !is_harmless(name, value) => {
                // A plus is a space in a query.
                let text = decoded(&value.replace('+', " "));
                format!("{}={}", literal(name), self.seal(&decoded(name), &text))
            }
            None if is_token(pair) => self.seal("url_query", &decoded(pair)),
            _ => literal(pair),
        });
        format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
    }
}

/// Headers that the proxy sets or that no upstream is sent.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "accept",
    "accept-encoding",
    "last-event-id",
    "cookie",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `NAME=VALUE` becomes `NAME`, with the value in the environment.
fn setting_of(setting: &[Piece], env: &mut Vec<(String, Pieces)>) -> String {
    let Some(Piece::Text(first)) = setting.first() else { return String::new() };
    let Some((name, value)) = first.split_once('=') else { return first.clone() };
    let mut pieces = vec![Piece::Text(value.to_owned())];
    pieces.extend(setting[1..].iter().cloned());
    if value.is_empty() && pieces.len() > 1 {
        pieces.remove(0);
    }
    env.retain(|(other, _)| other != name);
    env.push((name.to_owned(), pieces));
    name.to_owned()
}

/// Something that is no value, such as `true`.
fn is_word(pieces: &[Piece]) -> bool {
    plain(pieces).is_some_and(|text| matches!(text.as_str(), "" | "true" | "false" | "none" | "-"))
}
