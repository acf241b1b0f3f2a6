//! An MCP server that offers everything the official conformance scenarios
//! name, in either protocol era, over stdio or streamable HTTP.

#![expect(
    deprecated,
    reason = "sampling, roots and logging are what the earlier revisions consist of"
)]

mod ask;
mod definitions;
mod era;
mod ledger;
mod listen;
mod probe;
mod prompts;
mod resources;
mod scripts;
mod server;
mod simple;
mod tasks;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use era::Era;
use ledger::Ledger;
use server::Everything;

const USAGE: &str = "\
everything: an MCP server for tests of clients and proxies

usage: everything [--http ADDR] [--era legacy|modern|both] [--tools N] [--page N] [--json] [--ledger FILE]

  --http ADDR   serve streamable HTTP at http://ADDR/mcp (port 0: any); default: stdio
  --era ERA     legacy: knows only the revisions with initialize
                modern: knows only 2026-07-28
                both (default): each request chooses
  --tools N     add N synthetic tools synthetic_0001 …
  --page N      answer tools/list in pages of N tools; default: one page
  --json        answer requests of 2026-07-28 over HTTP as JSON where possible; default: SSE
  --ledger FILE add a line to FILE for each call of a tool that has a text `call` among its
                arguments, before it runs: that text, and the id of this process

Ends on SIGTERM, and when its standard input (a pipe) closes.";

/// What the command line asked for.
struct Options {
    http: Option<SocketAddr>,
    era: Era,
    tools: usize,
    page: Option<usize>,
    json: bool,
    ledger: Option<PathBuf>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options =
            Self { http: None, era: Era::Both, tools: 0, page: None, json: false, ledger: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--http" => options.http = Some(parsed(&arg, &value()?)?),
                "--era" => options.era = parsed(&arg, &value()?)?,
                "--tools" => options.tools = parsed(&arg, &value()?)?,
                "--page" => options.page = Some(parsed(&arg, &value()?)?),
                "--json" => options.json = true,
                "--ledger" => options.ledger = Some(PathBuf::from(value()?)),
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        Ok(Some(options))
    }
}

fn parsed<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{option}: {value:?} is not a valid value"))
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            eprintln!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("everything: {reason}\n\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("everything: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ledger = match options.ledger.as_deref().map(Ledger::open).transpose() {
        Ok(ledger) => ledger,
        Err(error) => {
            eprintln!("everything: cannot open the ledger: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = Everything::new(options.era, options.tools, options.page, ledger);
    let outcome = runtime.block_on(async {
        match options.http {
            Some(address) => listen::http(server, address, options.json).await,
            None => listen::stdio(server).await,
        }
    });
    // A blocked read of standard input must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everything: {error}");
            ExitCode::FAILURE
        }
    }
}
