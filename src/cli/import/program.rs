//! A program that a client starts, with its arguments.

use std::iter::Peekable;
use std::vec::IntoIter;

use toml_edit::{Array, Table, value};

use super::convert::{Maker, literal};
use super::found::{Piece, Pieces, plain};
use super::judge::{has_password, holds_token, is_secret_name, is_token};

impl Maker<'_> {
    /// Program and arguments. What is secret among them moves to a variable: every program of the
    /// machine can read a command line.
    pub(super) fn command(
        &mut self,
        table: &mut Table,
        words: Vec<Pieces>,
        mut env: Vec<(String, Pieces)>,
    ) -> Result<(), String> {
        let mut kept: Vec<String> = Vec::new();
        let words: Vec<_> = words.into_iter().map(|word| self.settled(&word)).collect();
        let mut all = words.into_iter().peekable();
        let program = self.program(&mut all, &mut env)?;
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
            let joined = ["--env=", "-e"].iter().find(|flag| shown.starts_with(**flag));
            if let Some(flag) = joined.filter(|_| is_container) {
                let setting = [Piece::Text(shown[flag.len()..].to_owned())];
                kept.push(format!("{flag}{}", literal(&setting_of(&setting, &mut env))));
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
            let flag = match flag {
                // The person has said that it is none.
                Some(flag) if self.around.open.contains(&flag) => {
                    kept.extend(text.map(|text| literal(&text)));
                    if !joined {
                        let is_value =
                            |next: &Pieces| plain(next).is_some_and(|text| !text.starts_with('-'));
                        let next = all.next_if(is_value);
                        kept.extend(next.and_then(|next| plain(&next)).map(|text| literal(&text)));
                    }
                    continue;
                }
                flag => flag,
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
                Some(text) if holds_token(&text) => {
                    return Err(
                        "an argument of its command holds what looks like a credential in \
                                the middle; give it as a variable (`env`) there, and import again"
                            .to_owned(),
                    );
                }
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

    /// What is started in the end: `cmd /c` and `env NAME=VALUE` only lead there.
    fn program(
        &mut self,
        all: &mut Peekable<IntoIter<Pieces>>,
        env: &mut Vec<(String, Pieces)>,
    ) -> Result<String, String> {
        let unknown = "its command refers to what is not known here";
        let mut program = all.next().and_then(|word| plain(&word)).ok_or(unknown)?;
        let is_slash_c =
            |word: &Pieces| plain(word).is_some_and(|word| word.eq_ignore_ascii_case("/c"));
        // What starts programs on Windows.
        if matches!(program.to_ascii_lowercase().as_str(), "cmd" | "cmd.exe")
            && all.next_if(is_slash_c).is_some()
        {
            self.notes.push("`cmd /c` is left out".to_owned());
            let next = all.next().and_then(|word| plain(&word));
            program = next.ok_or("nothing stands behind `cmd /c`")?;
        }
        if matches!(program.as_str(), "env" | "/usr/bin/env") {
            let is_setting = |word: &Pieces| match word.first() {
                Some(Piece::Text(text)) => !text.starts_with('-') && text.contains('='),
                _ => false,
            };
            while let Some(setting) = all.next_if(is_setting) {
                setting_of(&setting, env);
            }
            let next = all.next().and_then(|word| plain(&word));
            let next = next.filter(|word| !word.starts_with('-'));
            program = next.ok_or("its command is `env` with options, or without a program")?;
        }
        Ok(program)
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
             it is given as the variable {name} now: see whether the program takes it there, or import \
             with --plain if it is no secret"
        ));
        env.push((name, word));
    }
}

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
