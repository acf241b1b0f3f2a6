//! Nothing that can be written makes the check stumble.

use std::path::Path;

use proptest::prelude::*;

use crate::config::{Problems, check_text};

const SHIPPED: &str = include_str!("../../../mcp-proxy.toml");
const WORDS: [&str; 40] = [
    "[server]\n",
    "[upstreams.a]\n",
    "[tenants.t]\n",
    "[[upstreams]]\n",
    "[upstreams]\n",
    "listen = ",
    "url = ",
    "command = ",
    "env = ",
    "headers = ",
    "keys = ",
    "secrets = ",
    "share = ",
    "arguments = ",
    "timeout = ",
    "memory = ",
    "tls = ",
    "origins = ",
    "store = ",
    "{ a = ",
    "}",
    "[",
    "]",
    ", ",
    "\n",
    "\"",
    "\"\"\"",
    "'",
    "\"{secret.x}\"",
    "\"{key}\"",
    "\"https://a/{tenant}\"",
    "\"10m\"",
    "99999999999999999999",
    "-1",
    "0x1F",
    "1e400",
    "true",
    "1979-05-27",
    "\"\\u0000€\r\"",
    "a.b.c = ",
];

/// What every refusal keeps: a list that is not empty, places inside the text, in order, and
/// words that print.
fn judge(text: &str) -> Result<(), TestCaseError> {
    let problems: Problems = match check_text(text, "file.toml", Path::new("/etc/mcp")) {
        Ok(_) => return Ok(()),
        Err(problems) => problems,
    };
    let mut last = (0, 0);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &problems {
        prop_assert!(last <= (problem.line, problem.column), "in the order of the lines");
        last = (problem.line, problem.column);
        prop_assert!((1..=lines.len()).contains(&problem.line));
        let length = lines[problem.line - 1].chars().count();
        prop_assert!((1..=length + 2).contains(&problem.column), "{problem:?}");
        let printed = problem.to_string();
        prop_assert!(!printed.contains(['\r', '\t', '\0', '\u{1b}']), "{printed:?}");
        prop_assert!(!problem.message.is_empty() && !problem.message.ends_with('.'));
    }
    prop_assert!(problems.iter().count() > 0);
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        judge(&text)?;
    }

    #[test]
    fn any_sequence_of_the_words_of_a_file_is_answered(
        words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)
    ) {
        judge(&words.concat())?;
    }

    #[test]
    fn the_shipped_file_with_damage_is_answered(
        at in 0..SHIPPED.len(), cut in 0..40_usize, put in "(?s).{0,6}"
    ) {
        let text = SHIPPED.replace("# ", "");
        let start = text.floor_char_boundary(at);
        let end = text.floor_char_boundary(start + cut).max(start);
        judge(&format!("{}{put}{}", &text[..start], &text[end..]))?;
    }
}
