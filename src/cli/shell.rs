//! `mcp-proxy completions` and `mcp-proxy man`: made from the same source as `--help`.

use std::io::Write as _;

use clap::{Args, Command, ValueEnum};

use super::screen::Screen;

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Print what makes a shell complete our commands and flags.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mcp-proxy completions bash > /etc/bash_completion.d/mcp-proxy\n  \
                  mcp-proxy completions zsh > ~/.zfunc/_mcp-proxy\n  \
                  mcp-proxy completions fish > ~/.config/fish/completions/mcp-proxy.fish"
)]
pub(super) struct CompletionsCommand {
    /// For which shell.
    shell: Shell,
}

impl CompletionsCommand {
    /// Prints it.
    pub(super) fn run(self, mut program: Command, screen: &mut Screen) -> anyhow::Result<()> {
        use clap_complete::{Shell as For, generate};
        let shell = match self.shell {
            Shell::Bash => For::Bash,
            Shell::Zsh => For::Zsh,
            Shell::Fish => For::Fish,
        };
        let mut text = Vec::new();
        generate(shell, &mut program, "mcp-proxy", &mut text);
        let text = String::from_utf8(text)?;
        // The labels of a program with a hyphen are not the ones that are looked for (clap_complete
        // 4.6.11 for bash), so that nothing below it would be completed.
        let text = text.replace("mcp__subcmd__proxy", "mcp__proxy");
        screen.out.write_all(text.as_bytes())?;
        Ok(())
    }
}

/// What the flags do not say of themselves.
const AROUND: &str = r#".SH ENVIRONMENT
.TP
MCP_PROXY_CONFIG
The configuration file.
.TP
MCP_PROXY_URL
The proxy that commands speak to, instead of the one that serves the store of the file.
.TP
MCP_PROXY_KEY
The key for it; also the key of \fBmcp\-proxy stdio\fR.
.TP
MCP_PROXY_LOG
What is logged.
.SH FILES
.TP
mcp\-proxy.toml
The configuration, in the current folder where none is named.
.TP
mcp\-proxy.db, mcp\-proxy.key
The store, and the key that opens what is sealed in it, where the configuration names no others.
.TP
mcp\-proxy.db.sock
The socket beside the store by which commands find the proxy that serves it.
.SH EXIT STATUS
.TP
0
Done.
.TP
1
A failure or a refusal.
.TP
64
A wrong file or flag.
.TP
69
Something that cannot be reached."#;

/// Prints the manual page: the program, and then each of its commands.
pub(super) fn manual(mut program: Command, screen: &mut Screen) -> anyhow::Result<()> {
    program.build();
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(program.clone());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    writeln!(text, ".SH COMMANDS")?;
    commands(&program, &mut text)?;
    page.render_extra_section(&mut text)?;
    writeln!(text, "{AROUND}")?;
    page.render_version_section(&mut text)?;
    screen.out.write_all(&text)?;
    Ok(())
}

fn commands(of: &Command, text: &mut Vec<u8>) -> anyhow::Result<()> {
    for command in of.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        if command.has_subcommands() {
            commands(command, text)?;
            continue;
        }
        let name = command.get_bin_name().unwrap_or(command.get_name());
        let page = clap_mangen::Man::new(command.clone());
        writeln!(text, ".SS {}", name.replace('-', "\\-"))?;
        // Without their headings the sections stand below the one of the command.
        for section in [
            {
                let mut part = Vec::new();
                page.render_description_section(&mut part)?;
                part
            },
            {
                let mut part = Vec::new();
                page.render_options_section(&mut part)?;
                part
            },
        ] {
            let section = String::from_utf8_lossy(&section).into_owned();
            for line in section.lines().filter(|line| {
                !line.starts_with(".SH") && !line.starts_with(".ie") && !line.starts_with(".el")
            }) {
                writeln!(text, "{line}")?;
            }
        }
    }
    Ok(())
}
