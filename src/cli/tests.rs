//! The commands as a person types them, with the proxy on a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::*;
use crate::auth::{Admission, Auth, Denied};
use crate::base::{Name, Role, Scopes, Secret, Slot, Tasks, now};
use crate::config::{
    Config, EraSetting, KeyDeclaration, Limits, Namespace, Seal, SecretSource, Server, Store,
    Template, TenantDeclaration, Timing, Transport, Upstream,
};
use crate::seal::{Ring, RootKey};
use crate::store::Sqlite;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Tenant(TenantCommand),
    #[command(subcommand)]
    Key(KeyCommand),
    #[command(subcommand)]
    Secret(SecretCommand),
}

const FILE_KEY: &str = "the-operators-own-key-of-the-file-0001";

fn config(folder: &Path) -> Config {
    let name = |text| Name::new(text).unwrap();
    let second = Duration::from_secs(1);
    let gh = Upstream {
        rules: crate::config::Rules::default(),
        name: name("gh"),
        transport: Transport::Http {
            url: Template::parse("https://example.com/mcp").unwrap(),
            headers: Vec::new(),
        },
        arguments: BTreeMap::new(),
        all_arguments: false,
        bare: false,
        quirks: crate::config::UpstreamQuirks::default(),
        era: EraSetting::Auto,
        timing: Timing { timeout: second, max_time: second, start: second, idle_stop: second },
        slots: BTreeSet::from([Slot::new("token").unwrap(), Slot::new("other").unwrap()]),
        uses_tenant: false,
        uses_key: false,
        tenants: None,
        guarded: false,
        oauth: None,
    };
    let source = SecretSource::Env(FILE_KEY.to_owned());
    let at = (name("gh"), Slot::new("token").unwrap());
    let filed = TenantDeclaration {
        line: 3,
        keys: vec![KeyDeclaration {
            name: "laptop".to_owned(),
            source: source.clone(),
            role: Role::Member,
            scopes: Scopes::everything(),
            line: 4,
        }],
        secrets: BTreeMap::from([(at.clone(), source)]),
        secret_lines: BTreeMap::from([(at, 5)]),
    };
    Config {
        file: "mcp-proxy.toml".into(),
        admin: crate::config::Admin::default(),
        issuers: Vec::new(),
        connect: std::sync::Arc::default(),
        telemetry: crate::config::Telemetry::default(),
        profiles: std::collections::BTreeMap::new(),
        bodies: None,
        audit: crate::config::Audit::default(),
        revision: [0; 8],
        made: crate::config::Made::default(),
        server: Server {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: None,
            max_body: 1,
            max_connections: 1,
            session_idle: second,
            client_quirks: Vec::new(),
        },
        store: Store { path: folder.join("store.db") },
        seal: Seal { key_file: folder.join("root.key") },
        namespace: Namespace { separator: "__".to_owned(), max_name: 48 },
        limits: Limits::default(),
        upstreams: BTreeMap::from([(name("gh"), Arc::new(gh))]),
        tenants: BTreeMap::from([(name("filed"), filed)]),
    }
}

fn resolve() -> Resolve {
    Box::new(|source| match source {
        SecretSource::Env(value) => Ok(Secret::new(value.clone())),
        SecretSource::File(path) => Err(format!("{} is missing", path.display())),
    })
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct House {
    folder: tempfile::TempDir,
    tasks: Tasks,
    config: Config,
    reach: Reach,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let config = config(folder.path());
    let reach = reach(&config, &tasks).await;
    House { folder, tasks, config, reach }
}

/// What works on the store of this configuration.
async fn reach(config: &Config, tasks: &Tasks) -> Reach {
    let opened = Opened::open(config.clone(), resolve(), tasks).await.unwrap();
    let mut screen = Screen {
        input: Box::new(io::empty()),
        input_is_terminal: false,
        out: Box::new(io::sink()),
        out_is_terminal: false,
        notes: Box::new(io::sink()),
    };
    Box::pin(Reach::store(opened, &mut screen, tasks)).await.unwrap()
}

impl House {
    async fn line(&self, words: &str, input: &str, terminal: bool) -> anyhow::Result<String> {
        let paper = Paper::default();
        let mut screen = Screen {
            input: Box::new(Cursor::new(input.to_owned())),
            input_is_terminal: terminal,
            out: Box::new(paper.clone()),
            out_is_terminal: terminal,
            notes: Box::new(io::sink()),
        };
        let line = Line::try_parse_from(["mcp-proxy"].into_iter().chain(words.split(' ')))?;
        match line.command {
            Command::Tenant(command) => command.run(&self.reach, &mut screen).await?,
            Command::Key(command) => command.run(&self.reach, &mut screen).await?,
            Command::Secret(command) => command.run(&self.reach, &mut screen).await?,
        }
        let bytes = paper.0.lock().unwrap().clone();
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// A command in a pipe.
    async fn run(&self, words: &str) -> String {
        self.line(words, "", false).await.unwrap_or_else(|error| panic!("{words}: {error:#}"))
    }

    async fn refused(&self, words: &str) -> String {
        self.line(words, "", false)
            .await
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default()
    }

    async fn json(&self, words: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(&format!("{words} --json")).await).unwrap()
    }

    /// A running proxy with the same file.
    async fn proxy(&self) -> Auth {
        let stores = Sqlite::open(&self.config.store.path, &self.tasks).unwrap().stores();
        let admission = Admission::of(&self.config);
        let ring = Arc::new(Ring::new(&RootKey::load(&self.config.seal.key_file).unwrap()));
        let auth = Auth::new(&stores, ring, &admission, &*resolve()).await.unwrap();
        auth.watch(&self.tasks);
        auth
    }
}

fn bearer(key: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", key.trim()).parse().unwrap())])
}

#[test]
fn the_command_line_is_consistent() {
    Line::command().debug_assert();
}

#[tokio::test]
async fn every_change_is_told_to_programs_too() {
    let house = house().await;
    assert_eq!(house.json("tenant create acme").await["name"], "acme");
    let set = house.json("secret set --tenant acme gh token --env CARGO_MANIFEST_DIR").await;
    assert_eq!((&set["slot"], &set["generation"]), (&"token".into(), &1.into()));
    assert_eq!(house.json("secret remove --tenant acme gh token").await["removed"], true);
    assert_eq!(house.json("tenant remove acme --yes").await["removed"], true);
}

#[tokio::test]
async fn a_key_made_and_revoked_by_command_works_until_then() {
    let house = house().await;
    let proxy = house.proxy().await;
    house.run("tenant create acme").await;
    let key = house.run("key create --tenant acme --name laptop").await;
    assert_eq!(key.lines().count(), 1, "in a pipe, the key alone: {key}");
    let principal = proxy.check(&bearer(&key)).await.unwrap();
    assert_eq!(principal.tenant().name().as_str(), "acme");
    let listed = house.json("key list --tenant acme").await;
    assert_eq!(listed[0]["id"], principal.key().as_str());
    assert_eq!(listed[0]["state"], "live");
    assert!(!listed.to_string().contains(&key[16..59]));

    let rotated = house.run(&format!("key rotate {} --grace 1h", principal.key())).await;
    let fresh = proxy.check(&bearer(&rotated)).await.unwrap();
    assert!(proxy.check(&bearer(&key)).await.is_ok(), "the old one works on");
    assert_eq!(fresh.key_name(), "laptop");

    let start = now();
    house.run(&format!("key revoke {}", principal.key())).await;
    principal.ended().cancelled().await;
    assert_eq!(proxy.check(&bearer(&key)).await.unwrap_err(), Denied::Revoked);
    assert!(now() - start < Duration::from_secs(1));
    assert!(!fresh.ended().is_cancelled());
    assert!(house.refused(&format!("key revoke {}", principal.key())).await.contains("before"));

    let line = house.refused("tenant remove acme").await;
    assert!(line.contains("--yes"), "{line}");
    house.run("tenant remove acme --yes").await;
    fresh.ended().cancelled().await;
    assert_eq!(proxy.check(&bearer(&rotated)).await.unwrap_err(), Denied::Unknown);
}

#[tokio::test]
async fn keys_have_the_role_and_the_scopes_that_they_were_given() {
    let house = house().await;
    house.run("tenant create acme").await;
    let made = house.json("key create --tenant acme --name bot --scope support --scope gh__get_*");
    let made = made.await;
    assert_eq!(made["role"], "member");
    assert_eq!(made["scopes"], serde_json::json!(["profile:support", "tool:gh__get_*"]));
    let next = house.json(&format!("key rotate {}", made["id"].as_str().unwrap())).await;
    assert_eq!((&next["role"], &next["scopes"]), (&made["role"], &made["scopes"]));
    assert_eq!(
        house.json("key create --tenant acme --name boss --role admin").await["role"],
        "admin"
    );
    let operator = house.json("key create --operator --name ops").await;
    assert_eq!(
        (&operator["role"], &operator["tenant"]),
        (&"operator".into(), &serde_json::Value::Null)
    );
    let listed = house.json("key list").await;
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().any(|key| key["id"] == operator["id"] && key["role"] == "operator"));
    let table = house.run("key list --tenant acme").await;
    assert!(table.contains("profile:support tool:gh__get_*") && !table.contains("ops"), "{table}");
    let id = operator["id"].as_str().unwrap();
    assert_eq!(house.json(&format!("key revoke {id}")).await["id"], id);
    for (words, expected) in [
        ("key create --tenant acme --name x --role king", "no role"),
        ("key create --tenant acme --name x --role operator", "--operator"),
        ("key create --tenant acme --name x --scope Nothing", "no scope"),
    ] {
        let line = house.refused(words).await;
        assert!(line.contains(expected), "{words}: {line}");
    }
}

#[tokio::test]
async fn a_key_s_time_is_checked_and_kept_by_rotation() {
    let house = house().await;
    house.run("tenant create acme").await;
    let made = house.json("key create --tenant acme --name ci --expires 30d").await;
    assert!(made["key"].as_str().unwrap().starts_with("mcpp_"));
    assert!(made["expires_at"].as_str().unwrap().ends_with('Z'));
    let id = made["id"].as_str().unwrap();
    let next = house.json(&format!("key rotate {id} --grace 0s")).await;
    assert!(next["expires_at"].is_string(), "the new one lives as long: {next}");
    let listed = house.json("key list").await;
    let old = listed.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    assert_eq!(old["state"], "expired");
    for (words, expected) in [
        ("key create --tenant acme --name ci --expires 0s", "at once"),
        ("key create --tenant acme --name ci --expires soon", "no length of time"),
        ("key create --tenant nobody --name ci", "mcp-proxy tenant create nobody"),
        ("key revoke 0123456789", "no key `0123456789`"),
        ("key revoke 012345678", "no key id"),
    ] {
        let line = house.refused(words).await;
        assert!(line.contains(expected), "{words}: {line}");
    }
}

#[tokio::test]
async fn values_of_secrets_go_in_and_only_names_come_out() {
    let house = house().await;
    house.run("tenant create acme").await;
    let value = "sup3r-s3cret-value";
    let set = |input: &'static str| house.line("secret set --tenant acme gh token", input, false);
    let said = set("sup3r-s3cret-value\r\n").await.unwrap();
    assert!(said.contains("generation 1") && !said.contains(value), "{said}");
    let path = house.folder.path().join("value");
    std::fs::write(&path, "from a file\n").unwrap();
    house.run(&format!("secret set --tenant acme gh other --file {}", path.display())).await;
    house.run("secret set --tenant acme gh token --env CARGO_MANIFEST_DIR").await;
    let listed = house.json("secret list --tenant acme").await;
    assert_eq!((&listed[1]["slot"], &listed[1]["generation"]), (&"token".into(), &2.into()));
    let table = house.run("secret list").await;
    assert!(!table.contains(value) && table.contains("file"), "{table}");
    house.run("secret remove --tenant acme gh token").await;
    assert!(house.refused("secret remove --tenant acme gh token").await.contains("no secret"));

    for (words, expected) in [
        ("secret set --tenant acme gh token sup3r-s3cret-value", "every user of this machine"),
        ("secret set --tenant acme gh tokn", "it uses other, token"),
        ("secret set --tenant acme hg token", "no such upstream; `mcp-proxy upstream list`"),
        ("secret set --tenant acme gh token --env MCP_PROXY_NOT_SET", "is not set"),
        ("secret set --tenant acme gh token --file /nowhere/value", "cannot be opened"),
        ("secret set --tenant acme gh token", "empty"),
        ("secret set --tenant filed gh token", "declared at mcp-proxy.toml:5"),
        ("secret remove --tenant filed gh token", "declared at mcp-proxy.toml:5"),
    ] {
        let line = house.refused(words).await;
        assert!(line.contains(expected) && !line.contains(value), "{words}: {line}");
    }
    let line = set("two\nlines").await.unwrap_err().to_string();
    assert!(line.contains("line break") && !line.contains("two"), "{line}");
    let typed = house.line("secret set --tenant acme gh token", "", true).await;
    assert!(typed.unwrap_err().to_string().contains("--env"), "a terminal is not waited for");
}

#[tokio::test]
async fn what_the_file_declares_is_shown_and_not_changed() {
    let house = house().await;
    let listed = house.json("key list --tenant filed").await;
    assert_eq!((&listed[0]["origin"], &listed[0]["name"]), (&"file".into(), &"laptop".into()));
    assert!(!listed.to_string().contains(FILE_KEY));
    let id = listed[0]["id"].as_str().unwrap();
    let proxy = house.proxy().await;
    assert_eq!(proxy.check(&bearer(FILE_KEY)).await.unwrap().key().as_str(), id);
    for words in [
        format!("key revoke {id}"),
        format!("key rotate {id}"),
        "tenant create filed".to_owned(),
        "tenant remove filed --yes".to_owned(),
    ] {
        let line = house.refused(&words).await;
        assert!(line.contains("file"), "{words}: {line}");
    }
    assert_eq!(house.json("tenant list").await[0]["origin"], "file");
    let shown = house.run("tenant show filed").await;
    assert!(shown.contains("0 in the store, 1 in the file"), "{shown}");
    // The store's own keys may stand beside the file's.
    let key = house.run("key create --tenant filed --name more").await;
    assert!(proxy.check(&bearer(&key)).await.is_ok());
}

#[tokio::test]
async fn a_tenant_that_left_the_file_can_be_taken_over() {
    let mut house = house().await;
    let before = house.json("tenant show filed").await["id"].clone();
    house.config.tenants.clear();
    house.reach = reach(&house.config, &house.tasks).await;
    assert_eq!(house.json("tenant list").await[0]["active"], false);
    house.run("tenant create filed").await;
    let after = house.json("tenant show filed").await;
    assert_eq!((&after["id"], &after["origin"]), (&before, &"store".into()));
}

#[tokio::test]
async fn a_store_without_its_own_key_file_is_not_opened() {
    let house = house().await;
    let path = house.folder.path().join("root.key");
    let open = || Opened::open(config(house.folder.path()), resolve(), &house.tasks);
    std::fs::remove_file(&path).unwrap();
    let line = open().await.err().unwrap().to_string();
    assert!(line.contains("restore the key file"), "{line}");
    let other = house.folder.path().join("elsewhere");
    RootKey::create_if_missing(&path, &other).unwrap();
    let line = open().await.err().unwrap().to_string();
    assert!(line.contains("belongs to the store"), "{line}");
}
