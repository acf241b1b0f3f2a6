//! Where a command reads and writes; tests put buffers in its place.

use std::io::{self, IsTerminal, Read, Write};

/// Standard input, output and error of a command.
pub struct Screen {
    /// Where a secret's value comes from.
    pub input: Box<dyn Read>,
    /// Whether a person types it.
    pub input_is_terminal: bool,
    /// The answer itself.
    pub out: Box<dyn Write>,
    /// Whether a person reads it.
    pub out_is_terminal: bool,
    /// What surrounds the answer when a program reads it.
    pub notes: Box<dyn Write>,
}

impl Screen {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            input: Box::new(io::stdin()),
            input_is_terminal: io::stdin().is_terminal(),
            out: Box::new(io::stdout()),
            out_is_terminal: io::stdout().is_terminal(),
            notes: Box::new(io::stderr()),
        }
    }

    /// A line of the answer.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// A line for a person: beside the answer on a terminal, on standard error otherwise.
    pub(super) fn note(&mut self, line: &str) -> io::Result<()> {
        let to = if self.out_is_terminal { &mut self.out } else { &mut self.notes };
        writeln!(to, "{line}")
    }

    /// An answer for programs.
    pub(super) fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        writeln!(self.out, "{value:#}")
    }
}
