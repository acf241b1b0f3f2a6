//! Commands in the folder of a proxy.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Process, Setup, serve_everything};

/// The file of these tests: two upstreams, one of which needs a secret, and a tenant.
pub(crate) fn setup(address: std::net::SocketAddr) -> Setup {
    Setup::new().env("TEST_KEY", "the-key-of-the-tenant-test-in-the-tests-1").config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [upstreams.gh]\nurl = \"http://{address}/mcp\"\n\
         headers = {{ Authorization = \"Bearer {{secret.token}}\" }}\n\
         [upstreams.free]\nurl = \"http://{address}/mcp\"\n\
         [tenants.filed]\nkeys = [{{ name = \"boss\", env = \"TEST_KEY\" }}]\n\
         secrets = {{ gh = {{ token = {{ env = \"TEST_KEY\" }} }} }}\n"
    ))
}

/// An upstream, and a folder whose file names it.
pub(crate) fn world() -> (Process, Setup) {
    let (upstream, address) = serve_everything(&[]);
    (upstream, setup(address))
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Done {
    /// The answer, of one that went well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.errors);
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}", self.out))
    }
}

/// Runs a command line of words.
pub(crate) fn run(setup: &Setup, words: &str) -> Done {
    run_with(setup, words, b"", |_| {})
}

/// The same with input, and with changes of its environment.
pub(crate) fn run_with(
    setup: &Setup,
    words: &str,
    input: &[u8],
    change: impl FnOnce(&mut Command),
) -> Done {
    let words: Vec<&str> = words.split(' ').collect();
    let mut command = setup.command(&words);
    change(&mut command);
    let (status, out, errors) = Process::run(&mut command, input, Duration::from_secs(60));
    Done { code: status.code(), out, errors }
}

/// A file of this text beside the one of the setup, named in place of it.
pub(crate) fn run_with_file(setup: &Setup, file: &str, words: &str) -> Done {
    let words: Vec<&str> = words.split(' ').collect();
    let mut command = setup.command(&words);
    let program = command.get_program().to_owned();
    let mut other = Command::new(program);
    other.args(words).args(["--config", file]).current_dir(setup.folder());
    for (name, value) in command.get_envs() {
        other.envs(value.map(|value| (name, value)));
    }
    command = other;
    let (status, out, errors) = Process::run(&mut command, b"", Duration::from_secs(60));
    Done { code: status.code(), out, errors }
}
