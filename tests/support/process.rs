//! One started program: its output line by line, its descendants, its end.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a started program may take for anything that it is asked to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `state` gives something, looking again every few milliseconds.
///
/// # Panics
/// When it is still not so after `patience`; `what` names it.
pub(crate) fn until<T>(what: &str, patience: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(Instant::now() < end, "after {patience:?} still not: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Lines of both outputs in the order of their arrival.
#[derive(Default)]
struct Lines {
    seen: Mutex<(Vec<String>, usize)>,
    changed: Condvar,
}

impl Lines {
    fn collect(self: &Arc<Self>, from: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.seen.lock().expect("no holder panics").0.push(text);
                lines.changed.notify_all();
                line.clear();
            }
            lines.seen.lock().expect("no holder panics").1 += 1;
            lines.changed.notify_all();
        });
    }
}

/// A program that ends with the value: asked first, killed when it does not listen.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

impl Process {
    /// Starts it with pipes for all three streams; the input stays open.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let lines = Arc::new(Lines::default());
        lines.collect(child.stdout.take().expect("piped"));
        lines.collect(child.stderr.take().expect("piped"));
        Self { name, child, lines }
    }

    /// Runs a program to its end and gives its exit status and both outputs.
    ///
    /// # Panics
    /// When it cannot be started, or has not ended after `patience`.
    pub(crate) fn run(
        command: &mut Command,
        input: &[u8],
        patience: Duration,
    ) -> (ExitStatus, String, String) {
        fn all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // A stream that breaks has said what it had to say.
                let _ = from.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        }
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = all(child.stdout.take().expect("piped"));
        let errors = all(child.stderr.take().expect("piped"));
        // A program that does not read its input may be gone already.
        let _ = child.stdin.take().expect("piped").write_all(input);
        let end = Instant::now() + patience;
        let status = loop {
            if let Ok(Some(status)) = child.try_wait() {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{name} did not end within {patience:?}");
            }
            thread::park_timeout(Duration::from_millis(5));
        };
        let text = |from: thread::JoinHandle<String>| from.join().expect("readers do not panic");
        (status, text(output), text(errors))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it does not read (any more).
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Everything it has printed up to now.
    pub(crate) fn log(&self) -> String {
        self.lines.seen.lock().expect("no holder panics").0.join("\n")
    }

    /// Waits for the first line from which `read` takes something.
    ///
    /// # Panics
    /// When the program ends or half a minute passes before.
    pub(crate) fn line<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> T {
        self.line_within(PATIENCE, what, read)
    }

    /// The same with another patience.
    ///
    /// # Panics
    /// When the program ends or `patience` passes before.
    pub(crate) fn line_within<T>(
        &self,
        patience: Duration,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> T {
        let end = Instant::now() + patience;
        let mut seen = self.lines.seen.lock().expect("no holder panics");
        loop {
            if let Some(found) = seen.0.iter().find_map(|line| read(line)) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if seen.1 == 2 || left.is_zero() {
                // What it printed instead is shown when the process is dropped.
                drop(seen);
                panic!("{} did not print {what}", self.name);
            }
            seen = self.lines.changed.wait_timeout(seen, left).expect("no holder panics").0;
        }
    }

    /// All processes below this one: (process id, start time, command line).
    pub(crate) fn descendants(&self) -> Vec<(u32, u64, String)> {
        let all = processes();
        let mut below = vec![self.id()];
        let mut found = Vec::new();
        while let Some(parent) = below.pop() {
            for (id, of, started) in &all {
                if *of == parent {
                    below.push(*id);
                    found.push((*id, *started, command_line(*id)));
                }
            }
        }
        found
    }

    /// Asks it to end (SIGTERM) and waits; kills it when it does not.
    ///
    /// # Panics
    /// When it had to be killed.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let (status, listened) = self.end();
        assert!(listened, "{} did not end after SIGTERM", self.name);
        status
    }

    /// Kills it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn end(&mut self) -> (ExitStatus, bool) {
        if let Ok(Some(status)) = self.child.try_wait() {
            return (status, true);
        }
        if let Some(id) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return (status, true);
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        (self.child.wait().expect("the child is ours"), false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let below = self.descendants();
        self.end();
        if thread::panicking() {
            // To the real stream: the test runner shows captured output only of this thread.
            let _ = writeln!(std::io::stderr(), "--- {} printed:\n{}", self.name, self.log());
            return;
        }
        until("no process is left behind", PATIENCE, || survivors(&below).is_empty().then_some(()));
    }
}

/// Those that still run, zombies not counted.
pub(crate) fn survivors(of: &[(u32, u64, String)]) -> Vec<(u32, u64, String)> {
    let now = processes();
    of.iter()
        .filter(|(id, started, _)| now.iter().any(|(i, _, s)| i == id && s == started))
        .cloned()
        .collect()
}

fn command_line(id: u32) -> String {
    std::fs::read(format!("/proc/{id}/cmdline"))
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .unwrap_or_default()
}

/// (process id, parent, start time) of every running process; empty where there is no `/proc`.
fn processes() -> Vec<(u32, u32, u64)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; the fields follow its end (proc(5)).
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            let started = fields.nth(17)?.parse().ok()?;
            (state != "Z").then_some((id, parent, started))
        })
        .collect()
}
