//! The binary: the hidden subcommand `child` first, everything else is the command line's.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "child") {
        return mcp_proxy::upstream::stdio::child(arguments.collect());
    }
    mcp_proxy::cli::main()
}
