//! The flows of the systems that the proxy takes over, one script each, as their users would walk
//! them: with `curl`, and with the official clients. Needs Node and Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

use support::{Process, found, install};

/// Longest walk: clients take long to load where much else runs.
const WALK: Duration = Duration::from_secs(600);

/// Runs the script of a system; each of its steps must hold.
fn walk(system: &str) {
    if !found(&["curl", "bash"]) || install("peers/install", &[]).is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flows").join(system);
    let mut command = Command::new(script);
    command.env("MCP_PROXY_BIN", env!("CARGO_BIN_EXE_mcp-proxy"));
    let (status, output, errors) = Process::run(&mut command, b"", WALK);
    assert!(status.success(), "{output}\n{errors}");
    assert!(output.contains(" 0 failed"), "{output}\n{errors}");
}

#[test]
fn helios_9() {
    walk("helios-9");
}

#[test]
fn mcp_online_platform() {
    walk("mcp-online-platform");
}

#[test]
fn missionsquad() {
    walk("missionsquad");
}

#[test]
fn mcpservice() {
    walk("mcpservice");
}

#[test]
fn mcp_saas_backend() {
    walk("mcp-saas-backend");
}
