//! Where each client keeps its file.

use std::ffi::OsString;
use std::path::PathBuf;

use super::client::Client;

/// Kinds of machines that keep files in different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum System {
    Linux,
    Mac,
    Windows,
}

/// What says where files are on this machine.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Machine {
    pub(super) system: System,
    /// The person's folder.
    pub(in crate::cli) home: PathBuf,
    /// Folders that a variable names instead of the usual one.
    pub(super) config: Option<PathBuf>,
    pub(super) roaming: Option<PathBuf>,
    pub(super) codex: Option<PathBuf>,
}

impl Machine {
    /// This one; none where no home is known.
    pub(in crate::cli) fn this() -> Option<Self> {
        let folder = |name: &str| {
            let value: Option<OsString> = std::env::var_os(name);
            value.filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let system = match () {
            () if cfg!(target_os = "macos") => System::Mac,
            () if cfg!(windows) => System::Windows,
            () => System::Linux,
        };
        Some(Self {
            system,
            home: folder("HOME").or_else(|| folder("USERPROFILE"))?,
            config: folder("XDG_CONFIG_HOME"),
            roaming: folder("APPDATA"),
            codex: folder("CODEX_HOME"),
        })
    }

    /// The folder for settings of programs.
    fn settings(&self) -> PathBuf {
        match self.system {
            System::Mac => self.home.join("Library/Application Support"),
            System::Windows => self.roaming.clone().unwrap_or_else(|| {
                ["AppData", "Roaming"].iter().fold(self.home.clone(), |path, part| path.join(part))
            }),
            System::Linux => self.config.clone().unwrap_or_else(|| self.home.join(".config")),
        }
    }
}

/// The file of a client for this person; none where the client has none on a disk. The places
/// are those that each client's documentation names; Claude Desktop is not made for Linux, where
/// the place of its ports is taken.
pub(in crate::cli) fn place(client: Client, machine: &Machine) -> Option<PathBuf> {
    let home = &machine.home;
    Some(match client {
        Client::ClaudeCode => home.join(".claude.json"),
        Client::ClaudeDesktop => {
            machine.settings().join("Claude").join("claude_desktop_config.json")
        }
        Client::Cursor => home.join(".cursor").join("mcp.json"),
        Client::Vscode => machine.settings().join("Code").join("User").join("mcp.json"),
        Client::Codex => {
            machine.codex.clone().unwrap_or_else(|| home.join(".codex")).join("config.toml")
        }
        Client::Gemini => home.join(".gemini").join("settings.json"),
        Client::Windsurf => home.join(".codeium").join("windsurf").join("mcp_config.json"),
        Client::Zed => match machine.system {
            // It follows the way of Linux on macOS too.
            System::Mac => home.join(".config/zed/settings.json"),
            System::Linux => machine.settings().join("zed").join("settings.json"),
            System::Windows => machine.settings().join("Zed").join("settings.json"),
        },
        Client::ClaudeAi | Client::Chatgpt | Client::Librechat | Client::McpRemote => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_places() {
        let machine = |system| Machine {
            system,
            home: "/home/me".into(),
            config: None,
            roaming: Some("/roaming".into()),
            codex: None,
        };
        for (client, system, path) in [
            (
                Client::ClaudeDesktop,
                System::Mac,
                "/home/me/Library/Application Support/Claude/claude_desktop_config.json",
            ),
            (Client::ClaudeDesktop, System::Windows, "/roaming/Claude/claude_desktop_config.json"),
            (Client::Vscode, System::Linux, "/home/me/.config/Code/User/mcp.json"),
            (Client::Vscode, System::Windows, "/roaming/Code/User/mcp.json"),
            (Client::Zed, System::Mac, "/home/me/.config/zed/settings.json"),
            (Client::Codex, System::Linux, "/home/me/.codex/config.toml"),
        ] {
            assert_eq!(place(client, &machine(system)), Some(path.into()));
        }
        assert_eq!(place(Client::Chatgpt, &machine(System::Mac)), None);
    }
}
