//! What the program says of itself to shells and to `man`, made from its own description.

use std::process::Command;
use std::time::Duration;

use crate::cli::desk::run;
use crate::support::{Process, Setup};

/// Every command by its words, found as a person finds them: by `--help`.
fn commands(setup: &Setup, path: &str) -> Vec<String> {
    let help = run(setup, format!("{path} --help").trim_start()).out;
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let listed = listed.lines().take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let paths = names.filter(|name| *name != "help").map(|name| format!("{path} {name}"));
    let paths: Vec<String> = paths.map(|path| path.trim_start().to_owned()).collect();
    paths.iter().flat_map(|own| [vec![own.clone()], commands(setup, own)].concat()).collect()
}

#[test]
fn the_manual_page_has_every_command() {
    let setup = Setup::new();
    let all = commands(&setup, "");
    assert!(all.len() > 20, "{all:?}");
    let page = run(&setup, "man").out.replace("\\-", "-");
    let leaves =
        all.iter().filter(|path| !all.iter().any(|other| other.starts_with(&format!("{path} "))));
    for path in leaves {
        assert!(page.contains(&format!(".SS mcp-proxy {path}\n")), "{path} is missing");
    }
    for part in ["MCP_PROXY_URL", "MCP_PROXY_KEY", "MCP_PROXY_CONFIG", "EXIT STATUS", "FILES"] {
        assert!(page.contains(part), "{part} is missing");
    }
    let has_groff = Command::new("groff").arg("--version").output().is_ok();
    if has_groff {
        let path = setup.folder().join("page.1");
        std::fs::write(&path, run(&setup, "man").out).expect("the folder is ours");
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(path);
        let (status, _, complaints) = Process::run(&mut groff, b"", Duration::from_secs(30));
        assert!(status.success() && complaints.is_empty(), "{complaints}");
    }
}

/// Loads the completions in a shell and has it say something that only works when they are there.
#[test]
fn shells_load_their_completions() {
    let setup = Setup::new();
    for (shell, name, script) in [
        (
            "bash",
            "mcp-proxy.bash",
            "set -e; . ./mcp-proxy.bash; complete -p mcp-proxy >/dev/null; \
             COMP_WORDS=(mcp-proxy key cr); COMP_CWORD=2; COMPREPLY=(); \
             _mcp__proxy mcp-proxy cr key; echo \"${COMPREPLY[*]}\"",
        ),
        (
            "zsh",
            "_mcp-proxy",
            "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; \
             [[ $_comps[mcp-proxy] == _mcp-proxy ]] && autoload +X _mcp-proxy && echo create",
        ),
        ("fish", "mcp-proxy.fish", "source ./mcp-proxy.fish; complete -C 'mcp-proxy key cr'"),
    ] {
        let done = run(&setup, &format!("completions {shell}"));
        assert_eq!(done.code, Some(0), "{}", done.errors);
        for word in ["rotate", "grace", "key-file", "session", "status"] {
            assert!(done.out.contains(word), "{shell} does not know {word}");
        }
        std::fs::write(setup.folder().join(name), &done.out).expect("the folder is ours");
        if Command::new(shell).arg("--version").output().is_err() {
            continue;
        }
        let mut command = Command::new(shell);
        command.arg("-c").arg(script).current_dir(setup.folder()).env("HOME", setup.folder());
        let (status, said, complaints) = Process::run(&mut command, b"", Duration::from_secs(30));
        assert!(status.success(), "{shell}: {said}{complaints}");
        assert!(said.contains("create"), "{shell} offers {said:?}{complaints}");
    }
}
