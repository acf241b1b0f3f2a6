//! A bare loop over the pipe of a server on standard input and output: what any proxy before such
//! a server is compared with.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    message::{Sent, Template},
    options::{Amount, Options},
    round::Round,
};

/// Only to leave room in the pipe's 64 KiB for all calls that are under way.
const MOST_UNDER_WAY: usize = 48 * 1024;

/// What is read of an answer to find its call.
#[derive(Deserialize)]
struct Head {
    id: Option<u64>,
}

struct Pipe {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Pipe {
    fn start(command: &str) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{command}: {error}");
        let mut words = command.split_whitespace();
        let program = words.next().ok_or("--pipe is empty")?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"has no pipes"));
        };
        Ok(Self { child, input, output: BufReader::with_capacity(256 * 1024, output) })
    }

    fn end(mut self) -> Result<(), String> {
        // The end of its input is the end of the server.
        drop(self.input);
        self.child.wait().map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Loads a server over its pipe.
///
/// # Errors
///
/// When it does not start, or ends before its time.
pub(crate) fn run(options: &Options, command: &str) -> Result<Round, String> {
    let template = Template::new(options);
    let one = template.fill(0).body.len() + 1;
    if one * options.connections > MOST_UNDER_WAY {
        return Err("--pipe is for small messages: they must all fit into the pipe".to_owned());
    }
    let mut pipe = Pipe::start(command)?;
    if options.warmup > 0 {
        measure(options, &template, &mut pipe, Amount::Calls(options.warmup))?;
    }
    let round = measure(options, &template, &mut pipe, options.amount)?;
    pipe.end()?;
    Ok(round)
}

fn measure(
    options: &Options,
    template: &Template,
    pipe: &mut Pipe,
    amount: Amount,
) -> Result<Round, String> {
    let start = Instant::now();
    let (end, time) = match amount {
        Amount::Calls(calls) => (calls, Duration::MAX),
        Amount::Time(time) => (u64::MAX, time),
    };
    let mut round = Round::default();
    let mut under_way: HashMap<u64, (Sent, Instant)> = HashMap::new();
    let (mut next, mut out, mut line) = (0, Vec::new(), Vec::new());
    loop {
        while under_way.len() < options.connections && next < end && start.elapsed() < time {
            let sent = template.fill(next);
            out.extend_from_slice(&sent.body);
            out.push(b'\n');
            under_way.insert(Template::id(next), (sent, Instant::now()));
            next += 1;
        }
        // Written together as long as there is something left to read.
        if pipe.output.buffer().is_empty() && !out.is_empty() {
            pipe.input.write_all(&out).map_err(|error| format!("writing: {error}"))?;
            out.clear();
        }
        if under_way.is_empty() {
            break;
        }
        line.clear();
        let length = pipe.output.read_until(b'\n', &mut line);
        if length.map_err(|error| format!("reading: {error}"))? == 0 {
            return Err("the server has ended".to_owned());
        }
        let head: Option<Head> = serde_json::from_slice(&line).ok();
        let Some(id) = head.and_then(|head| head.id) else { continue };
        let Some((sent, due)) = under_way.remove(&id) else { continue };
        match sent.check(line.trim_ascii_end(), false) {
            Ok(()) => {
                round.latency.record(u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX));
                round.bytes += line.len() as u64;
            }
            Err(reason) => {
                round.errors += 1;
                round.first_error.get_or_insert(reason);
            }
        }
    }
    round.seconds = start.elapsed().as_secs_f64();
    Ok(round)
}
