//! Entries that start mcp-remote: what they mean is a URL with headers.

use super::found::{Found, Piece, Pieces, Way, plain};

/// Puts the URL in the place of the shim.
pub(super) fn unwrap(found: &mut Found) {
    let Some(Way::Command { words, env, .. }) = &found.way else { return };
    let texts: Vec<String> = words.iter().map(|word| shown(word)).collect();
    let is_shim = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or(word);
        name == "mcp-remote" || name.starts_with("mcp-remote@")
    };
    let Some(at) = texts.iter().take(5).position(is_shim) else { return };
    let is_url = |word: &String| word.starts_with("https://") || word.starts_with("http://");
    let Some(place) = texts.iter().skip(at + 1).position(is_url) else { return };
    let place = at + 1 + place;
    let mut headers: Vec<(String, Pieces)> = Vec::new();
    let mut left = Vec::new();
    let mut rest = texts.iter().enumerate().skip(at + 1).filter(|(index, _)| *index != place);
    while let Some((_, word)) = rest.next() {
        match word.as_str() {
            "--header" => {
                let Some((_, header)) = rest.next() else { break };
                let Some((name, value)) = header.split_once(':') else { continue };
                headers.push((name.trim().to_owned(), expand(value.trim(), env)));
            }
            "--allow-http" | "--debug" => {}
            "--transport" => drop(rest.next()),
            other => left.push(other.to_owned()),
        }
    }
    if !left.is_empty() {
        found.notes.push(format!("{} arguments of mcp-remote are left out", left.len()));
    }
    found.notes.push("mcp-remote is not needed here; its URL is connected to".to_owned());
    found.way = Some(Way::Url { url: words[place].clone(), headers });
}

/// The text of a value, with `${NAME}` for variables.
fn shown(pieces: &[Piece]) -> String {
    plain(pieces).unwrap_or_else(|| {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name, _) | Piece::Input(name) | Piece::Word(name) => {
                format!("${{{name}}}")
            }
        };
        pieces.iter().map(text).collect()
    })
}

/// mcp-remote puts variables into headers, first those of its entry.
fn expand(text: &str, env: &[(String, Pieces)]) -> Pieces {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("${") {
        let Some((name, after)) = tail.split_once('}') else { break };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        match env.iter().find(|(own, _)| own == name) {
            Some((_, value)) => pieces.extend(value.iter().cloned()),
            None => pieces.push(Piece::Variable(name.to_owned(), None)),
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}
