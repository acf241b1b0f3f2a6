//! The command line.

use std::{str::FromStr, time::Duration};

use http::Uri;

/// What `--help` shows.
pub(crate) const USAGE: &str = "\
load: closed and open loop load on an MCP server over streamable HTTP

usage: load --url URL [options]

Every answer is checked: the id and the echoed text must be those that were sent,
and each call sends another text. Exit status 1 when an answer was wrong.

what to send
  --url URL           the server's endpoint, e.g. http://127.0.0.1:8080/mcp
  --key KEY           send it as bearer key
  --era ERA           legacy: a session per connection (2025-11-25); modern: 2026-07-28
                      (default)
  --method METHOD     tools/call (default) or tools/list
  --tool NAME         the tool that echoes, e.g. up__echo (default echo)
  --size BYTES        length of the text (default 64, at least 16)

how much
  --connections N     connections, each with one call at a time (default 8)
  --calls N           calls in all (default 10000)
  --seconds S         for so long instead
  --warmup N          calls before counting begins (default 0)
  --rate R            open loop: R calls per second in all; latency counts from the
                      moment a call was due, so a stall of the server counts for all
                      calls that were due in it
  --threads N         threads of this program (default 2)

what to compare
  --vs URL            another target, repeatable; rounds alternate between the targets
                      and ratios are relative to the LAST target
  --rounds R          rounds for each target (default 1, with --vs 5)
  --pid NAME=PID      report CPU per call and resident memory of a process, repeatable;
                      with --vs the n-th process is the one of the n-th target, and
                      further ones are only reported
  --sessions N        instead of calls: open N legacy sessions over the connections,
                      report resident memory per session, then DELETE them
  --keep              leave those sessions open
  --json              report as one line of JSON";

/// The protocol era in which to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// A session with `initialize`, 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// The request that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// `tools/call`.
    Call,
    /// `tools/list`.
    List,
}

/// When a round ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// After so many calls.
    Calls(u64),
    /// After so long.
    Time(Duration),
}

/// One server to load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As it was written.
    pub(crate) url: String,
    /// Host and port.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

/// A process to watch.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// What to call it.
    pub(crate) name: String,
    /// Its id.
    pub(crate) pid: u32,
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) targets: Vec<Target>,
    pub(crate) key: Option<String>,
    pub(crate) era: Era,
    pub(crate) method: Method,
    pub(crate) tool: String,
    pub(crate) size: usize,
    pub(crate) connections: usize,
    pub(crate) amount: Amount,
    pub(crate) warmup: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    pub(crate) pids: Vec<Watched>,
    pub(crate) sessions: Option<usize>,
    pub(crate) keep: bool,
    pub(crate) json: bool,
}

impl Options {
    /// Reads the command line. None when help was asked for.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            targets: Vec::new(),
            key: None,
            era: Era::Modern,
            method: Method::Call,
            tool: "echo".to_owned(),
            size: 64,
            connections: 8,
            amount: Amount::Calls(10_000),
            warmup: 0,
            rate: None,
            threads: 2,
            rounds: 0,
            pids: Vec::new(),
            sessions: None,
            keep: false,
            json: false,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--url" => options.targets.insert(0, Target::parse(&value()?)?),
                "--vs" => options.targets.push(Target::parse(&value()?)?),
                "--key" => options.key = Some(value()?),
                "--era" => {
                    options.era = match value()?.as_str() {
                        "legacy" => Era::Legacy,
                        "modern" => Era::Modern,
                        other => return Err(format!("--era is legacy or modern, not {other}")),
                    };
                }
                "--method" => {
                    options.method = match value()?.as_str() {
                        "tools/call" => Method::Call,
                        "tools/list" => Method::List,
                        other => {
                            return Err(format!(
                                "--method is tools/call or tools/list, not {other}"
                            ));
                        }
                    };
                }
                "--tool" => options.tool = value()?,
                "--size" => options.size = number::<usize>(&arg, &value()?)?.max(16),
                "--connections" => options.connections = number(&arg, &value()?)?,
                "--calls" => options.amount = Amount::Calls(number(&arg, &value()?)?),
                "--seconds" => {
                    let seconds = positive(&arg, &value()?)?;
                    options.amount = Amount::Time(Duration::from_secs_f64(seconds));
                }
                "--warmup" => options.warmup = number(&arg, &value()?)?,
                "--rate" => options.rate = Some(positive(&arg, &value()?)?),
                "--threads" => options.threads = number(&arg, &value()?)?,
                "--rounds" => options.rounds = number(&arg, &value()?)?,
                "--pid" => options.pids.push(Watched::parse(&value()?)?),
                "--sessions" => options.sessions = Some(number(&arg, &value()?)?),
                "--keep" => options.keep = true,
                "--json" => options.json = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        if options.targets.is_empty() {
            return Err("--url is missing".to_owned());
        }
        if options.connections == 0 || options.threads == 0 {
            return Err("--connections and --threads are at least 1".to_owned());
        }
        if options.rounds == 0 {
            options.rounds = if options.targets.len() > 1 { 5 } else { 1 };
        }
        Ok(Some(options))
    }
}

fn number<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{option}: {value:?} is not a whole number"))
}

fn positive(option: &str, value: &str) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("{option}: {value:?} is not a number above 0"))
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("{text:?} is not an http:// URL"));
        };
        let authority = match authority.port() {
            Some(_) => authority.as_str().to_owned(),
            None => format!("{}:80", authority.host()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { url: text.to_owned(), authority, path })
    }
}

impl Watched {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').unwrap_or((text, text));
        Ok(Self { name: name.to_owned(), pid: number("--pid", pid)? })
    }
}
