//! `mcp-proxy serve`

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::command::{FILE, read_config};
use super::connect::{self, Client, Key};
use super::screen::Screen;
use crate::app::{self, FirstKey, Foundation, Origins, Resolve, Source};
use crate::base::Tasks;
use crate::config::{self, Config, SecretSource};
use crate::telemetry::{self, CallLog, Format};
use crate::upstream::stdio::Launcher;

/// Serve.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: mcp-proxy serve --listen 127.0.0.1:9000 --log info,mcp_proxy=debug"
)]
pub(super) struct ServeCommand {
    /// Listen here instead of at the file's `listen`.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// What is logged: a level, or directives by module.
    #[arg(long, value_name = "FILTER", env = "MCP_PROXY_LOG", default_value = "info")]
    log: String,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Read the file again on SIGHUP only, and not whenever it changes.
    #[arg(long)]
    no_watch: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

impl Default for ServeCommand {
    fn default() -> Self {
        let log = std::env::var("MCP_PROXY_LOG").unwrap_or_else(|_| "info".to_owned());
        Self { listen: None, log, log_format: LogFormat::Text, no_watch: false }
    }
}

impl ServeCommand {
    /// Serves until a signal comes.
    pub(super) fn run(self, given: Option<&Path>) -> anyhow::Result<()> {
        let source = self.source(given.unwrap_or(Path::new(FILE)));
        let (mut config, warnings, shipped) = read_config(given)?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        let file = (!shipped).then_some(source);
        harden();
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        let (writer, calls) = telemetry::start(&self.log, format)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        if shipped {
            tracing::warn!(
                "there is no mcp-proxy.toml here: the built-in demo is served; `mcp-proxy init` writes the file"
            );
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let tasks = Tasks::default();
        let served = runtime.block_on(async {
            writer.tend(&tasks);
            serve(config, file, calls, &tasks).await
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        writer.flush();
        served
    }

    /// The file, for those who read it again. What the flags say holds on.
    fn source(&self, file: &Path) -> Source {
        let (listen, path, file) = (self.listen, file.to_owned(), file.to_owned());
        let load = move || {
            let (mut config, warnings) = config::load(&file)?;
            if let Some(listen) = listen {
                config.server.listen = listen;
            }
            Ok((config, warnings))
        };
        Source::new(path, !self.no_watch, Arc::new(load))
    }
}

async fn serve(
    config: Config,
    file: Option<Source>,
    calls: Option<CallLog>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let resolve: Arc<Resolve> =
        Arc::new(|source: &SecretSource| config::resolve(source).map_err(|e| e.to_string()));
    let origins = Origins { resolve, file };
    let foundation = Foundation::open(&config, tasks).await?;
    let first = app::first_key(&config, &foundation).await?;
    let config = Arc::new(config);
    let launcher = Launcher::new(own_program()?, std::env::vars_os());
    let built = app::build(config.clone(), &foundation, origins, launcher, calls, tasks).await?;
    drop(foundation);
    let url = endpoint(&config, built.address);
    if let Some(first) = &first {
        welcome(&url, first)?;
    }
    app::run(built).await?;
    Ok(())
}

/// Our own executable, for children. The link to it stays right when the file is replaced by an
/// upgrade.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    Ok(if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? })
}

/// The URL that clients use.
pub(super) fn endpoint(config: &Config, address: SocketAddr) -> String {
    match &config.server.public_url {
        Some(url) => format!("{}/mcp", url.as_str().trim_end_matches('/')),
        None => format!(
            "{}://{address}/mcp",
            if config.server.tls.is_some() { "https" } else { "http" }
        ),
    }
}

/// What the first start says: the key, once, and the lines for three clients.
fn welcome(url: &str, first: &FirstKey) -> anyhow::Result<()> {
    let mut screen = Screen::standard();
    let key = first.text.expose();
    screen.say(&format!(
        "Made the tenant `{}` and its first key, which is its admin's. It is shown only now:\n\n  {key}\n\n\
         A key for whoever makes tenants: mcp-proxy key create --operator --name ops\n",
        first.tenant
    ))?;
    for client in [Client::ClaudeCode, Client::Cursor, Client::Vscode] {
        screen.say(&format!(
            "{}:\n{}\n",
            client.title(),
            connect::snippet(client, url, &Key::Text(key))
        ))?;
    }
    screen.out.flush()?;
    Ok(())
}

/// No core dumps, no reading of this process by others of the same user, and as many open files
/// as the system allows.
pub(super) fn harden() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    let outcome = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })
        .and_then(|()| setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }));
    #[cfg(target_os = "linux")]
    let outcome = outcome.and_then(|()| {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    });
    if let Err(error) = outcome {
        super::command::complain(&format!("the process could not be hardened: {error}"));
    }
}
