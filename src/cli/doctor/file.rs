//! The file, as `check` sees it.

use std::path::Path;

use super::finding::Findings;
use crate::cli::command::{FILE, read_config};
use crate::config::{Config, Problems};

/// Reads the file; with problems of its own there is none.
///
/// # Errors
/// When it is no file that can be checked.
pub(super) fn look(
    given: Option<&Path>,
    findings: &mut Findings,
) -> anyhow::Result<Option<Config>> {
    let place = given.unwrap_or(Path::new(FILE)).display().to_string();
    match read_config(given) {
        Ok((config, warnings, shipped)) => {
            for warning in warnings {
                findings.note("file-warning", &place, warning.to_string(), ("", ""));
            }
            if shipped {
                let next = "`mcp-proxy init` writes one; name another with --config";
                findings.note(
                    "file-absent",
                    &place,
                    "there is none, the built-in one counts",
                    ("", next),
                );
            } else {
                findings.good("file", &place, "no problems");
            }
            Ok(Some(config))
        }
        Err(error) => {
            let problems = error.downcast::<Problems>()?;
            for problem in problems.iter() {
                let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
                let hint = problem.hint.clone().unwrap_or_default();
                findings.bad("file", &place, problem.message.clone(), ("", &hint));
            }
            Ok(None)
        }
    }
}

/// The configuration, where there is a sound one.
pub(super) fn quietly(given: Option<&Path>) -> Option<Config> {
    read_config(given).ok().map(|(config, _, _)| config)
}
