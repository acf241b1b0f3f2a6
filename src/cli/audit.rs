//! `mcp-proxy audit …`

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::open::{Opened, moment};
use super::screen::Screen;
use super::table::{Table, csv};
use crate::audit::{AuditReader, Filter, Known, Outcome, Verdict, Written, head, millis};
use crate::base::{Map, TenantId};

/// Records that are read at a time.
const PAGE: usize = 1_000;
/// How often `--follow` looks.
const LOOK: Duration = Duration::from_millis(200);

/// The audit: one record for each request.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Hold every record against its links, and say what was changed and where.
    #[command(after_help = "Example: mcp-proxy audit verify --tenant acme")]
    Verify {
        /// Only this tenant's chain.
        #[arg(long)]
        tenant: Option<String>,
        /// A head of that tenant's chain that you kept elsewhere (SEQ:LINK, as `--json` shows it).
        #[arg(long, requires = "tenant", value_name = "SEQ:LINK")]
        head: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the last records.
    #[command(after_help = "Example: mcp-proxy audit tail --tenant acme --follow")]
    Tail {
        #[command(flatten)]
        which: Which,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Go on with what is written from now on.
        #[arg(short, long)]
        follow: bool,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Write records out, the oldest first.
    #[command(
        after_help = "Example: mcp-proxy audit export --since 2026-11-01 --format csv > november.csv"
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// How they are written.
        #[arg(long, value_enum, default_value_t = Form::Jsonl)]
        format: Form,
    },
}

/// Which records.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only this tenant's.
    #[arg(long)]
    tenant: Option<String>,
    /// Only from this moment on: 24h (before now), 2026-11-21, or 2026-11-21T07:00:00Z.
    #[arg(long)]
    since: Option<String>,
    /// Only before this moment.
    #[arg(long)]
    until: Option<String>,
    /// Only of the key with this id.
    #[arg(long)]
    key: Option<String>,
    /// Only of this tool, prompt or resource.
    #[arg(long)]
    tool: Option<String>,
    /// Only with this outcome, such as ok or refused.
    #[arg(long)]
    outcome: Option<String>,
}

/// A form for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// One JSON object a line.
    Jsonl,
    /// A table with commas.
    Csv,
}

type Names = Map<TenantId, String>;

impl AuditCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// When the audit cannot be read, or is not as it was written.
    pub(super) async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        let audit = opened.audit()?;
        match self {
            Self::Verify { tenant, head, json } => {
                let tenant = match tenant {
                    Some(name) => Some(tenant_id(opened, &audit, &name).await?),
                    None => None,
                };
                let known = head.as_deref().map(parse_head).transpose()?;
                verify(&audit, screen, (tenant, known), json).await
            }
            Self::Tail { which, lines, follow, json } => {
                let mut filter = which.filter(opened, &audit).await?;
                tail(&audit, screen, &mut filter, (lines, follow, json)).await
            }
            Self::Export { which, format } => {
                let filter = which.filter(opened, &audit).await?;
                export(&audit, screen, &filter, format).await
            }
        }
    }
}

impl Which {
    async fn filter(&self, opened: &Opened, audit: &AuditReader) -> anyhow::Result<Filter> {
        let tenant = match &self.tenant {
            Some(name) => Some(tenant_id(opened, audit, name).await?),
            None => None,
        };
        let outcome = match &self.outcome {
            None => None,
            Some(word) => Some(outcome(word)?),
        };
        let key = self.key.as_deref().map(|id| {
            id.parse()
                .with_context(|| format!("`{id}` is no key id; `mcp-proxy key list` shows them"))
        });
        Ok(Filter {
            tenant,
            since: self.since.as_deref().map(moment).transpose()?,
            until: self.until.as_deref().map(moment).transpose()?,
            key: key.transpose()?,
            target: self.tool.clone(),
            outcome,
            ..Filter::default()
        })
    }
}

fn outcome(word: &str) -> anyhow::Result<Outcome> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    let words: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    found.with_context(|| format!("`{word}` is no outcome; there are {}", words.join(", ")))
}

/// A tenant's id by its name: of the living ones, else of those that the audit remembers.
pub(super) async fn tenant_id(
    opened: &Opened,
    audit: &AuditReader,
    name: &str,
) -> anyhow::Result<TenantId> {
    match opened.tenant(name).await {
        Ok(tenant) => Ok(tenant.id),
        Err(error) => {
            let heads = audit.heads().await?;
            let gone = heads.iter().rev().find(|head| head.name == name);
            gone.map(|head| head.tenant).ok_or(error)
        }
    }
}

/// The names of all tenants that the audit remembers.
pub(super) async fn names(audit: &AuditReader) -> anyhow::Result<Names> {
    Ok(audit.heads().await?.into_iter().map(|head| (head.tenant, head.name)).collect())
}

fn parse_head(text: &str) -> anyhow::Result<Known> {
    let wrong =
        || format!("`{text}` is no head; it is SEQ:LINK, as `audit verify --json` shows it");
    let (seq, link) = text.split_once(':').with_context(wrong)?;
    let mut digest = [0; 32];
    if link.len() != 64 || !link.is_ascii() {
        bail!(wrong());
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&link[at..at + 2], 16).with_context(wrong)?;
    }
    Ok((seq.parse().with_context(wrong)?, digest))
}

async fn verify(
    audit: &AuditReader,
    screen: &mut Screen,
    (tenant, known): (Option<TenantId>, Option<Known>),
    json: bool,
) -> anyhow::Result<()> {
    let verdicts = audit.verify(tenant, known).await?;
    let bad = verdicts.iter().filter(|verdict| !verdict.is_good()).count();
    if json {
        let chains: Vec<Value> = verdicts.iter().map(told).collect();
        screen.json(&json!({ "good": bad == 0, "verdicts": chains }))?;
    } else {
        for verdict in &verdicts {
            say(screen, verdict)?;
        }
    }
    if bad > 0 {
        bail!("the audit is not as it was written");
    }
    Ok(())
}

fn told(verdict: &Verdict) -> Value {
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .map(|finding| json!({ "seq": finding.seq, "what": finding.what }))
        .collect();
    let head = verdict.head.as_ref().map(head);
    json!({
        "chain": head, "checked": verdict.checked, "findings": findings, "more": verdict.more,
    })
}

fn say(screen: &mut Screen, verdict: &Verdict) -> anyhow::Result<()> {
    let name = match &verdict.head {
        Some(head) => head.name.clone(),
        None if verdict.is_good() => return Ok(()),
        None => "the audit".to_owned(),
    };
    if let (true, Some(head)) = (verdict.is_good(), &verdict.head) {
        let (first, last) = (head.first, head.last);
        screen
            .say(&format!("{name}: {} records, {first} to {last}, as written", verdict.checked))?;
        return Ok(());
    }
    for finding in &verdict.findings {
        let place = finding.seq.map_or_else(String::new, |seq| format!(", record {seq}"));
        screen.say(&format!("{name}{place}: {}", finding.what))?;
    }
    if verdict.more > 0 {
        screen.say(&format!("{name}: and {} more", verdict.more))?;
    }
    Ok(())
}

fn members(written: &Written, names: &Names) -> [(&'static str, Value); 22] {
    crate::audit::members(written, names.get(&written.tenant).map(String::as_str))
}

fn line(written: &Written, names: &Names) -> String {
    let members = members(written, names).into_iter();
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect()).to_string()
}

fn comma_line(written: &Written, names: &Names) -> String {
    csv(members(written, names).map(|(_, value)| match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }))
}

async fn export(
    audit: &AuditReader,
    screen: &mut Screen,
    filter: &Filter,
    form: Form,
) -> anyhow::Result<()> {
    let names = names(audit).await?;
    let (mut after, mut unreadable, mut first) = (None, 0, true);
    loop {
        let page = audit.page(filter, after, PAGE).await?;
        unreadable += page.unreadable;
        for written in &page.records {
            if form == Form::Csv && first {
                screen.say(&csv(members(written, &names).map(|(name, _)| name.to_owned())))?;
            }
            first = false;
            let text = match form {
                Form::Jsonl => line(written, &names),
                Form::Csv => comma_line(written, &names),
            };
            screen.say(&text)?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if unreadable > 0 {
        bail!("{unreadable} records cannot be read; `mcp-proxy audit verify` says which");
    }
    Ok(())
}

async fn tail(
    audit: &AuditReader,
    screen: &mut Screen,
    filter: &mut Filter,
    (lines, follow, json): (usize, bool, bool),
) -> anyhow::Result<()> {
    filter.backwards = true;
    let mut records = audit.page(filter, None, lines.max(1)).await?.records;
    records.truncate(lines);
    records.reverse();
    let place = |written: &Written| if filter.tenant.is_some() { written.seq } else { written.id };
    let mut after = records.last().map(place);
    show(audit, screen, &records, json).await?;
    if !follow {
        return Ok(());
    }
    if after.is_none() {
        // Nothing fits yet; what is there already is passed over.
        let all = Filter { tenant: filter.tenant, backwards: true, ..Filter::default() };
        let last = audit.page(&all, None, 1).await?.records;
        after = last.first().map(place);
    }
    filter.backwards = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let place =
            |written: &Written| if filter.tenant.is_some() { written.seq } else { written.id };
        let page = audit.page(filter, Some(after.unwrap_or(0)), PAGE).await?;
        after = page.records.last().map(place).or(after);
        after = page.next.or(after);
        show(audit, screen, &page.records, json).await?;
    }
}

async fn show(
    audit: &AuditReader,
    screen: &mut Screen,
    records: &[Written],
    json: bool,
) -> anyhow::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let names = names(audit).await?;
    if json {
        for written in records {
            screen.say(&line(written, &names))?;
        }
    } else {
        let headings =
            ["TIME", "TENANT", "KEY", "METHOD", "TARGET", "OUTCOME", "RAN", "IN", "OUT", "MS"];
        let mut table = Table::new(&headings);
        for written in records {
            let record = &written.record;
            table.row(vec![
                millis(record.started),
                names.get(&written.tenant).cloned().unwrap_or_default(),
                record.key.map_or_else(String::new, |key| key.to_string()),
                record.method.clone(),
                record.target.clone(),
                record.outcome.as_str().to_owned(),
                record.ran.as_str().to_owned(),
                record.bytes_in.to_string(),
                record.bytes_out.to_string(),
                record.ms.to_string(),
            ]);
        }
        screen.say(&table.render())?;
    }
    screen.out.flush()?;
    Ok(())
}
