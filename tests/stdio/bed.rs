//! What the tests need: a spec for `examples/child.rs`, calls, and a look at what is left.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_proxy::base::{Name, Secret, Tasks, now};
use mcp_proxy::config::{EraSetting, ProcessLimits};
use mcp_proxy::upstream::stdio::{ChildSpec, EraMemory, Launcher, StdioLink, open};
use mcp_proxy::upstream::{Event, Link, LinkError, Message, Outgoing, Reply, Sink};
use mcp_proxy::wire::{Called, CapSet, Draft};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn example(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_mcp-proxy")).with_file_name("examples").join(name);
    assert!(path.exists(), "run `cargo build --examples` before this test alone");
    path
}

/// One test's surroundings. Its mark is in the environment of every process it starts.
pub(crate) struct Bed {
    pub(crate) tasks: Tasks,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) mark: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { tasks: Tasks::default(), events: Arc::default(), mark }
    }

    pub(crate) fn spec(&self, modes: &[&str]) -> ChildSpec {
        let mut command = vec![example("child").to_str().unwrap().to_owned()];
        command.extend(modes.iter().map(|mode| (*mode).to_owned()));
        ChildSpec {
            upstream: Name::new("child").unwrap(),
            command,
            env: vec![("TEST_MARK".to_owned(), Secret::new(self.mark.clone()))],
            cwd: None,
            limits: ProcessLimits::default(),
            era: EraSetting::Auto,
            memory: Arc::new(EraMemory::default()),
            start: PATIENCE,
            capabilities: CapSet::NONE,
            shared: false,
            exclusive: false,
            cancels: false,
            launcher: Launcher::new(env!("CARGO_BIN_EXE_mcp-proxy"), std::env::vars_os()),
            log: None,
            redact: Arc::new(|text: &str| text.replace("s3cret", "[redacted]")),
        }
    }

    pub(crate) fn sink(&self) -> Sink {
        let events = Arc::clone(&self.events);
        Arc::new(move |event| events.lock().unwrap().push(event))
    }

    pub(crate) async fn open_spec(&self, spec: ChildSpec) -> Result<Arc<StdioLink>, LinkError> {
        open(spec, self.sink(), &self.tasks).await
    }

    pub(crate) async fn open(&self, modes: &[&str]) -> Arc<StdioLink> {
        self.open_spec(self.spec(modes)).await.unwrap()
    }

    pub(crate) fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| what(event)).count()
    }

    pub(crate) async fn event(&self, what: impl Fn(&Event) -> bool) {
        until("the event has come", || self.count(&what) > 0).await;
    }

    /// Processes with the mark, zombies not counted.
    pub(crate) fn left(&self) -> Vec<u32> {
        marked(&self.mark)
    }

    pub(crate) async fn nothing_is_left(&self) {
        let start = now();
        until("no process is left", || self.left().is_empty()).await;
        assert!(start.elapsed() < Duration::from_secs(7));
    }
}

pub(crate) fn marked(mark: &str) -> Vec<u32> {
    let entry = format!("TEST_MARK={mark}");
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|byte| *byte == 0).any(|e| e == entry.as_bytes()))
        })
        .collect()
}

/// Children of a process, by the process table.
pub(crate) fn children(of: u32) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                let rest = &stat[stat.rfind(')').unwrap() + 2..];
                rest.split(' ').nth(1) == Some(&of.to_string())
            })
        })
        .collect()
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = now() + PATIENCE;
    while !holds() {
        assert!(now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn tool(name: &str, arguments: &str) -> Outgoing {
    let Called::Known(method) = Called::find("tools/call") else { panic!("no such method") };
    Outgoing {
        method,
        draft: Draft::request(
            "tools/call",
            &format!("{{\"name\":\"{name}\",\"arguments\":{arguments}}}"),
        ),
        name: None,
        parameters: Vec::new(),
        timeout: PATIENCE,
        max_time: PATIENCE,
        asker: None,
        takes: CapSet::NONE,
    }
}

pub(crate) fn value(message: &Message) -> Value {
    let value: Value = serde_json::from_slice(&message.bytes).unwrap();
    value.get("result").or_else(|| value.get("error")).cloned().unwrap_or(value)
}

/// The result of a call that is answered at once.
pub(crate) async fn call(
    link: &StdioLink,
    name: &str,
    arguments: &str,
) -> Result<Value, LinkError> {
    match link.request(tool(name, arguments)).await? {
        Reply::Message(message) => Ok(value(&message)),
        other => panic!("not an answer: {other:?}"),
    }
}
