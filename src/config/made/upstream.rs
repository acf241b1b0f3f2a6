//! Upstreams that were made over the API: one JSON document each, in the store, with the keys of
//! `[upstreams.NAME]`, and checked as that section is.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::section;
use crate::base::{Glob, Name, is_inner};
use crate::config::check::{Surroundings, check_upstreams};
use crate::config::file::{Table, parse};
use crate::config::load::itself;
use crate::config::problem::{Problem, Problems, Warning};
use crate::config::report::Report;
use crate::config::{Config, OAuth, Part, Template, Transport, Upstream};

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
    let text = section(&place, &keys)?;
    let program = itself();
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
            // The lines are those of no text that anybody wrote.
            let rules = upstream.rules.without_lines();
            let oauth = upstream.oauth.as_ref();
            let oauth = oauth
                .map(|oauth| Arc::new(OAuth { allow_private: private, ..OAuth::clone(oauth) }));
            let upstream = Upstream { rules, oauth, guarded: !private, ..upstream };
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
        Part::Secret(_) | Part::Tenant | Part::Key | Part::AccessToken => "x".to_owned(),
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
