//! Every command, and how each is run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::audit::AuditCommand;
use super::connect::ConnectCommand;
use super::doctor::DoctorCommand;
use super::exit;
use super::explain::ExplainCommand;
use super::grant::GrantCommand;
use super::import::ImportCommand;
use super::key::KeyCommand;
use super::open::{Opened, Resolve};
use super::reach::{Reach, Remote};
use super::refusal::ReachError;
use super::screen::Screen;
use super::seal::SealCommand;
use super::secret::SecretCommand;
use super::serve::ServeCommand;
use super::session::SessionCommand;
use super::shell::{self, CompletionsCommand};
use super::status::StatusCommand;
use super::stdio::StdioCommand;
use super::tenant::TenantCommand;
use super::upstream::UpstreamCommand;
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
    /// Tenants: who is kept apart from whom.
    Tenant(At<TenantCommand>),
    /// Keys: what a client shows to be let in.
    Key(At<KeyCommand>),
    /// Sealed secrets of tenants.
    Secret(At<SecretCommand>),
    /// The keys that secrets are sealed by.
    Seal(At<SealCommand>),
    /// Upstreams: how each stands for a tenant, and those beside the ones of the file.
    Upstream(At<UpstreamCommand>),
    /// What people have allowed to clients.
    Grant(At<GrantCommand>),
    /// Sessions that clients have open.
    Session(At<SessionCommand>),
    /// Say how the running proxy is, and what it holds.
    Status {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        status: StatusCommand,
    },
    /// What was decided: every request, in chains that show each change.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What was used, by tenant, day, key and tool.
    Usage(UsageCommand),
    /// Print what a client needs to connect, or write it into the client's file.
    Connect(ConnectCommand),
    /// Take over the servers of a client's file.
    Import(ImportCommand),
    /// Look at everything that can be wrong, and say what to do about it.
    Doctor(DoctorCommand),
    /// Say why a key can or cannot call a tool.
    Explain {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        explain: ExplainCommand,
    },
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

/// Commands that the running proxy carries out, or this program when none runs.
#[derive(Debug, Args)]
#[command(
    after_help = "The proxy that serves the store of the file carries it out; when none does, \
                        it is done on the store. A line on standard error says which."
)]
struct At<C: Subcommand> {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: C,
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
        Some(Command::Doctor(doctor)) => {
            let screen = &mut Screen::standard();
            runtime()?.block_on(Box::pin(doctor.run(given.as_deref(), screen)))
        }
        Some(Command::Import(import)) => {
            let screen = &mut Screen::standard();
            runtime()?.block_on(Box::pin(import.run(given.as_deref(), screen)))
        }
        Some(Command::Explain { remote, explain }) => {
            let screen = &mut Screen::standard();
            let asked = runtime()?.block_on(async {
                let reach = running(given.as_deref(), &remote, screen).await?;
                let Ok(reach) = reach else { return Ok(Some(explain)) };
                explain.ask(&reach, screen).await.map(|()| None)
            });
            asked.and_then(|rest| {
                rest.map_or(Ok(()), |explain| explain.run(given.as_deref(), screen))
            })
        }
        Some(Command::Stdio(stdio)) => stdio.run(given.as_deref()),
        Some(Command::Demo) => demo(),
        Some(Command::Completions(completions)) => {
            completions.run(Arguments::command(), &mut Screen::standard())
        }
        Some(Command::Man) => shell::manual(Arguments::command(), &mut Screen::standard()),
        Some(Command::Tenant(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Key(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Secret(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Seal(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Upstream(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Grant(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Session(At { remote, command })) => {
            with_reach(given.as_deref(), &remote, async |reach, screen| {
                command.run(reach, screen).await
            })
        }
        Some(Command::Status { remote, status }) => {
            let runtime = runtime()?;
            let screen = &mut Screen::standard();
            runtime.block_on(async {
                let reach = running(given.as_deref(), &remote, screen).await?;
                let reach = reach.map_err(|config| {
                    let store = config.store.path.display();
                    ReachError::Unreachable(format!(
                        "no proxy is running on the store {store}; start one with `mcp-proxy serve`"
                    ))
                })?;
                status.run(&reach, screen)
            })
        }
        Some(Command::Audit(command)) => {
            with_store(given.as_deref(), async |opened, screen| command.run(opened, screen).await)
        }
        Some(Command::Usage(command)) => {
            with_store(given.as_deref(), async |opened, screen| command.run(opened, screen).await)
        }
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

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().context("the runtime cannot start")
}

/// The proxy that a command is for, or the configuration whose store no proxy serves.
async fn running(
    given: Option<&Path>,
    remote: &Remote,
    screen: &mut Screen,
) -> anyhow::Result<Result<Reach, Box<Config>>> {
    if remote.is_given() {
        return Ok(Ok(Reach::remote(remote, screen).await?));
    }
    let (config, _, _) = read_config(given)?;
    let file = given.unwrap_or(Path::new(FILE));
    let reach = Reach::running(&config, file, screen).await?;
    Ok(reach.ok_or_else(|| Box::new(config)))
}

/// The values that the file's sources have here.
fn values() -> Resolve {
    Box::new(|source| config::resolve(source).map_err(|error| error.to_string()))
}

/// Does some work on the store, whether a proxy runs or not.
fn with_store(
    given: Option<&Path>,
    work: impl AsyncFnOnce(&Opened, &mut Screen) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (config, _, _) = read_config(given)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let tasks = Tasks::default();
        let opened = Opened::open(config, values(), &tasks).await?;
        let done = Box::pin(work(&opened, &mut Screen::standard())).await;
        tasks.finish(std::time::Duration::from_secs(5)).await;
        done
    })
}

/// Does some work at the running proxy, or at the store when none runs.
fn with_reach(
    given: Option<&Path>,
    remote: &Remote,
    work: impl AsyncFnOnce(&Reach, &mut Screen) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let screen = &mut Screen::standard();
    runtime.block_on(async {
        let tasks = Tasks::default();
        let reach = match running(given, remote, screen).await? {
            Ok(reach) => reach,
            Err(config) => {
                let opened = Opened::open(*config, values(), &tasks).await?;
                Box::pin(Reach::store(opened, screen, &tasks)).await?
            }
        };
        let done = Box::pin(work(&reach, screen)).await;
        reach.close().await;
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
