//! Reads, seals, and writes the file last.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::convert::{Around, Made, Source, convert};
use super::found::{Found, Way, plain};
use super::{file, read};
use crate::app::{Foundation, first_tenant};
use crate::base::{Name, Secret, Tasks, TenantId};
use crate::cli::command::{FILE, SHIPPED, read_config};
use crate::cli::connect::{Client, Existing, Machine, place};
use crate::cli::open::listed;
use crate::cli::refusal::usage;
use crate::cli::screen::Screen;
use crate::config::{self, Config};
use crate::store::SecretPlace;

/// Take over the servers of a client: they become upstreams, their credentials sealed secrets.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mcp-proxy import cursor --dry-run\n  \
                  mcp-proxy import claude-code --file .mcp.json --tenant acme\n\n\
                  Values of variables and headers are sealed for the tenant and never written into \
                  mcp-proxy.toml. The client's file is only read.")]
pub(in crate::cli) struct ImportCommand {
    /// Whose file it is: claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf, zed.
    #[arg(hide_possible_values = true)]
    client: Client,
    /// The client's file, instead of the usual place.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The tenant that the credentials are sealed for; not needed where there is only one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A variable, header or option whose value is no secret and stays in the file; may be repeated.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    plain: Vec<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What becomes of one entry.
struct Outcome {
    place: String,
    upstream: Option<String>,
    reason: Option<String>,
}

impl ImportCommand {
    /// Imports.
    pub(in crate::cli) async fn run(
        self,
        given: Option<&Path>,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        if self.client.member().is_none() && self.client != Client::Codex {
            return Err(usage(format!(
                "{} has no servers in a file; claude-desktop, claude-code, cursor, vscode, codex, gemini, \
                 windsurf and zed have",
                self.client.name()
            )));
        }
        let machine = Machine::this();
        let from = match &self.file {
            Some(path) => path.clone(),
            None => machine.as_ref().and_then(|machine| place(self.client, machine)).ok_or_else(
                || {
                    usage(format!(
                        "{} has no file to read; name one with --file",
                        self.client.name()
                    ))
                },
            )?,
        };
        let text = Existing::read(&from)?.text.ok_or_else(|| {
            usage(format!("there is no {}; name the client's file with --file", from.display()))
        })?;
        let all = read::read(self.client, &text)
            .map_err(|error| usage(format!("{}: {error}", from.display())))?;
        let (config, _, _) = read_config(given)?;
        let target = given.unwrap_or(Path::new(FILE));
        let target = std::fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let own = Existing::read(&target)?;
        let before = own.text.as_deref().unwrap_or(SHIPPED);

        let workspace = workspace(&from);
        let home = machine.as_ref().and_then(|machine| machine.home.to_str());
        let around = Around {
            workspace: workspace.as_deref(),
            home,
            open: &self.plain,
            // Sixteen characters stay for the tool.
            longest: config
                .namespace
                .max_name
                .saturating_sub(16 + config.namespace.separator.len())
                .min(40),
            separator: &config.namespace.separator,
        };
        let (made, outcomes) = judge(all, &config, before, &around);
        let name = from.display().to_string();
        let title = format!("{} ({name})", self.client.name());
        let mut new = file::with(before, &title, &made)
            .map_err(|error| anyhow::anyhow!("{}: {error}", target.display()))?;
        let tasks = Tasks::default();
        let foundation = match self.dry_run || made.is_empty() {
            true => None,
            false => Some(Foundation::open(&config, &tasks).await?),
        };
        let tenant = self.tenant(&config, foundation.as_ref()).await?;
        let filed = config.tenants.contains_key(&tenant.0);
        if filed {
            new = file::with_variables(&new, &tenant.0, &made)
                .map_err(|error| anyhow::anyhow!("{}: {error}", target.display()))?;
        }
        let folder = std::path::absolute(&target)?;
        let folder = folder.parent().unwrap_or(Path::new("."));
        // What it would be is checked before anything is done.
        config::check_text(&new, &target.display().to_string(), folder)?;
        if let (Some(foundation), (_, Some(id))) = (&foundation, &tenant) {
            let sealed = seal(foundation, *id, &made, filed).await?;
            if let Err(error) = own.replace(&new) {
                // What nothing refers to is not left behind.
                for place in sealed {
                    let _ = foundation.stores.secrets.remove(*id, place).await;
                }
                return Err(error.into());
            }
        }
        drop(foundation);
        tasks.finish(std::time::Duration::from_secs(5)).await;
        self.report(screen, &made, &outcomes, (&tenant.0, filed), (&target, &name))
    }

    async fn tenant(
        &self,
        config: &Config,
        foundation: Option<&Foundation>,
    ) -> anyhow::Result<(Name, Option<TenantId>)> {
        let Some(foundation) = foundation else {
            let only = config.tenants.keys().next().filter(|_| config.tenants.len() == 1);
            let name = match &self.tenant {
                Some(name) => Name::new(name)?,
                None => only.cloned().map_or_else(|| Name::new("default"), Ok)?,
            };
            return Ok((name, None));
        };
        first_tenant(config, foundation).await?;
        let all = foundation.stores.tenants.list().await?;
        let known = || listed(all.iter().map(|tenant| tenant.name.as_str()));
        let found = match (&self.tenant, &all[..]) {
            (Some(name), all) => all.iter().find(|tenant| tenant.name.as_str() == name).with_context(
                || format!("there is no tenant `{name}` ({}); make it with `mcp-proxy tenant create {name}`", known()),
            )?,
            (None, [only]) => only,
            (None, _) => {
                return Err(usage(format!(
                    "which tenant are the credentials for? ({}); name it with --tenant",
                    known()
                )));
            }
        };
        Ok((found.name.clone(), Some(found.id)))
    }

    fn report(
        &self,
        screen: &mut Screen,
        made: &[Made],
        outcomes: &[Outcome],
        (tenant, filed): (&Name, bool),
        (target, from): (&Path, &str),
    ) -> anyhow::Result<()> {
        let set = |made: &Made, slot: &str| {
            format!("mcp-proxy secret set --tenant {tenant} {} {slot}", made.name)
        };
        let mut entries = Vec::new();
        let mut lines = Vec::new();
        let mut open = Vec::new();
        for outcome in outcomes {
            let found =
                made.iter().find(|made| Some(made.name.as_str()) == outcome.upstream.as_deref());
            let Some(found) = found else {
                let reason = outcome.reason.clone().unwrap_or_default();
                lines.push(format!("- {}: left out; {reason}", outcome.place));
                entries.push(json!({ "entry": outcome.place, "upstream": null, "reason": reason }));
                continue;
            };
            let (mut sealed, mut variables, mut asked) = (Vec::new(), Vec::new(), Vec::new());
            for (slot, source) in &found.secrets {
                match source {
                    Source::Sealed(_) => sealed.push(slot.to_string()),
                    Source::Variable(name) if filed || std::env::var_os(name).is_some() => {
                        variables.push(json!({ "slot": slot.to_string(), "variable": name }));
                    }
                    Source::Variable(name) => {
                        let why = format!("the variable {name} is not set here");
                        open.push(format!("  {}   # {why}", set(found, slot.as_str())));
                        asked.push(json!({ "slot": slot.to_string(), "reason": why }));
                    }
                    Source::Asked(why) => {
                        open.push(format!("  {}   # {why}", set(found, slot.as_str())));
                        asked.push(json!({ "slot": slot.to_string(), "reason": why }));
                    }
                }
            }
            lines.push(format!("+ {}: upstream `{}`", outcome.place, found.name));
            if !sealed.is_empty() {
                lines.push(format!("    sealed for {tenant}: {}", sealed.join(", ")));
            }
            for variable in &variables {
                let (slot, name) = (&variable["slot"], &variable["variable"]);
                let how = if filed { "stays in the variable" } else { "sealed from the variable" };
                lines.push(format!(
                    "    {}: {how} {}",
                    slot.as_str().unwrap_or_default(),
                    name.as_str().unwrap_or_default()
                ));
            }
            lines.extend(found.notes.iter().map(|note| format!("    {note}")));
            entries.push(json!({
                "entry": outcome.place, "upstream": found.name.as_str(), "sealed": sealed,
                "variables": variables, "missing": asked, "notes": found.notes,
            }));
        }
        if self.json {
            let file = target.display().to_string();
            let done = json!({ "file": file, "tenant": tenant.as_str(), "written": !self.dry_run && !made.is_empty(), "entries": entries });
            screen.json(&done)?;
            return Ok(());
        }
        for line in lines {
            screen.say(&line)?;
        }
        if !open.is_empty() {
            screen.say("\nValues that are still missing, given by standard input:")?;
            for line in open {
                screen.say(&line)?;
            }
        }
        screen.note(&match (made.len(), self.dry_run) {
            (0, _) => format!("Nothing to take over from {from}."),
            (_, true) => "Nothing was written (--dry-run).".to_owned(),
            (count, false) => format!(
                "{}: {count} upstreams added. The client's file still holds what it held: take the \
                 entries out there, and connect it with `mcp-proxy connect`.",
                target.display()
            ),
        })?;
        Ok(())
    }
}

/// Makes upstreams of what can be one.
fn judge(
    all: Vec<Found>,
    config: &Config,
    before: &str,
    around: &Around<'_>,
) -> (Vec<Made>, Vec<Outcome>) {
    let mut taken: BTreeSet<String> = config.upstreams.keys().map(Name::to_string).collect();
    let document = crate::cli::connect::read_toml(before).ok();
    let (mut made, mut outcomes): (Vec<Made>, Vec<Outcome>) = (Vec::new(), Vec::new());
    for found in all {
        let place = found.place.clone();
        let mut left = |reason: String| {
            outcomes.push(Outcome { place: place.clone(), upstream: None, reason: Some(reason) });
        };
        if found.disabled {
            left("it is switched off there".to_owned());
            continue;
        }
        if is_ours(&found, config) {
            left("it is this proxy itself".to_owned());
            continue;
        }
        let wanted = found.name.clone();
        match convert(found, &taken, around) {
            Err(reason) => left(reason),
            Ok(upstream) => {
                let text = upstream.table.to_string();
                let same = |other: &toml_edit::Item| {
                    other.as_table().is_some_and(|table| plain_text(table) == text)
                };
                let base = convertible(&wanted);
                let there = document.as_ref().and_then(|document| document.get("upstreams"));
                let there = there.and_then(toml_edit::Item::as_table).and_then(|all| {
                    all.iter().find(|(name, item)| name.starts_with(&base) && same(item))
                });
                if let Some((name, _)) = there {
                    left(format!("it is the upstream `{name}` already"));
                    continue;
                }
                if let Some(twin) = made
                    .iter()
                    .find(|other| other.table.to_string() == text && same_values(other, &upstream))
                {
                    left(format!("it is the same as `{}`", twin.name));
                    continue;
                }
                taken.insert(upstream.name.to_string());
                outcomes.push(Outcome {
                    place: place.clone(),
                    upstream: Some(upstream.name.to_string()),
                    reason: None,
                });
                made.push(upstream);
            }
        }
    }
    (made, outcomes)
}

fn convertible(name: &str) -> String {
    let name: String =
        name.to_lowercase().chars().take_while(char::is_ascii_alphanumeric).collect();
    name
}

fn plain_text(table: &toml_edit::Table) -> String {
    let mut table = table.clone();
    table.decor_mut().clear();
    table.to_string()
}

fn same_values(one: &Made, two: &Made) -> bool {
    let value = |source: &Source| match source {
        Source::Sealed(secret) => Some(Secret::new(secret.expose().to_owned())),
        _ => None,
    };
    one.secrets.len() == two.secrets.len()
        && one.secrets.iter().zip(&two.secrets).all(|((_, a), (_, b))| match (value(a), value(b)) {
            (Some(a), Some(b)) => a.expose() == b.expose(),
            (None, None) => true,
            _ => false,
        })
}

/// True for an entry that leads to this very proxy.
fn is_ours(found: &Found, config: &Config) -> bool {
    let words = match &found.way {
        Some(Way::Url { url, .. }) => vec![url.clone()],
        Some(Way::Command { words, .. }) => words.clone(),
        None => return false,
    };
    let texts: Vec<String> = words.iter().filter_map(|word| plain(word)).collect();
    let program = texts.first().map(|word| Path::new(word).file_stem().unwrap_or_default());
    let by_program = program.is_some_and(|stem| stem == "mcp-proxy")
        && texts.get(1..).is_some_and(|rest| rest.iter().any(|word| word == "stdio"));
    let port = config.server.listen.port();
    let own = |url: &url::Url| {
        let public = config.server.public_url.as_ref();
        let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]" | "0.0.0.0"))
            && port != 0
            && url.port_or_known_default() == Some(port);
        here || public.is_some_and(|public| public.origin() == url.origin())
    };
    by_program || texts.iter().filter_map(|text| url::Url::parse(text).ok()).any(|url| own(&url))
}

/// The folder that a project's file is about.
fn workspace(file: &Path) -> Option<String> {
    let absolute = std::path::absolute(file).ok()?;
    let folder = absolute.parent()?;
    let inner = matches!(
        folder.file_name()?.to_str()?,
        ".vscode" | ".cursor" | ".gemini" | ".codex" | ".zed"
    );
    let is_project = inner || absolute.file_name()? == ".mcp.json";
    let folder = if inner { folder.parent()? } else { folder };
    folder.to_str().filter(|_| is_project).map(str::to_owned)
}

/// Puts every value that is known into the store. When one fails, none stays.
async fn seal(
    foundation: &Foundation,
    tenant: TenantId,
    made: &[Made],
    filed: bool,
) -> anyhow::Result<Vec<SecretPlace>> {
    let mut sealed: Vec<SecretPlace> = Vec::new();
    for upstream in made {
        for (slot, source) in &upstream.secrets {
            let value = match source {
                Source::Sealed(secret) => Secret::new(secret.expose().to_owned()),
                Source::Variable(name) if !filed => match std::env::var(name) {
                    Ok(value) => Secret::new(value),
                    Err(_) => continue,
                },
                _ => continue,
            };
            let place = SecretPlace { upstream: upstream.name.clone(), slot: slot.clone() };
            if let Err(error) = foundation.vault.set(tenant, place.clone(), value).await {
                for place in sealed {
                    let _ = foundation.stores.secrets.remove(tenant, place).await;
                }
                return Err(error).context(format!("the secret {} {slot}", upstream.name));
            }
            sealed.push(place);
        }
    }
    Ok(sealed)
}
