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
        screen.out.write_all(&text)?;
        Ok(())
    }
}

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
