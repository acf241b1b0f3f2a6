//! The order in which everything is looked at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use url::Url;

use super::finding::{Findings, Grade};
use super::public::Public;
use super::recorded::{Role, recorded};
use super::replay::replay;
use super::wire::Wire;
use super::{file, machine, upstreams};
use crate::base::{Secret, Tasks};
use crate::cli::command::FILE;
use crate::cli::open::Opened;
use crate::cli::reach::Reach;
use crate::cli::refusal::{ReachError, usage};
use crate::cli::screen::Screen;
use crate::config::{self, Config, SecretSource};

/// Look at everything that can be wrong, and say what to do about it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mcp-proxy doctor\n  \
                  mcp-proxy doctor --as claude-ai --url https://mcp.example.com\n  \
                  mcp-proxy doctor --as vscode --url https://mcp.example.com/connect/mcp\n\n\
                  Clients that take a key come to /mcp; with a URL of /connect/ they log in.\n\
                  What needs a key takes it from MCP_PROXY_KEY (--key-env), or from a file with \
                  --key-file; `-` is standard input.")]
pub(in crate::cli) struct DoctorCommand {
    /// Do what this client does: its discovery, its login and its first lists.
    #[arg(long = "as", value_name = "CLIENT")]
    client: Option<Role>,
    /// Look at the proxy at this URL instead of the file's public_url.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The environment variable that holds a key.
    #[arg(long, value_name = "NAME", default_value = "MCP_PROXY_KEY")]
    key_env: String,
    /// Read the key from this file, or from standard input with `-`.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Trust the authorities in this PEM file instead of those of this machine.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Connect to this address in the place of what the name of the URL says.
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
    /// Only the upstreams of this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl DoctorCommand {
    /// Looks, and fails when something is wrong.
    pub(in crate::cli) async fn run(
        self,
        given: Option<&Path>,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        let wire = Wire::new(self.cacert.as_deref(), self.address).map_err(usage)?;
        let key = self.key(screen)?;
        let mut findings = Findings::default();
        let mut broken = false;
        match self.client {
            Some(client) => {
                let base = self.base(file::quietly(given).as_ref())?;
                // Clients with a key come to the other door only when that is named.
                let given = self.url.as_ref().and_then(|url| Url::parse(url).ok());
                let login = given.is_some_and(|url| url.path().starts_with("/connect/"));
                let key = (key.as_ref(), login);
                replay(&wire, &base, recorded(client), key, &mut findings).await;
            }
            None => {
                let config = file::look(given, &mut findings)?;
                broken = config.is_none();
                if let Some(config) = &config {
                    self.here(config, given, screen, &mut findings).await?;
                }
                let public = config.as_ref().is_none_or(|c| c.server.public_url.is_some());
                if self.url.is_some() || public && !broken {
                    let base = self.base(config.as_ref())?;
                    if let (Some(config), Some(_)) = (&config, &self.url) {
                        told_otherwise(config, &base, &mut findings);
                    }
                    let config = config.as_ref();
                    let key = key.as_ref();
                    Public { wire: &wire, base: &base, config, key }.look(&mut findings).await;
                } else if !broken {
                    let next = "set it to https://… for claude.ai, ChatGPT and clients elsewhere";
                    let place = "[server] public_url";
                    findings.note("public-url-unset", place, "is not set", ("", next));
                }
            }
        }
        self.report(&findings, broken, screen)
    }

    /// Everything on this machine.
    async fn here(
        &self,
        config: &Config,
        given: Option<&Path>,
        screen: &mut Screen,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let tasks = Tasks::default();
        let store = machine::look(config, &tasks, findings).await;
        let path = given.unwrap_or(Path::new(FILE));
        let reach = match Reach::running(config, path, screen).await {
            Ok(Some(reach)) => Some(reach),
            Ok(None) if store => {
                let values = Box::new(|source: &SecretSource| {
                    config::resolve(source).map_err(|error| error.to_string())
                });
                let made = async {
                    let opened = Opened::open(config.clone(), values, &tasks).await?;
                    Reach::store(opened, screen, &tasks).await
                };
                match Box::pin(made).await {
                    Ok(reach) => Some(reach),
                    Err(error) => {
                        findings.bad("store", &config.file, error.to_string(), ("", ""));
                        None
                    }
                }
            }
            Ok(None) => None,
            Err(error) => {
                findings.silent("socket", &config.file, error.to_string(), ("", ""));
                None
            }
        };
        if let Some(reach) = reach {
            if let Err(error) = upstreams::look(&reach, self.tenant.as_deref(), findings).await {
                findings.bad("upstreams", &config.file, error.to_string(), ("", ""));
            }
            reach.close().await;
        }
        tasks.finish(Duration::from_secs(5)).await;
        Ok(())
    }

    /// The key, where one is given.
    fn key(&self, screen: &mut Screen) -> anyhow::Result<Option<Secret>> {
        let source = match &self.key_file {
            Some(path) if path.as_os_str() == "-" => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut screen.input, &mut text)?;
                return Ok(Some(Secret::new(text.trim_end().to_owned())));
            }
            Some(path) => SecretSource::File(path.clone()),
            None if std::env::var_os(&self.key_env).is_none_or(|key| key.is_empty()) => {
                return Ok(None);
            }
            None => SecretSource::Env(self.key_env.clone()),
        };
        Ok(Some(config::resolve(&source).map_err(|error| usage(error.to_string()))?))
    }

    /// The URL without its path.
    fn base(&self, config: Option<&Config>) -> anyhow::Result<Url> {
        let url = match (&self.url, config) {
            (Some(given), _) => {
                Url::parse(given).map_err(|error| usage(format!("--url {given:.100}: {error}")))?
            }
            (None, Some(config)) => match &config.server.public_url {
                Some(url) => url.clone(),
                None => {
                    let mut address = config.server.listen;
                    if address.ip().is_unspecified() {
                        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                    }
                    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
                    Url::parse(&format!("{scheme}://{address}"))?
                }
            },
            (None, None) => return Err(usage("which proxy is meant? Name it with --url")),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(usage("--url is neither http nor https"));
        }
        Ok(Url::parse(&url.origin().ascii_serialization())?)
    }

    fn report(&self, findings: &Findings, broken: bool, screen: &mut Screen) -> anyhow::Result<()> {
        if self.json {
            let list: Vec<_> = findings.0.iter().map(super::finding::Finding::json).collect();
            let ok = findings.bad_ones().next().is_none();
            screen.json(&json!({ "ok": ok, "findings": list }))?;
        } else {
            for finding in &findings.0 {
                screen.say(&finding.lines())?;
            }
        }
        let bad: Vec<_> = findings.bad_ones().collect();
        if bad.is_empty() {
            let notes = findings.0.iter().filter(|finding| finding.grade == Grade::Note).count();
            screen.note(&match notes {
                0 => "Nothing is wrong.".to_owned(),
                1 => "Nothing is wrong; 1 note.".to_owned(),
                count => format!("Nothing is wrong; {count} notes."),
            })?;
            return Ok(());
        }
        let said = match bad.len() {
            1 => "1 thing is wrong; what to do stands beside it".to_owned(),
            count => format!("{count} things are wrong; what to do stands beside each"),
        };
        if broken {
            return Err(usage(said));
        }
        if bad.iter().all(|finding| finding.unreachable) {
            return Err(ReachError::Unreachable(said).into());
        }
        Err(anyhow::anyhow!(said))
    }
}

/// The URL that is looked at is not the one that the proxy tells its clients.
fn told_otherwise(config: &Config, base: &Url, findings: &mut Findings) {
    let Some(public) = &config.server.public_url else { return };
    if public.origin() == base.origin() {
        return;
    }
    findings.bad(
        "public-url-wrong",
        "[server] public_url",
        format!(
            "clients use {} and the file says {}",
            base.origin().ascii_serialization(),
            public.origin().ascii_serialization()
        ),
        (
            "all metadata of logins comes from the file, and clients compare it letter by letter",
            "write the URL that clients use",
        ),
    );
}
