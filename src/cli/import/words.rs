//! References that clients put into values: `${env:NAME}`, `${NAME:-other}`, `${input:name}`.

use super::found::{Piece, Pieces};
use crate::cli::connect::Client;

/// Takes a value apart, in the words of its client.
///
/// Claude Code: `${VAR}` and `${VAR:-default}`. Cursor: `${env:VAR}`, and folders. Windsurf:
/// `${env:VAR}` and `${file:path}`. VS Code: `${env:VAR}`, `${input:id}`, `${command:id}`, folders.
/// Gemini: `$VAR`, `${VAR}` and `${VAR:-default}` (its envVarResolver.ts). The others have none, and
/// what looks like one is text.
pub(super) fn pieces(client: Client, text: &str) -> Pieces {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        literal += &rest[..at];
        let tail = &rest[at..];
        match reference(client, tail) {
            Some((piece, length)) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
                rest = &tail[length..];
            }
            None => {
                literal.push('$');
                rest = &tail[1..];
            }
        }
    }
    literal += rest;
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}

/// The reference that a text begins with, and its length.
fn reference(client: Client, text: &str) -> Option<(Piece, usize)> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let Some(inner) = text.strip_prefix("${") else {
        let name = text[1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        let fits =
            client == Client::Gemini && is_name(name) && !name.as_bytes()[0].is_ascii_digit();
        return fits.then(|| (Piece::Variable(name.to_owned(), None), 1 + name.len()));
    };
    let end = inner.find('}')?;
    let (word, length) = (&inner[..end], end + 3);
    let variable = |name: &str, other: Option<&str>| {
        is_name(name).then(|| Piece::Variable(name.to_owned(), other.map(str::to_owned)))
    };
    let piece = match client {
        Client::ClaudeCode | Client::Gemini => match word.split_once(":-") {
            Some((name, other)) => variable(name, Some(other)),
            None => variable(word, None),
        },
        // mcp-remote reads these from the environment of its entry.
        Client::ClaudeDesktop | Client::Zed | Client::Codex => None,
        _ => match word.split_once(':') {
            Some(("env", name)) => variable(name, None),
            Some(("input", name)) => Some(Piece::Input(name.to_owned())),
            // A file, a setting, a command of the client: nobody but it knows.
            _ => Some(Piece::Word(word.to_owned())),
        },
    };
    piece.map(|piece| (piece, length))
}
