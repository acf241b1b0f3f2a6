//! The command line.

use std::{str::FromStr, time::Duration};

use http::{HeaderValue, Uri};

/// What `--help` shows.
pub(crate) const USAGE: &str = "\
load: closed and open loop load on an MCP server over streamable HTTP

usage: load --url URL [options]

Every answer is checked: the id and the echoed text must be those that were sent,
and each call sends another text. Exit status 1 when an answer was wrong.

what to send
  --url URL           the server's endpoint, e.g. http://127.0.0.1:8080/mcp
  --key KEY           send it as bearer key
  --keys FILE         one of these for each call (modern only) or for each session, in turns;
                      one in each line
  --era ERA           legacy: a session per connection (2025-11-25); modern: 2026-07-28
                      (default)
  --method METHOD     tools/call (default), tools/list, or GET of a file
  --tool NAME         the tool that echoes, e.g. up__echo (default echo)
  --names N           each # in the name is a digit of a number that changes from call to
                      call, 1 to N
  --size BYTES        length of the text (default 64, at least 16)
  --result BYTES      ask the tool for a structured result of this length besides

how much
  --connections N     connections, each with one call at a time (default 8)
  --calls N           calls in all (default 10000)
  --seconds S         for so long instead
  --warmup N          calls before counting begins (default 0)
  --rate R            open loop: R calls per second in all; latency counts from the
                      moment a call was due, so a stall of the server counts for all
                      calls that were due in it
  --threads N         threads of this program (default 2)

  --addresses N       clients on so many addresses, 127.0.0.1 and following (default 1)

what to compare
  --vs URL            another target, repeatable; rounds alternate between the targets
                      and ratios are relative to the LAST target
  --rounds R          rounds for each target (default 1, with --vs 5)
  --pipe COMMAND      in the place of --url: a server on standard input and output, with
                      as many calls under way as there would be connections
  --pid NAME=PID+PID  report CPU per call and resident memory of one or more processes,
                      repeatable; with --vs the n-th is the one of the n-th target, and
                      further ones are only reported
  --sessions N        instead of calls: open N legacy sessions over the connections,
                      report resident memory per session, then DELETE them
  --streams N         the same, each with its GET stream open, on a connection of its own
  --idle N            the same with N connections that have made one call each
  --hold S            hold them for so long, and report the CPU time of the second half
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
    /// A file, without any protocol.
    Get,
}

/// What is opened and left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Legacy sessions over few connections.
    Sessions,
    /// Legacy sessions, each with its GET stream.
    Streams,
    /// Connections after one call.
    Connections,
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
    /// Their ids.
    pub(crate) pids: Vec<u32>,
}

/// How names of tools change from call to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// Where the digits begin in the name.
    pub(crate) place: usize,
    /// How many there are.
    pub(crate) digits: usize,
    /// The largest number.
    pub(crate) count: u64,
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) targets: Vec<Target>,
    pub(crate) key: Option<String>,
    pub(crate) keys: Vec<HeaderValue>,
    pub(crate) era: Era,
    pub(crate) method: Method,
    pub(crate) tool: String,
    pub(crate) names: Option<Names>,
    pub(crate) size: usize,
    pub(crate) result: Option<usize>,
    pub(crate) connections: usize,
    pub(crate) amount: Amount,
    pub(crate) warmup: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    pub(crate) addresses: usize,
    pub(crate) pipe: Option<String>,
    pub(crate) pids: Vec<Watched>,
    pub(crate) held: Option<(Held, usize)>,
    pub(crate) hold: Option<Duration>,
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
            keys: Vec::new(),
            era: Era::Modern,
            method: Method::Call,
            tool: "echo".to_owned(),
            names: None,
            size: 64,
            result: None,
            connections: 8,
            amount: Amount::Calls(10_000),
            warmup: 0,
            rate: None,
            threads: 2,
            rounds: 0,
            addresses: 1,
            pipe: None,
            pids: Vec::new(),
            held: None,
            hold: None,
            keep: false,
            json: false,
        };
        let mut names = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--url" => options.targets.insert(0, Target::parse(&value()?)?),
                "--vs" => options.targets.push(Target::parse(&value()?)?),
                "--key" => options.key = Some(value()?),
                "--keys" => options.keys = keys(&value()?)?,
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
                        "GET" => Method::Get,
                        other => {
                            return Err(format!(
                                "--method is tools/call, tools/list or GET, not {other}"
                            ));
                        }
                    };
                }
                "--tool" => options.tool = value()?,
                "--names" => names = Some(number::<u64>(&arg, &value()?)?.max(1)),
                "--size" => options.size = number::<usize>(&arg, &value()?)?.max(16),
                "--result" => options.result = Some(number(&arg, &value()?)?),
                "--addresses" => options.addresses = number(&arg, &value()?)?,
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
                "--pipe" => options.pipe = Some(value()?),
                "--sessions" => options.held = Some((Held::Sessions, number(&arg, &value()?)?)),
                "--streams" => options.held = Some((Held::Streams, number(&arg, &value()?)?)),
                "--idle" => options.held = Some((Held::Connections, number(&arg, &value()?)?)),
                "--hold" => {
                    options.hold = Some(Duration::from_secs_f64(positive(&arg, &value()?)?));
                }
                "--keep" => options.keep = true,
                "--json" => options.json = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        if let Some(command) = &options.pipe {
            // Named in the report as the others are by their URLs.
            let target =
                Target { url: command.clone(), authority: String::new(), path: String::new() };
            options.targets = vec![target];
        }
        if options.targets.is_empty() {
            return Err("--url is missing".to_owned());
        }
        if let Some(count) = names {
            options.names = Some(Names::find(&options.tool, count)?);
        }
        if !options.keys.is_empty() && options.era == Era::Legacy && options.held.is_none() {
            return Err("--keys needs --era modern: a session belongs to one key".to_owned());
        }
        if !(1..=250).contains(&options.addresses) {
            return Err("--addresses is 1 to 250".to_owned());
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
        let (name, pids) = text.split_once('=').unwrap_or((text, text));
        let pids = pids.split('+').map(|pid| number("--pid", pid)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), pids })
    }
}

impl Names {
    fn find(tool: &str, count: u64) -> Result<Self, String> {
        let digits = tool.bytes().filter(|byte| *byte == b'#').count();
        match tool.find('#') {
            Some(place) if tool[place..].starts_with(&"#".repeat(digits)) => {
                let most = 10_u64.saturating_pow(u32::try_from(digits).unwrap_or(u32::MAX)) - 1;
                Ok(Self { place, digits, count: count.min(most) })
            }
            _ => Err(format!("--names needs one row of # in --tool, not {tool:?}")),
        }
    }

    /// The digits for the call with this number. Neighbours in time are none in the list.
    pub(crate) fn digits(&self, number: u64) -> String {
        let own = number.wrapping_mul(7919) % self.count + 1;
        format!("{own:0width$}", width = self.digits)
    }
}

/// The keys in a file, as headers.
fn keys(path: &str) -> Result<Vec<HeaderValue>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let header = |line: &str| {
        HeaderValue::try_from(format!("Bearer {line}"))
            .map_err(|_| format!("{path}: no key: {line:?}"))
    };
    text.lines().map(header).collect()
}
