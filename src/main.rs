//! The binary: the hidden subcommand `child` first, everything else is the command line's.

use std::process::ExitCode;

/// Memory of a call is often given back by another thread than the one that took it; this allocator
/// makes no lock of that. Without huge pages: a session or the guardian of a child is small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "child") {
        return mcp_proxy::upstream::stdio::child(arguments.collect());
    }
    mcp_proxy::cli::main()
}
