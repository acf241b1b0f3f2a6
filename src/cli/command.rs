//! Every command, and how each is run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory as _, Parser, Subcommand};

use super::audit::AuditCommand;
use super::connect::ConnectCommand;
use super::exit;
use super::explain::ExplainCommand;
use super::key::KeyCommand;
use super::open::Opened;
use super::screen::Screen;
use super::secret::SecretCommand;
use super::serve::ServeCommand;
use super::shell::{self, CompletionsCommand};
use super::stdio::StdioCommand;
use super::tenant::TenantCommand;
use super::usage::UsageCommand;
use crate::base::Tasks;
use crate::config::{self, Config, Warning};

/// The shipped file: what is served where there is none.
pub(super) const SHIPPED: &str = include_str!("../../mcp-proxy.toml");
pub(super) const FILE: &str = "mcp-proxy.toml";

/// Many MCP servers behind one URL, for many tenants.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-proxy",
    version,
    after_help = "Example: mcp-proxy serve --config /etc/mcp-proxy.toml"
)]
struct Arguments {
    /// The configuration file [default: mcp-proxy.toml here].
    #[arg(long, global = true, value_name = "FILE", env = "MCP_PROXY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; also what happens without a command.
    Serve(ServeCommand),
    /// Tell every problem of the file at once.
    #[command(after_help = "Example: mcp-proxy check --config mcp-proxy.toml")]
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the shipped mcp-proxy.toml into this folder, with every key explained.
    #[command(after_help = "Example: mcp-proxy init")]
    Init,
    /// Tenants.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sealed secrets of tenants.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// What was decided: every request, in chains that show each change.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What was used, by tenant, day, key and tool.
    Usage(UsageCommand),
    /// Print what a client needs to connect.
    Connect(ConnectCommand),
    /// Say why a key can or cannot call a tool.
    Explain(ExplainCommand),
    /// Speak MCP over standard input and output, for clients that can only start a process.
    Stdio(StdioCommand),
    /// Print what makes a shell complete our commands.
    Completions(CompletionsCommand),
    /// Print the manual page.
    #[command(after_help = "Example: mcp-proxy man > /usr/local/share/man/man1/mcp-proxy.1")]
    Man,
    /// A small real MCP server over standard input and output.
    #[command(after_help = "Example: mcp-proxy demo")]
    Demo,
}

/// Runs the command line of this process and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            exit::code(&error)
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, ExitCode> {
    Arguments::try_parse_from(arguments).map_err(|error| {
        // Help and version come as errors too; they go to standard output and are none.
        let failed = error.use_stderr();
        let _ = error.print();
        if failed { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS }
    })
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let given = arguments.config;
    match arguments.command {
        None => ServeCommand::default().run(given.as_deref()),
        Some(Command::Serve(serve)) => serve.run(given.as_deref()),
        Some(Command::Check { json }) => check(&path(given), json),
        Some(Command::Init) => init(),
        Some(Command::Connect(connect)) => connect.run(given.as_deref(), &mut Screen::standard()),
        Some(Command::Explain(explain)) => explain.run(given.as_deref(), &mut Screen::standard()),
        Some(Command::Stdio(stdio)) => stdio.run(given.as_deref()),
        Some(Command::Demo) => demo(),
        Some(Command::Completions(completions)) => {
            completions.run(Arguments::command(), &mut Screen::standard())
        }
        Some(Command::Man) => shell::manual(Arguments::command(), &mut Screen::standard()),
        Some(Command::Tenant(command)) => with_store(given.as_deref(), |opened, screen| {
            Box::pin(async move { command.run(opened, screen).await })
        }),
        Some(Command::Key(command)) => with_store(given.as_deref(), |opened, screen| {
            Box::pin(async move { command.run(opened, screen).await })
        }),
        Some(Command::Audit(command)) => with_store(given.as_deref(), |opened, screen| {
            Box::pin(async move { command.run(opened, screen).await })
        }),
        Some(Command::Usage(command)) => with_store(given.as_deref(), |opened, screen| {
            Box::pin(async move { command.run(opened, screen).await })
        }),
        Some(Command::Secret(command)) => with_store(given.as_deref(), |opened, screen| {
            Box::pin(async move { command.run(opened, screen).await })
        }),
    }
}

fn path(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| PathBuf::from(FILE))
}

/// Reads the configuration. Where none was named and none is here, the shipped one serves; true
/// says so.
pub(super) fn read_config(given: Option<&Path>) -> anyhow::Result<(Config, Vec<Warning>, bool)> {
    let file = given.unwrap_or(Path::new(FILE));
    if given.is_none() && !file.exists() {
        let folder = std::env::current_dir().context("the current folder cannot be found")?;
        let (config, warnings) = config::check_text(SHIPPED, FILE, &folder)?;
        return Ok((config, warnings, true));
    }
    let (config, warnings) = config::load(file)?;
    Ok((config, warnings, false))
}

type Answer<'a> = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

fn with_store(
    given: Option<&Path>,
    work: impl for<'a> FnOnce(&'a Opened, &'a mut Screen) -> Answer<'a>,
) -> anyhow::Result<()> {
    let (config, _, _) = read_config(given)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let tasks = Tasks::default();
        let resolve = Box::new(|source: &config::SecretSource| {
            config::resolve(source).map_err(|error| error.to_string())
        });
        let opened = Opened::open(config, resolve, &tasks).await?;
        let done = work(&opened, &mut Screen::standard()).await;
        tasks.finish(std::time::Duration::from_secs(5)).await;
        done
    })
}

fn check(file: &Path, json: bool) -> anyhow::Result<()> {
    let mut screen = Screen::standard();
    let outcome = config::load(file);
    if json {
        let list: Vec<_> = match &outcome {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .iter()
                .map(|problem| {
                    serde_json::json!({
                        "file": problem.file, "line": problem.line, "column": problem.column, "key": problem.key,
                        "value": problem.value, "message": problem.message, "hint": problem.hint,
                    })
                })
                .collect(),
        };
        screen.json(&serde_json::json!({ "problems": list }))?;
    }
    let (config, warnings) = outcome?;
    if !json {
        for warning in &warnings {
            screen.note(&warning.to_string())?;
        }
        screen.say(&format!(
            "{}: no problems; {} upstreams, {} profiles, {} tenants",
            file.display(),
            config.upstreams.len(),
            config.profiles.len(),
            config.tenants.len()
        ))?;
    }
    Ok(())
}

fn init() -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(FILE)
        .with_context(|| format!("{FILE} cannot be made here; is there one already?"))?;
    file.write_all(SHIPPED.as_bytes())?;
    Screen::standard().say(&format!("{FILE} is written; edit it, then run `mcp-proxy`"))?;
    Ok(())
}

fn demo() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(crate::demo::run());
    // A blocked read of standard input must not keep the process alive.
    runtime.shutdown_background();
    ended.map_err(|reason| {
        anyhow::anyhow!("{reason}; `mcp-proxy demo` speaks MCP over standard input and output")
    })
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    use std::io::Write;
    // There is nowhere to report a standard error that is gone.
    let _ = writeln!(std::io::stderr(), "mcp-proxy: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut Screen) -> anyhow::Result<()>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut screen = Screen::standard();
        screen.out = Box::new(file.reopen().unwrap());
        print(&mut screen).unwrap();
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn completions_and_the_manual_know_every_command() {
        let mut pages = vec![printed(|screen| shell::manual(Arguments::command(), screen))];
        for shell in ["bash", "zsh", "fish"] {
            let arguments = Arguments::parse_from(["mcp-proxy", "completions", shell]);
            let Some(Command::Completions(completions)) = arguments.command else { panic!() };
            pages.push(printed(|screen| completions.run(Arguments::command(), screen)));
        }
        for word in ["serve", "rotate", "grace", "completions", "upstream"] {
            for (at, page) in pages.iter().enumerate() {
                assert!(page.contains(word), "{word} is not in {at}");
            }
        }
        Arguments::command().debug_assert();
    }
}
