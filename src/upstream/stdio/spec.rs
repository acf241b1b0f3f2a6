//! What is needed to start a child: its command, environment and limits, and how it is launched.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::logs::Log;
use crate::base::{Name, Secret};
use crate::config::{EraSetting, ProcessLimits};
use crate::wire::{CapSet, Era};

/// The environment variable that marks every process of one tree with a random value. It says
/// nothing and proves nothing; it only lets the proxy find what is left when a guardian was
/// killed.
pub const MARK: &str = "MCP_PROXY_TREE";

/// Takes secret values out of a text that is about to be logged.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How children are launched; one for the whole program, made by the command line.
#[derive(Clone)]
pub struct Launcher {
    exe: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Launcher {
    /// `exe` is this program, which knows the hidden subcommand `child`; `/proc/self/exe` is the
    /// best choice on Linux, since it stays right when the file is replaced by an upgrade.
    /// `environment` is the program's own: only variables of the allow-list ([`passes`]) are kept.
    #[must_use]
    pub fn new(
        exe: impl Into<PathBuf>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let environment = environment.into_iter().filter(|(name, _)| passes(name)).collect();
        Self { exe: exe.into(), environment }
    }

    pub(super) fn exe(&self) -> &PathBuf {
        &self.exe
    }

    pub(super) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("exe", &self.exe).finish_non_exhaustive()
    }
}

/// True for the variables that children inherit: where programs, homes, caches, certificates and
/// temporary files are, and how the user reads text. Nothing that may be a credential.
#[must_use]
pub fn passes(name: &OsStr) -> bool {
    const ALLOWED: [&str; 16] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TERM",
        "TZ",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "NVM_DIR",
        "UV_CACHE_DIR",
        "npm_config_cache",
    ];
    name.to_str().is_some_and(|name| {
        ALLOWED.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_")
    })
}

/// Which era an upstream was found to speak, kept between its processes, so that a server that
/// ends at the first modern message, or is silent about it, is asked only once.
#[derive(Debug, Default)]
pub struct EraMemory(AtomicU8);

impl EraMemory {
    /// What was found last.
    #[must_use]
    pub fn get(&self) -> Option<Era> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(Era::Legacy),
            2 => Some(Era::Modern),
            _ => None,
        }
    }

    /// Keeps what was found; `None` forgets, so that the next start probes again.
    pub fn set(&self, era: Option<Era>) {
        let value = match era {
            None => 0,
            Some(Era::Legacy) => 1,
            Some(Era::Modern) => 2,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

/// One child to start.
#[derive(Clone)]
pub struct ChildSpec {
    /// The upstream it belongs to.
    pub upstream: Name,
    /// Program and arguments, as they are: no shell reads them.
    pub command: Vec<String>,
    /// Environment on top of the allow-list.
    pub env: Vec<(String, Secret)>,
    /// Working directory; the proxy's own when absent.
    pub cwd: Option<PathBuf>,
    /// Limits of each of its processes.
    pub limits: ProcessLimits,
    /// How it speaks, or that it is to be found out.
    pub era: EraSetting,
    /// What earlier starts found out.
    pub memory: Arc<EraMemory>,
    /// Longest start, from spawn to a finished handshake.
    pub start: Duration,
    /// What is declared to it when it is legacy; a modern one hears it with each request.
    pub capabilities: CapSet,
    /// Several callers share it: what it asks because it has just started is nobody's question.
    pub shared: bool,
    /// Its callers' calls go one at a time, so that each question has one owner.
    pub exclusive: bool,
    /// It asks nothing any more for a call that was cancelled.
    pub cancels: bool,
    /// How it is launched.
    pub launcher: Launcher,
    /// Where what it writes to standard error is kept beyond its end.
    pub log: Option<Log>,
    /// Takes this child's secrets out of what is logged.
    pub redact: Redact,
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("upstream", &self.upstream)
            .field("command", &self.command)
            .field("env", &self.env)
            .field("cwd", &self.cwd)
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allow_list_passes() {
        let own = ["PATH", "LC_ALL", "XDG_CACHE_HOME", "AWS_SECRET_ACCESS_KEY", "ACME_KEY", "path"]
            .map(|name| (OsString::from(name), OsString::from("x")));
        let launcher = Launcher::new("x", own);
        let names: Vec<_> =
            launcher.environment().iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["PATH", "LC_ALL", "XDG_CACHE_HOME"]);
        assert!(!format!("{launcher:?}").contains("LC_ALL"));
    }

    #[test]
    fn an_era_is_remembered_and_forgotten() {
        let memory = EraMemory::default();
        for era in [None, Some(Era::Legacy), Some(Era::Modern), None] {
            memory.set(era);
            assert_eq!(memory.get(), era);
        }
    }
}
