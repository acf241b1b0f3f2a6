//! Exit codes (sysexits.h): 64 for a bad file or flag, 69 for a service that cannot be reached,
//! 1 for any other failure.

use std::process::ExitCode;

use super::refusal::ReachError;
use crate::config::Problems;

/// A bad file or flag.
pub(super) const USAGE: u8 = 64;
/// A service that cannot be reached.
const UNREACHABLE: u8 = 69;

/// The code for an error, found by its cause.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(ReachError::Usage(_)) => ExitCode::from(USAGE),
        Some(ReachError::Unreachable(_)) => ExitCode::from(UNREACHABLE),
        _ if error.is::<Problems>() => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}
