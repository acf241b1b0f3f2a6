//! The shape of files: short, introduced by a line, named by a noun; a `mod.rs` is a table of
//! contents.

use std::collections::BTreeSet;

use crate::hold;
use crate::source::{sources, texts};

const EVERYWHERE: &[&str] = &["src", "examples", "tests"];
const MOST_LINES: usize = 600;
const MOST_LINES_OF_MOD: usize = 80;
const MOST_LINES_OF_LIB: usize = 170;
const MOST_LINES_OF_MAIN: usize = 40;

/// Names that say nothing, so that everything ends up there.
const ATTICS: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "type", "types", "manager", "managers", "misc",
];

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut found = Vec::new();
    for text in texts(EVERYWHERE) {
        let most = match text.path.as_str() {
            "src/lib.rs" => MOST_LINES_OF_LIB,
            "src/main.rs" => MOST_LINES_OF_MAIN,
            path if path.starts_with("src/") && path.ends_with("/mod.rs") => MOST_LINES_OF_MOD,
            _ => MOST_LINES,
        };
        let lines = text.text.lines().count();
        if lines > most {
            found.push(format!(
                "{}:{most}: has {lines} lines, at most {most} are allowed; split it by noun, or move its tests \
                 into a file `tests.rs` beside it",
                text.path
            ));
        }
    }
    hold("Files are short enough to be read in one go (house.md 3.2).", &found);
}

#[test]
fn the_first_line_of_every_file_says_what_it_is() {
    let found: Vec<String> = texts(EVERYWHERE)
        .iter()
        .filter(|text| !text.text.starts_with("//! ") || text.text.starts_with("//! \n"))
        .map(|text| {
            format!(
                "{}:1: begin with `//! ` and a sentence that says what the file is for",
                text.path
            )
        })
        .collect();
    hold("The first line of every file is its documentation (house.md 3.5).", &found);
}

#[test]
fn a_mod_file_is_a_table_of_contents() {
    let mut found = Vec::new();
    for source in sources() {
        if !source.path.ends_with("/mod.rs") && source.path != "src/lib.rs" {
            continue;
        }
        for other in &source.facts.others {
            found.push(format!(
                "{}: more than docs, `mod` and `use`; move it to a file named by its noun",
                source.at(other.line)
            ));
        }
    }
    hold("A mod.rs holds docs, attributes, `mod` and `use` only (house.md 3.1).", &found);
}

#[test]
fn no_module_is_an_attic() {
    let mut found = Vec::new();
    for text in texts(EVERYWHERE) {
        let bare = text.path.trim_end_matches(".rs");
        if let Some(attic) = bare.split('/').find(|part| ATTICS.contains(part)) {
            found
                .push(format!("{}:1: `{attic}` says nothing; name it by what it holds", text.path));
        }
    }
    hold("Modules are named by nouns (house.md 3.4, 9).", &found);
}

#[test]
fn a_module_stands_in_one_place() {
    let paths: BTreeSet<String> = texts(&["src"]).into_iter().map(|text| text.path).collect();
    let twice: Vec<String> = paths
        .iter()
        .filter(|path| path.ends_with("/mod.rs"))
        .map(|path| path.replace("/mod.rs", ".rs"))
        .filter(|path| paths.contains(path))
        .map(|path| format!("{path}:1: there is a folder of that name; use its mod.rs"))
        .collect();
    hold("A module with parts is a folder with a mod.rs (house.md 3.1).", &twice);
}
