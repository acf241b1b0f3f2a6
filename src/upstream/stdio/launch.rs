//! The command line and environment of a guardian, and the last step before the program runs.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

use super::spec::{ChildSpec, MARK};

/// Exit code when the program was not found, as shells have it.
pub(super) const NOT_FOUND: u8 = 127;
/// Exit code when the program could not be run.
pub(super) const NOT_RUN: u8 = 126;

/// Most open files of a child when the file says nothing.
const OPEN_FILES: u64 = 1_024;

/// What stands between `child` and the program's own command.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Set in the second step: the guardian that this process must not outlive.
    pub(super) guardian: Option<i32>,
    cwd: Option<PathBuf>,
    memory: Option<u64>,
    files: Option<u64>,
    processes: Option<u64>,
    /// Program and arguments.
    command: Vec<OsString>,
}

impl Orders {
    /// Reads `[--guardian N] [--cwd DIR] [--memory N] [--files N] [--processes N] -- COMMAND…`.
    pub(super) fn read(arguments: Vec<OsString>) -> Option<Self> {
        let mut orders = Self::default();
        let mut rest = arguments.into_iter();
        loop {
            let flag = rest.next()?;
            if flag == "--" {
                orders.command = rest.collect();
                return (!orders.command.is_empty()).then_some(orders);
            }
            let value = rest.next()?;
            let number = value.to_str().and_then(|text| text.parse().ok());
            match flag.to_str()? {
                "--guardian" => orders.guardian = Some(i32::try_from(number?).ok()?),
                "--cwd" => orders.cwd = Some(value.into()),
                "--memory" => orders.memory = Some(number?),
                "--files" => orders.files = Some(number?),
                "--processes" => orders.processes = Some(number?),
                _ => return None,
            }
        }
    }

    fn write(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["child".into()];
        let mut flag = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                arguments.extend([name.into(), value]);
            }
        };
        flag("--guardian", self.guardian.map(|number| number.to_string().into()));
        flag("--cwd", self.cwd.clone().map(Into::into));
        for (name, limit) in
            [("--memory", self.memory), ("--files", self.files), ("--processes", self.processes)]
        {
            flag(name, limit.map(|number| number.to_string().into()));
        }
        arguments.push("--".into());
        arguments.extend(self.command.iter().cloned());
        arguments
    }

    /// The second step as a command: this same program, told to become the child of `guardian`.
    pub(super) fn second_step(mut self, guardian: Pid) -> std::process::Command {
        self.guardian = Some(guardian.as_raw_nonzero().get());
        // In the forked process this link still names the running binary, also after an upgrade
        // has replaced its file.
        let exe = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_default()
        };
        let mut command = std::process::Command::new(exe);
        command.arg0("mcp-proxy").args(self.write()).process_group(0);
        command
    }

    /// Sets limits and becomes the program. Comes back only when that failed.
    pub(super) fn become_program(self) -> ExitCode {
        let name = self.command.first().cloned().unwrap_or_default();
        let name = name.to_string_lossy();
        #[cfg(target_os = "linux")]
        if let Err(error) = self.tie() {
            return failed(NOT_RUN, &format!("cannot prepare `{name}`: {error}"));
        }
        let limits = [
            (Resource::Core, Some(0)),
            (Resource::Nofile, Some(self.files.unwrap_or(OPEN_FILES))),
            (Resource::Nproc, self.processes),
            (Resource::As, self.memory),
        ];
        for (resource, limit) in limits {
            if let Some(limit) = limit
                && let Err(error) = lower(resource, limit)
            {
                return failed(NOT_RUN, &format!("cannot limit {resource:?} to {limit}: {error}"));
            }
        }
        if let Some(cwd) = &self.cwd
            && let Err(error) = std::env::set_current_dir(cwd)
        {
            let cwd = cwd.display();
            return failed(NOT_RUN, &format!("cannot enter `{cwd}`: {error}; check `cwd`"));
        }
        let error = std::process::Command::new(&self.command[0]).args(&self.command[1..]).exec();
        if error.kind() == std::io::ErrorKind::NotFound {
            let next = "install it, or write its full path in `command`";
            failed(NOT_FOUND, &format!("the program `{name}` was not found; {next}"))
        } else {
            failed(NOT_RUN, &format!("the program `{name}` could not be run: {error}"))
        }
    }

    /// No new privileges, and an end with the guardian.
    #[cfg(target_os = "linux")]
    fn tie(&self) -> rustix::io::Result<()> {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        rustix::thread::set_no_new_privs(true)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The guardian may have ended before the signal was asked for.
        let parent = getppid().map(|parent| parent.as_raw_nonzero().get());
        if parent == self.guardian { Ok(()) } else { Err(rustix::io::Errno::SRCH) }
    }
}

/// Limits are only ever lowered: raising a hard limit needs privileges.
fn lower(resource: Resource, limit: u64) -> rustix::io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(limit, |most| most.min(limit));
    setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
}

fn failed(code: u8, reason: &str) -> ExitCode {
    // The proxy reads standard error; when that is gone nobody is left to tell.
    let _ = writeln!(std::io::stderr(), "mcp-proxy: {reason}");
    ExitCode::from(code)
}

/// The guardian of `spec` as a command, with piped standard streams and a cleared environment.
/// `mark` is the value of [`MARK`].
pub(super) fn guardian(spec: &ChildSpec, mark: &str) -> tokio::process::Command {
    let orders = Orders {
        guardian: None,
        cwd: spec.cwd.clone(),
        memory: spec.limits.memory,
        files: spec.limits.open_files,
        processes: spec.limits.processes,
        command: spec.command.iter().map(OsString::from).collect(),
    };
    let mut command = tokio::process::Command::new(spec.launcher.exe());
    command
        .arg0("mcp-proxy")
        .args(orders.write())
        .env_clear()
        .envs(spec.launcher.environment().iter().map(|(name, value)| (name, value)))
        .envs(spec.env.iter().map(|(name, value)| (name, value.expose())))
        .env(MARK, mark)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Option<Orders> {
        Orders::read(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn orders_read_back_what_they_write() {
        let orders = read(&["--cwd", "/a b", "--memory", "7", "--", "npx", "--", "-y"]).unwrap();
        let again = Orders::read(orders.write().split_off(1)).unwrap();
        assert_eq!(format!("{orders:?}"), format!("{again:?}"));
        assert_eq!(again.command, ["npx", "--", "-y"]);
        for wrong in [&["--"][..], &[], &["--memory", "x", "--", "a"], &["--else", "1", "--", "a"]]
        {
            assert!(read(wrong).is_none(), "{wrong:?}");
        }
    }
}
