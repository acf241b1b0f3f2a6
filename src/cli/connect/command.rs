//! Prints a client's snippet, or changes its file.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::client::{Client, ENTRY, input};
use super::edit::{Existing, difference};
use super::node::Node;
use super::place::{Machine, place};
use super::snippet::{Key, PLACEHOLDER, snippet};
use super::{codex, jsonc, link};
use crate::cli::command::read_config;
use crate::cli::refusal::usage;
use crate::cli::screen::Screen;
use crate::cli::serve::endpoint;
use crate::config::Config;

/// Print what a client needs to connect, or write it into the client's file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mcp-proxy connect claude-code\n  \
                  mcp-proxy connect cursor --write\n  \
                  mcp-proxy connect vscode --write --file .vscode/mcp.json")]
pub(in crate::cli) struct ConnectCommand {
    /// Which client.
    client: Client,
    /// Connect to this endpoint instead of the file's.
    #[arg(long)]
    url: Option<String>,
    /// The environment variable that holds the key.
    #[arg(long, value_name = "NAME", default_value = "MCP_PROXY_KEY")]
    key_env: String,
    /// Let the client start `mcp-proxy stdio` with this configuration instead of connecting.
    #[arg(long)]
    stdio: bool,
    /// Change the client's file: shows what changes, asks, and keeps the old one beside it.
    #[arg(long)]
    write: bool,
    /// The client's file, instead of the usual place.
    #[arg(long, value_name = "FILE", requires = "write")]
    file: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, requires = "write")]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ConnectCommand {
    /// Prints the snippet or changes the file. A key is never on the command line; it stands as a
    /// variable wherever the client can read one.
    pub(in crate::cli) fn run(
        self,
        given: Option<&Path>,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        if self.key_env.is_empty()
            || !self.key_env.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(usage("--key-env takes the name of a variable, such as MCP_PROXY_KEY"));
        }
        let url = match &self.url {
            Some(url) => url.clone(),
            None => self.own_url(&read_config(given)?.0),
        };
        let parsed =
            url::Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if parsed.is_none_or(|url| !url.username().is_empty()) {
            let words = format!("--url {url:.100} is no address of a door; write https://HOST/mcp");
            return Err(usage(words));
        }
        if self.write { self.write(given, &url, screen) } else { self.print(given, &url, screen) }
    }

    fn own_url(&self, config: &Config) -> String {
        let mut address: SocketAddr = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let url = endpoint(config, address);
        match url.strip_suffix("/mcp") {
            Some(base) if self.client.is_hosted() => format!("{base}/connect/mcp"),
            _ => url,
        }
    }

    fn print(&self, given: Option<&Path>, url: &str, screen: &mut Screen) -> anyhow::Result<()> {
        let (client, key) = (self.client, Key::Variable(&self.key_env));
        let snippet = match (self.stdio, client) {
            (false, _) => snippet(client, url, &key),
            // It keeps its servers in TOML, and adds one itself.
            (true, Client::Codex) => {
                let (program, file) = own(given)?;
                format!("codex mcp add {ENTRY} -- '{program}' stdio --config '{file}'")
            }
            (true, _) => {
                let (member, entry) = self.entry(given, url, &key)?;
                let servers = Node::Table(vec![(member, Node::Table(vec![(ENTRY, entry)]))]);
                servers.write("", "  ", Some("\n"))
            }
        };
        let link = link::link(client, url, &key).filter(|_| !self.stdio);
        if self.json {
            let file = Machine::this().and_then(|machine| place(client, &machine));
            screen.json(&json!({
                "client": client.name(), "url": url, "file": file, "snippet": snippet, "link": link,
            }))?;
            return Ok(());
        }
        screen.note(client.title())?;
        screen.say(&snippet)?;
        if self.stdio {
            return Ok(());
        }
        let (name, variable) = (client.name(), &self.key_env);
        if client.is_typed() {
            screen.note(&format!("Put the key into {variable} of that shell first."))?;
        } else if client.takes_variable() {
            screen
                .note(&format!("{name} reads the key from {variable}; set it before it starts."))?;
        } else if snippet.contains(PLACEHOLDER) {
            screen.note(&format!("Write the key in the place of {PLACEHOLDER}."))?;
        }
        if let Some(link) = link {
            screen.note("Or open this link, which adds it:")?;
            screen.say(&link)?;
        }
        if client.is_hosted() {
            if !url.starts_with("https://") {
                screen.note(
                    "It calls from the Internet: set `public_url` in [server] to an https:// address \
                     that is reachable from there.",
                )?;
            }
            screen.note("It opens a page of this proxy, which asks for a key once.")?;
        }
        let tenant =
            read_config(given).ok().and_then(|(config, ..)| config.tenants.keys().next().cloned());
        let tenant = tenant.as_ref().map_or("default", |tenant| tenant.as_str());
        screen.note(&format!(
            "Make a key with `mcp-proxy key create --tenant {tenant} --name laptop`."
        ))?;
        Ok(())
    }

    /// The member of the client's file, and our entry in it.
    fn entry(
        &self,
        given: Option<&Path>,
        url: &str,
        key: &Key<'_>,
    ) -> anyhow::Result<(&'static str, Node)> {
        let client = self.client;
        let none = || usage(format!("{} keeps no such entry in a file", client.name()));
        let member = client.member().ok_or_else(none)?;
        if !self.stdio {
            return Ok((member, client.entry(url, key).ok_or_else(none)?));
        }
        let (program, file) = own(given)?;
        let args = vec!["stdio".to_owned(), "--config".to_owned(), file];
        let entry = vec![("command", Node::text(program)), ("args", Node::List(args))];
        Ok((member, Node::Table(entry)))
    }

    fn write(&self, given: Option<&Path>, url: &str, screen: &mut Screen) -> anyhow::Result<()> {
        let client = self.client;
        let path = match &self.file {
            Some(path) => path.clone(),
            None => {
                Machine::this().and_then(|machine| place(client, &machine)).ok_or_else(|| {
                    usage(format!(
                        "{} has no file here to write to; without --write its steps are printed",
                        client.name()
                    ))
                })?
            }
        };
        if self.stdio && client == Client::Codex {
            return Err(usage("--stdio is not written for Codex; it takes the URL"));
        }
        let secret = self.needed_key(&path)?;
        let key = match &secret {
            Some(secret) => Key::Text(secret.expose()),
            None => Key::Variable(&self.key_env),
        };
        let old = Existing::read(&path)?;
        let text = old.text.as_deref().unwrap_or_default();
        let new = match client {
            Client::Codex => codex::put(text, url, &self.key_env),
            _ => {
                let (member, entry) = self.entry(given, url, &key)?;
                let input = (client == Client::Vscode && !self.stdio).then(input);
                jsonc::put(text, (member, ENTRY), &entry, input.as_ref())
            }
        };
        let new = new.map_err(|error| {
            usage(format!(
                "{}: {error}; nothing was written: mend it there, or add the entry by hand \
                 (`mcp-proxy connect` without --write prints it)",
                path.display()
            ))
        })?;
        let done = |changed: bool, backup: Option<&Path>| json!({ "client": client.name(), "url": url, "file": path, "changed": changed, "backup": backup });
        if new == text {
            if self.json {
                screen.json(&done(false, None))?;
                return Ok(());
            }
            screen.say(&format!("{}: the entry is there already", path.display()))?;
            return Ok(());
        }
        let shown = |text: &str| match &secret {
            Some(secret) => text.replace(secret.expose(), &shortened(secret.expose())),
            None => text.to_owned(),
        };
        let name = path.display().to_string();
        if !self.json {
            screen.say(&difference(&name, &shown(text), &shown(&new)))?;
        }
        if !self.yes && !agreed(screen, &name)? {
            bail!("nothing was written");
        }
        let backup = old.replace(&new)?;
        if self.json {
            screen.json(&done(true, backup.as_deref()))?;
        }
        screen.note(&match backup {
            Some(backup) => format!("{name} is written; the old one is {}", backup.display()),
            None => format!("{name} is made"),
        })?;
        if client.takes_variable() && !self.stdio {
            screen.note(&format!(
                "{} reads the key from {}; set it before it starts.",
                client.name(),
                self.key_env
            ))?;
        }
        screen.note(&format!("Start {} anew to see it.", client.name()))?;
        Ok(())
    }

    /// The key itself, for a client that cannot read a variable.
    fn needed_key(&self, path: &Path) -> anyhow::Result<Option<crate::base::Secret>> {
        let client = self.client;
        if self.stdio || client == Client::Codex || client.reference(&self.key_env).is_some() {
            return Ok(None);
        }
        let Some(key) = std::env::var(&self.key_env).ok().filter(|key| !key.is_empty()) else {
            return Err(usage(format!(
                "{} reads no variables, so its file must hold the key itself: put the key into {} \
                 for this command",
                client.name(),
                self.key_env
            )));
        };
        let absolute = std::path::absolute(path)?;
        let home = Machine::this().map(|machine| machine.home);
        let mut folders = absolute.ancestors().skip(1);
        if folders.any(|folder| Some(folder) != home.as_deref() && folder.join(".git").exists()) {
            return Err(usage(format!(
                "{} is in a repository, and the key would be in it; name a file of your own with \
                 --file",
                path.display()
            )));
        }
        Ok(Some(crate::base::Secret::new(key)))
    }
}

/// This program and its file, as another program starts it.
fn own(given: Option<&Path>) -> anyhow::Result<(String, String)> {
    let program = std::env::current_exe().context("this program does not know its place")?;
    let file = std::path::absolute(given.unwrap_or(Path::new(crate::cli::command::FILE)))?;
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(usage(format!("{} is not UTF-8", path.display()))),
    };
    Ok((text(&program)?, text(&file)?))
}

/// As much of a key as tells it from another one.
fn shortened(key: &str) -> String {
    let shown: String = key.chars().take(9).collect();
    format!("{shown}…")
}

/// Asks a person. Without one, nothing is changed unasked.
pub(in crate::cli) fn agreed(screen: &mut Screen, name: &str) -> anyhow::Result<bool> {
    if !screen.input_is_terminal {
        return Err(usage(format!("nobody is there to ask; say --yes to change {name}")));
    }
    screen.note(&format!("Change {name}? [y/N]"))?;
    let mut answer = String::new();
    BufReader::new(&mut screen.input).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
