//! Upstreams that were made over the API: one JSON document each, in the store, with the keys of
//! `[upstreams.NAME]`, and checked as that section is. What runs is the file and these.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::check::{Surroundings, check_upstreams};
use super::file::{Table, parse};
use super::problem::{Problem, Problems, Warning};
use super::report::Report;
use super::{Config, Part, Template, Transport, Upstream};
use crate::base::{Glob, Name};

/// A document as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeUpstream {
    /// Its name.
    pub name: Name,
    /// Its keys as JSON text.
    pub document: String,
    /// False: it is kept and does not run.
    pub enabled: bool,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Runs,
    /// Somebody disabled it.
    Disabled,
    /// The file declares an upstream of that name, which runs instead.
    Declared,
    /// It has problems with the file as it is now.
    Broken(Problems),
}

/// What a configuration knows of upstreams that the file does not declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The folder of the file; relative paths start here.
    pub folder: PathBuf,
    /// The lines of the file where its upstreams stand, from 1.
    pub lines: BTreeMap<Name, usize>,
    /// What became of each document.
    pub standing: BTreeMap<Name, Standing>,
}

/// One entry of `programs` in `[admin]`: what a `command` over the API may begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program: a name for `PATH`, or an absolute path.
    pub name: String,
    /// What its first arguments must be.
    pub arguments: Vec<Glob>,
}

impl Program {
    /// Whether a command is this program with these first arguments.
    #[must_use]
    pub fn allows(&self, command: &[Template]) -> bool {
        let Some((program, arguments)) = command.split_first() else { return false };
        let fits = |(glob, word): (&Glob, &Template)| {
            plain(word).is_some_and(|word| {
                // A star stands for the rest of a name, not for a way out of a folder.
                word == glob.as_str() || (glob.fits(word) && !word.contains(".."))
            })
        };
        plain(program) == Some(&self.name)
            && arguments.len() >= self.arguments.len()
            && self.arguments.iter().zip(arguments).all(fits)
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// The text of a template that refers to nothing.
fn plain(template: &Template) -> Option<&str> {
    match template.parts() {
        [] => Some(""),
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// Variables that make a program load or run something else than itself: with them any program
/// of the list is every program.
const LOADERS: [&str; 19] = [
    "PATH",
    "ENV",
    "BASH_ENV",
    "SHELL",
    "HOME",
    "IFS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "GCONV_PATH",
    "GIT_SSH_COMMAND",
    "DENO_DIR",
];
const LOADER_FAMILIES: [&str; 9] =
    ["LD_", "DYLD_", "PYTHON", "UV_", "PIP_", "NPM_", "BUN_", "CORE_", "GIT_CONFIG"];

/// Members of these families that load nothing.
const HARMLESS: [&str; 3] = ["PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8"];

fn loads(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    let family = LOADER_FAMILIES.iter().any(|family| upper.starts_with(family));
    LOADERS.contains(&upper.as_str()) || (family && !HARMLESS.contains(&upper.as_str()))
}

/// Last words of names whose values are credentials.
const CREDENTIALS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "key",
    "credential",
    "credentials",
    "authorization",
    "pat",
];

fn is_credential(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    CREDENTIALS.contains(&last) || last.ends_with("token") || last.ends_with("apikey")
}

/// Checks one document as `[upstreams.NAME]` beside what `config` says, and by the rules for what
/// comes over the API: a program of the list, no credential that everybody may read, no address
/// of this machine or network unless `allow_private` is true.
///
/// # Errors
/// Every problem of it at once, each with its key and what to do. No line says where.
pub fn check_upstream(
    name: &Name,
    document: &Map<String, Value>,
    config: &Config,
) -> Result<(Upstream, Vec<Warning>), Problems> {
    let place = format!("upstreams.{name}");
    let mut keys = document.clone();
    let private = match keys.remove("allow_private") {
        None => false,
        Some(Value::Bool(allowed)) => allowed,
        Some(_) => {
            let message = format!("`{place}.allow_private` must be true or false");
            return Err(Problem::about(&place, "allow_private", message, "take it out").into());
        }
    };
    let mut text = format!("[{place}]\n");
    for (key, value) in &keys {
        word(&mut text, key);
        text.push_str(" = ");
        if !toml(&mut text, value) {
            let message = format!("`{place}.{key}` has a null in it");
            return Err(Problem::about(&place, key, message, "leave out what is not there").into());
        }
        text.push('\n');
    }
    let program = super::load::itself();
    let around = Surroundings { folder: &config.made.folder, program: &program };
    let mut report = Report::new(&text);
    let root = parse(&text, &mut report);
    let mut root = Table::new(String::new(), root.get_ref());
    let section = root.take("upstreams").and_then(|item| item.table(&mut report));
    let found = check_upstreams(section, &config.namespace, &around, &mut report);
    let (problems, warnings) = report.finish(&place);
    let mut all: Vec<Problem> = problems.iter().flat_map(Problems::iter).cloned().collect();
    let upstream = found.into_values().next().map(Arc::unwrap_or_clone);
    if let Some(upstream) = &upstream {
        all.extend(judge(upstream, &place, private, &config.admin.programs));
    }
    match (Problems::new(all.into_iter().map(Problem::without_place).collect()), upstream) {
        (None, Some(upstream)) => {
            let warnings = warnings.into_iter().map(|Warning(told)| Warning(told.without_place()));
            Ok((upstream, warnings.collect()))
        }
        (Some(problems), _) => Err(problems),
        (None, None) => {
            let message = format!("`{place}` is no upstream");
            Err(Problem::about(&place, "", message, "write command or url").into())
        }
    }
}

/// What the API may not do though the file may.
fn judge(upstream: &Upstream, place: &str, private: bool, programs: &[Program]) -> Vec<Problem> {
    let name = &upstream.name;
    let mut problems = Vec::new();
    let mut tell = |key: &str, message: String, hint: String| {
        problems.push(Problem::about(place, key, message, &hint));
    };
    let literal = |value: &Template| !value.has_secret() && !value.parts().is_empty();
    let sealed = |slot: &str| {
        format!(
            "write {{secret.{slot}}} instead, and set it for each tenant: \
             PUT /api/v1/secrets/{name}/{slot}"
        )
    };
    match &upstream.transport {
        Transport::Stdio { command, env, .. } => {
            if !programs.iter().any(|program| program.allows(command)) {
                let known: Vec<String> =
                    programs.iter().map(|program| format!("`{program}`")).collect();
                let hint = if known.is_empty() {
                    "the operator lists what may be started in the file: programs = [\"npx\"] in [admin]".to_owned()
                } else {
                    format!(
                        "it may begin with {}; more stands in `programs` of [admin]",
                        known.join(", ")
                    )
                };
                let message = "is none of the programs that may be started over the API";
                tell("command", format!("`{place}.command` {message}"), hint);
            }
            for (variable, value) in env {
                let key = format!("env.{variable}");
                if loads(variable) {
                    let message = format!("`{place}.{key}` decides which code the program runs");
                    tell(&key, message, "declare such an upstream in the file".to_owned());
                } else if is_credential(variable) && literal(value) {
                    let message = format!("`{place}.{key}` is a credential in plain text");
                    tell(&key, message, sealed("token"));
                }
            }
        }
        Transport::Http { url, headers } => {
            let bare = |(header, value): &&(http::HeaderName, Template)| {
                is_credential(header.as_str()) && literal(value)
            };
            for (header, _) in headers.iter().filter(bare) {
                let key = format!("headers.{header}");
                let message = format!("`{place}.{key}` is a credential in plain text");
                tell(&key, message, sealed("token"));
            }
            if !private && is_private(url) {
                let message = format!("`{place}.url` leads into this machine or its network");
                tell("url", message, "if you mean it, add \"allow_private\": true".to_owned());
            }
        }
    }
    problems
}

/// Whether a URL names a host that the world cannot reach, as far as its name says so.
fn is_private(url: &Template) -> bool {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Secret(_) | Part::Tenant | Part::Key => "x".to_owned(),
    };
    let sample: String = url.parts().iter().map(text).collect();
    match url::Url::parse(&sample).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Ipv4(address)) => is_inner(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => is_inner(IpAddr::V6(address)),
        Some(url::Host::Domain(host)) => {
            let host = host.trim_end_matches('.');
            !host.contains('.')
                || [".localhost", ".local", ".internal", ".lan", ".home.arpa"]
                    .iter()
                    .any(|end| host.ends_with(end))
        }
        None => true,
    }
}

fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || first == 0
                // Shared between a provider and its customers (RFC 6598).
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_inner(IpAddr::V4(v4)),
            None => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            }
        },
    }
}

/// Puts these upstreams beside those of the file.
#[must_use]
pub fn join(mut config: Config, made: &[MadeUpstream]) -> Config {
    let mut revision = Sha256::new_with_prefix(config.revision);
    for MadeUpstream { name, document, enabled } in made {
        let standing = if config.made.lines.contains_key(name) {
            Standing::Declared
        } else if *enabled {
            let keys: Map<String, Value> = serde_json::from_str(document).unwrap_or_default();
            match check_upstream(name, &keys, &config) {
                Ok((upstream, _)) => {
                    config.upstreams.insert(name.clone(), Arc::new(upstream));
                    for part in [name.as_str(), document] {
                        revision.update((part.len() as u64).to_le_bytes());
                        revision.update(part);
                    }
                    Standing::Runs
                }
                Err(problems) => Standing::Broken(problems),
            }
        } else {
            Standing::Disabled
        };
        config.made.standing.insert(name.clone(), standing);
    }
    if config.made.standing.values().any(|standing| *standing == Standing::Runs) {
        let digest: [u8; 32] = revision.finalize().into();
        config.revision = digest.first_chunk().copied().unwrap_or_default();
    }
    config
}

impl Made {
    /// Of a file in this folder.
    pub(super) fn of(folder: &Path, lines: BTreeMap<Name, usize>) -> Self {
        Self { folder: folder.to_owned(), lines, standing: BTreeMap::new() }
    }
}

/// A text as TOML has it: as JSON, but for one character that must be escaped there.
fn word(text: &mut String, value: &str) {
    text.push_str(&Value::from(value).to_string().replace('\u{7f}', "\\u007f"));
}

/// A value as TOML has it, on one line. False when there is a null in it.
fn toml(text: &mut String, value: &Value) -> bool {
    match value {
        Value::Null => return false,
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(value) => word(text, value),
        Value::Array(list) => {
            text.push('[');
            for entry in list {
                if !toml(text, entry) {
                    return false;
                }
                text.push_str(", ");
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                word(text, key);
                text.push_str(" = ");
                if !toml(text, value) {
                    return false;
                }
            }
            text.push('}');
        }
    }
    true
}
