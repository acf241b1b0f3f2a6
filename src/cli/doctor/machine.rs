//! What stands around the proxy on this machine: key file, programs, sources of secrets, store,
//! room on the disk, the port.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::finding::Findings;
use crate::app::connect_local;
use crate::base::Tasks;
use crate::config::{self, Config, Part, SecretSource, Transport};
use crate::seal::{KeyFileError, RootKey};
use crate::store::{StoreError, Survey, survey};

/// Less room than this is soon none.
const ROOM: u64 = 256 << 20;

/// Looks at all of it. True when there is a store that can be worked on.
pub(super) async fn look(config: &Config, tasks: &Tasks, findings: &mut Findings) -> bool {
    let key = key(config, findings);
    programs(config, findings);
    references(config, findings);
    let store = store(config, tasks, findings).await;
    room(config, findings);
    port(config, findings).await;
    key && store
}

fn key(config: &Config, findings: &mut Findings) -> bool {
    let path = &config.seal.key_file;
    let place = path.display().to_string();
    match RootKey::load(path) {
        Ok(_) => findings.good("key-file", &place, "is there, its owner's alone"),
        Err(KeyFileError::Missing(_)) if config.store.path.exists() => findings.bad(
            "key-file",
            &place,
            "the key file is missing, and the store beside it cannot be opened without it",
            ("", "bring back the copy that was kept of it"),
        ),
        Err(KeyFileError::Missing(_)) => {
            findings.note(
                "key-file",
                &place,
                "is not there yet; the first start makes it",
                ("", ""),
            );
        }
        // These say what to do.
        Err(error) => findings.bad("key-file", &place, error.to_string(), ("", "")),
    }
    RootKey::load(path).is_ok()
}

/// The programs of upstreams, each where the proxy would find it.
fn programs(config: &Config, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for upstream in config.upstreams.values() {
        let Transport::Stdio { command, .. } = &upstream.transport else { continue };
        let Some([Part::Text(program)]) = command.first().map(|word| word.parts()) else {
            continue;
        };
        let place = format!("[upstreams.{}] command", upstream.name);
        match find(program) {
            Some(path) if seen.insert(program.clone()) => {
                findings.good("program", &place, format!("`{program}` is {}", path.display()));
            }
            Some(_) => {}
            None if program.contains('/') => findings.bad(
                "program-missing",
                &place,
                format!("the program `{program}` is not there or may not be run"),
                ("nothing can be started for this upstream", "correct the path, or install it"),
            ),
            None => findings.bad(
                "program-missing",
                &place,
                format!("the program `{program}` is in no folder of PATH"),
                (
                    "nothing can be started for this upstream",
                    "install it, or write its whole path; a service often has a shorter PATH than a shell",
                ),
            ),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        let about = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        #[cfg(unix)]
        let about = about.filter(|about| {
            std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0
        });
        about.is_some()
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| runs(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| runs(path))
}

/// Everything that the file says is in a variable or another file.
fn references(config: &Config, findings: &mut Findings) {
    let mut count = 0;
    let mut look = |place: String, source: &SecretSource, findings: &mut Findings| {
        count += 1;
        if let Err(error) = config::resolve(source) {
            let why = match source {
                SecretSource::Env(_) => {
                    "this command has the environment of this shell; the service may have another"
                }
                SecretSource::File(_) => "",
            };
            // It names the place and what to do, never a value.
            findings.bad("secret-unresolved", &place, error.to_string(), (why, ""));
        }
    };
    for (name, tenant) in &config.tenants {
        for key in &tenant.keys {
            look(format!("{}:{} key `{}`", config.file, key.line, key.name), &key.source, findings);
        }
        for ((upstream, slot), source) in &tenant.secrets {
            let line = tenant.secret_lines.get(&(upstream.clone(), slot.clone()));
            let place = format!(
                "{}:{} secret {upstream} {slot} of {name}",
                config.file,
                line.copied().unwrap_or_default()
            );
            look(place, source, findings);
        }
    }
    for key in &config.admin.keys {
        look(format!("{}:{} key `{}`", config.file, key.line, key.name), &key.source, findings);
    }
    if count > 0 && !findings.bad_ones().any(|finding| finding.code == "secret-unresolved") {
        findings.good(
            "secrets",
            &config.file,
            format!("{count} keys and secrets of the file are found"),
        );
    }
}

async fn store(config: &Config, tasks: &Tasks, findings: &mut Findings) -> bool {
    let path = &config.store.path;
    let place = path.display().to_string();
    if !path.exists() {
        findings.note("store", &place, "is not there yet; the first start makes it", ("", ""));
        return false;
    }
    match survey(path, tasks).await {
        Ok(Survey { schema, known, damage: None }) if schema <= known => {
            findings.good("store", &place, format!("is sound, schema {schema} of {known}"));
            true
        }
        Ok(Survey { damage: Some(damage), .. }) => {
            findings.bad(
                "store-damaged",
                &place,
                format!("the store is damaged: {damage}"),
                ("the disk or a copy made while it ran", "stop the proxy and bring back a backup"),
            );
            false
        }
        Ok(Survey { schema, known, .. }) => {
            let error = StoreError::Newer { path: path.clone(), found: schema, known };
            findings.bad("store", &place, error.to_string(), ("", ""));
            false
        }
        Err(error) => {
            findings.bad(
                "store",
                &place,
                error.to_string(),
                ("", "see whether it is the right file"),
            );
            false
        }
    }
}

fn room(config: &Config, findings: &mut Findings) {
    let path = &config.store.path;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let Ok(about) = rustix::fs::statvfs(folder) else { return };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let place = folder.display().to_string();
    let mib = free >> 20;
    if free < ROOM {
        findings.bad(
            "disk-full",
            &place,
            format!("only {mib} MiB are free on the disk of the store"),
            ("what cannot be recorded is not served", "make room"),
        );
    } else {
        findings.good("disk", &place, format!("{mib} MiB are free"));
    }
}

/// Whether the port is free or ours.
async fn port(config: &Config, findings: &mut Findings) {
    let address = config.server.listen;
    let place = format!("[server] listen {address}");
    let running = matches!(connect_local(config).await, Ok(Some(_)));
    if address.port() == 0 {
        return;
    }
    match (std::net::TcpListener::bind(address), running) {
        (Ok(_), false) => findings.note(
            "port-free",
            &place,
            "nobody listens there: the proxy does not run",
            ("", "start it with `mcp-proxy serve`"),
        ),
        (Ok(_), true) => findings.note(
            "port-other",
            &place,
            "the proxy runs, and listens somewhere else",
            ("it was started with --listen or with another file", ""),
        ),
        (Err(_), true) => findings.good("port", &place, "the proxy listens there"),
        (Err(error), false) => findings.bad(
            "port-taken",
            &place,
            format!("the proxy does not run, and the port cannot be had: {error}"),
            (
                "another program has it, or this user may not",
                "end the other program, or write another port",
            ),
        ),
    }
}
