//! A proxy whose file is written again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Client, Era, Proxy, Setup, Stream, everything, until};

/// Longest wait for what ought to come soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The example `child`, which stands beside `everything`.
fn child() -> PathBuf {
    let path = everything().with_file_name("child");
    assert!(path.exists(), "run `cargo build --examples` before this test alone");
    path
}

/// An upstream that is a process with these words in its command line. Its tool `report` says
/// which process it is and how many calls it had.
pub(crate) fn process(name: &str, words: &str) -> String {
    let words: String = words.split(' ').map(|word| format!(", {word:?}")).collect();
    format!("[upstreams.{name}]\ncommand = [{:?}, \"lists\"{words}]\n", child())
}

/// An upstream that is a process with everything, and as many tools more as it is told.
pub(crate) fn full(name: &str, tools: usize) -> String {
    format!(
        "[upstreams.{name}]\ncommand = [{:?}, \"--tools\", \"{tools}\"]\n",
        everything().to_str().expect("UTF-8")
    )
}

/// The file around these upstreams.
pub(crate) fn file(upstreams: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{upstreams}\
         [tenants.test]\nkeys = [{{ name = \"test\", env = \"TEST_KEY\" }}]\n"
    )
}

/// A proxy that reads its file again on SIGHUP, and not by itself.
pub(crate) fn start(setup: Setup, toml: &str) -> Proxy {
    setup.config(toml).serve_with(&["--no-watch"])
}

/// Puts another file in the place of the old one, as editors do.
pub(crate) fn write(proxy: &Proxy, toml: &str) {
    replace(&proxy.folder().join("mcp-proxy.toml"), toml);
}

/// Puts another file in the place of one, readable by its owner alone.
pub(crate) fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).expect("the folder is ours");
    let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&fresh, owner).expect("the file is ours");
    fs::rename(&fresh, path).expect("the folder is ours");
}

/// Sends SIGHUP and gives what the log says came of it.
pub(crate) fn hang_up(proxy: &Proxy) -> String {
    let told = || -> Vec<String> {
        let log = proxy.log();
        log.lines().filter(|line| line.contains("by=Signal")).map(str::to_owned).collect()
    };
    let before = told().len();
    let id = i32::try_from(proxy.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(id, Signal::HUP).expect("it runs");
    until("the reload is over", PATIENCE, || told().get(before).cloned())
}

/// Writes another file and has it read; gives what the log says came of it.
pub(crate) fn reload(proxy: &Proxy, toml: &str) -> String {
    write(proxy, toml);
    hang_up(proxy)
}

/// The process behind an upstream, and how many calls it has had.
pub(crate) fn report(client: &mut Client, upstream: &str) -> (u64, u64) {
    let answer = client.call(&format!("{upstream}__report"), json!({}));
    let number = |name: &str| answer["result"][name].as_u64();
    let found = number("pid").zip(number("calls"));
    found.unwrap_or_else(|| panic!("{upstream} does not report: {answer}"))
}

/// The names of all tools.
pub(crate) fn tools(client: &mut Client) -> Vec<String> {
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    client.list("tools/list", "tools").iter().map(name).collect()
}

/// The stream of a session.
pub(crate) fn stream(proxy: &Proxy, key: &str, door: &str, client: &Client) -> Stream {
    let session = client.session().expect("a session");
    let headers = format!("Authorization: Bearer {key}\r\nMcp-Session-Id: {session}");
    Stream::open(proxy.address(), &format!("GET {door}"), &headers, "")
}

/// A `subscriptions/listen` for all lists, acknowledged.
pub(crate) fn listen(proxy: &Proxy, door: &str) -> Stream {
    let params = Era::Modern.params(json!({"notifications": {
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true}}));
    let body =
        json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params});
    let headers = format!(
        "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen",
        proxy.key()
    );
    let mut stream =
        Stream::open(proxy.address(), &format!("POST {door}"), &headers, &body.to_string());
    stream.hears("notifications/subscriptions/acknowledged");
    stream
}

/// How many processes below the proxy have this in their command line.
pub(crate) fn running(proxy: &Proxy, words: &str) -> usize {
    proxy.descendants().iter().filter(|(_, _, line)| line.contains(words)).count()
}
