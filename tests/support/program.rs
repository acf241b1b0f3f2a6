//! Where the programs of this crate are, and the test upstream among them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Process;

/// The proxy itself.
pub(crate) const PROXY: &str = env!("CARGO_BIN_EXE_mcp-proxy");

/// The example `everything`. `cargo test` builds examples; with `--test NAME` it does not, so
/// that a missing one is built here.
pub(crate) fn everything() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| example("everything"))
}

/// The example `asker`, which asks its caller what it is told to ask.
pub(crate) fn asker() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| example("asker"))
}

/// The example `tasker`, whose tools run as tasks.
pub(crate) fn tasker() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| example("tasker"))
}

fn example(name: &str) -> PathBuf {
    let folder = Path::new(PROXY).parent().expect("a program stands in a folder");
    let place = folder.join("examples").join(name);
    if !place.exists() {
        build(folder, name);
    }
    assert!(place.exists(), "{} is missing: run `cargo build --examples`", place.display());
    place
}

fn build(folder: &Path, name: &str) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", name, "--manifest-path"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    command.arg("--target-dir").arg(folder.parent().expect("…/PROFILE stands in the target"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    // Build scripts that watch what cargo tells this test would all run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(name);
        }
    }
    assert!(command.status().is_ok_and(|status| status.success()), "cannot build `{name}`");
}

/// Starts `everything` over HTTP with these options; its address takes MCP at `/mcp`.
pub(crate) fn serve_everything(options: &[&str]) -> (Process, SocketAddr) {
    let process =
        Process::start(Command::new(everything()).args(["--http", "127.0.0.1:0"]).args(options));
    let address = process.line("its address", address_in);
    (process, address)
}

/// Starts `tasker` over HTTP with these options; its address takes MCP at `/mcp`.
pub(crate) fn serve_tasker(options: &[&str]) -> (Process, SocketAddr) {
    let process =
        Process::start(Command::new(tasker()).args(["--http", "127.0.0.1:0"]).args(options));
    let address = process.line("its address", address_in);
    (process, address)
}

/// The address in a line such as `listening on http://127.0.0.1:8808/mcp`.
pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
    let (before, rest) = line.split_once("http://")?;
    let end = rest
        .find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')))
        .unwrap_or(rest.len());
    before.to_ascii_lowercase().contains("listening").then(|| rest[..end].parse().ok())?
}

/// The example `exact`, which answers with given bytes.
pub(crate) fn exact() -> PathBuf {
    example("exact")
}

/// The example `canned`, a fast server.
pub(crate) fn canned() -> PathBuf {
    example("canned")
}
