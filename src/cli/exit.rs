//! Exit codes (sysexits.h): 64 for a bad file or flag, 69 for a service that cannot be reached,
//! 1 for any other failure.

use std::process::ExitCode;

use crate::config::Problems;

/// A bad file or flag.
pub(super) const USAGE: u8 = 64;

/// The code for an error, found by its cause.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Problems>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}
