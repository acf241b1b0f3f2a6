//! A proxy with two tenants before an upstream that writes down each call that it begins.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::revocation::world::{Ask, OPERATOR, text, value};
use crate::support::{Process, Proxy, Setup, serve_everything};

const PROXY: &str = env!("CARGO_BIN_EXE_mcp-proxy");
/// Another name of the same configuration: a command that is given it finds that the running proxy
/// has another file, and works on the store.
const OTHER: &str = "other.toml";

/// How a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// At the proxy.
    Rest,
    /// In the store, by another process.
    Store,
}

impl By {
    pub(crate) const BOTH: [Self; 2] = [Self::Rest, Self::Store];
}

/// A key that was made.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) text: String,
}

pub(crate) struct Bed {
    pub(crate) proxy: Proxy,
    book: PathBuf,
    /// A key of the admin of each tenant.
    admins: [String; 2],
    _upstream: Process,
    _folder: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let book = folder.path().join("book");
        let (upstream, address) = serve_everything(&["--ledger", book.to_str().expect("text")]);
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nkeys = [{{ name = \"ops\", env = \"OPS\" }}]\n\
             [tenants.filed]\nkeys = []\n[upstreams.up]\nurl = \"http://{address}/mcp\"\n"
        );
        let setup = Setup::new().env("OPS", OPERATOR).config(&toml);
        let proxy = setup.file(OTHER, toml.as_bytes()).serve();
        let admins = ["acme", "globex"].map(|name| {
            let body = json!({ "name": name, "key": { "name": "boss" } });
            let made = Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body);
            let made = made.at(proxy.address());
            assert_eq!(made.status, 201, "{}", made.text());
            value(&made)["key"]["key"].as_str().expect("a key").to_owned()
        });
        Self { proxy, book, admins, _upstream: upstream, _folder: folder }
    }

    /// Makes a key of a tenant.
    pub(crate) fn key(&self, tenant: usize) -> Key {
        let made = Ask::new("POST", "/api/v1/keys").key(&self.admins[tenant]);
        let made = made.json(&json!({ "name": "one" })).at(self.proxy.address());
        assert_eq!(made.status, 201, "{}", made.text());
        let made = value(&made);
        Key { id: made["id"].as_str().expect("an id").to_owned(), text: text(&made) }
    }

    /// Revokes a key of a tenant; gives when that was acknowledged.
    pub(crate) fn revoke(&self, tenant: usize, key: &Key, by: By) -> Instant {
        match by {
            By::Rest => {
                let path = format!("/api/v1/keys/{}", key.id);
                let ask = Ask::new("DELETE", &path).key(&self.admins[tenant]);
                assert_eq!(ask.at(self.proxy.address()).status, 204);
            }
            By::Store => {
                let folder = self.proxy.folder();
                let mut command = Command::new(PROXY);
                command.args(["key", "revoke", &key.id, "--config"]).arg(folder.join(OTHER));
                command.current_dir(folder).env_clear().env("OPS", OPERATOR);
                let (status, _, errors) = Process::run(&mut command, b"", Duration::from_secs(60));
                assert!(status.success(), "{errors}");
                assert!(
                    errors.contains("is not asked"),
                    "it has not worked on the store: {errors}"
                );
            }
        }
        Instant::now()
    }

    /// How often each call was begun.
    pub(crate) fn begun(&self) -> BTreeMap<String, usize> {
        let mut begun = BTreeMap::new();
        for line in fs::read_to_string(&self.book).expect("the upstream keeps it").lines() {
            let call = line.split(' ').next().expect("a line holds something");
            *begun.entry(call.to_owned()).or_default() += 1;
        }
        begun
    }
}
