//! `mcp-proxy usage`

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::audit::{names, tenant_id};
use super::open::Opened;
use super::screen::Screen;
use super::table::{Table, csv};
use crate::base::{date, parse_time};
use crate::store::{UsageQuery, UsageRow};

const HEADINGS: [&str; 11] = [
    "tenant",
    "day",
    "key",
    "upstream",
    "method",
    "tool",
    "calls",
    "errors",
    "bytes_in",
    "bytes_out",
    "ms",
];
const TITLES: [&str; 11] =
    ["TENANT", "DAY", "KEY", "UPSTREAM", "METHOD", "TOOL", "CALLS", "ERRORS", "IN", "OUT", "MS"];

/// Usage, equal to the sum of the audit; it stays when records of the audit are pruned.
#[derive(Debug, Args)]
#[command(after_help = "Example: mcp-proxy usage --tenant acme --from 2026-11-01 --by day,tool")]
pub(super) struct UsageCommand {
    /// Only this tenant's.
    #[arg(long)]
    tenant: Option<String>,
    /// From this day on (UTC), such as 2026-11-01.
    #[arg(long)]
    from: Option<String>,
    /// Up to and with this day.
    #[arg(long)]
    to: Option<String>,
    /// What is told apart.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "day")]
    by: Vec<By>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

/// What is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Days.
    Day,
    /// Keys.
    Key,
    /// Upstreams, methods and tools.
    Tool,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// A table with commas.
    Csv,
}

impl UsageCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// When the usage cannot be read.
    pub(super) async fn run(self, opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
        let audit = opened.audit()?;
        let tenant = match &self.tenant {
            Some(name) => Some(tenant_id(opened, &audit, name).await?),
            None => None,
        };
        let by = |what| self.by.contains(&what);
        let query = UsageQuery {
            tenant,
            from: self.from.as_deref().map(day).transpose()?,
            to: self.to.as_deref().map(day).transpose()?,
            by_day: by(By::Day),
            by_key: by(By::Key),
            by_tool: by(By::Tool),
            limit: usize::MAX,
        };
        let names = names(&audit).await?;
        let rows = audit.usage(query).await?;
        let cells = |row: &UsageRow| {
            let name = names.get(&row.tenant).cloned();
            let day = if query.by_day { date(row.day) } else { String::new() };
            let sum = row.sum;
            [
                name.unwrap_or_else(|| row.tenant.to_string()),
                day,
                row.key.clone(),
                row.upstream.clone(),
                row.method.clone(),
                row.tool.clone(),
                sum.calls.to_string(),
                sum.errors.to_string(),
                sum.bytes_in.to_string(),
                sum.bytes_out.to_string(),
                sum.ms.to_string(),
            ]
        };
        // What is not told apart has no column.
        let shown = |at: usize| match at {
            1 => query.by_day,
            2 => query.by_key,
            3..=5 => query.by_tool,
            _ => true,
        };
        match self.format {
            Form::Json => {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        let cells = cells(row).into_iter().zip(HEADINGS).enumerate();
                        let members =
                            cells.filter(|(at, _)| shown(*at)).map(|(at, (cell, name))| {
                                let number = cell.parse::<u64>().ok().filter(|_| at >= 6);
                                (name.to_owned(), number.map_or_else(|| json!(cell), |n| json!(n)))
                            });
                        serde_json::Value::Object(members.collect())
                    })
                    .collect();
                screen.json(&json!(rows))?;
            }
            Form::Csv => {
                screen.say(&csv(HEADINGS.map(str::to_owned)))?;
                for row in &rows {
                    screen.say(&csv(cells(row)))?;
                }
            }
            Form::Table if rows.is_empty() => screen.note("Nothing was used yet.")?,
            Form::Table => {
                let titles: Vec<_> =
                    TITLES.into_iter().enumerate().filter(|(at, _)| shown(*at)).collect();
                let titles: Vec<&'static str> =
                    titles.into_iter().map(|(_, title)| title).collect();
                let mut table = Table::new(&titles);
                for row in &rows {
                    let kept = cells(row).into_iter().enumerate().filter(|(at, _)| shown(*at));
                    table.row(kept.map(|(_, cell)| cell).collect());
                }
                screen.say(&table.render())?;
            }
        }
        Ok(())
    }
}

fn day(text: &str) -> anyhow::Result<u64> {
    let seconds =
        parse_time(text).with_context(|| format!("`{text}` is no day; write it as 2026-11-21"))?;
    Ok(seconds / 86_400)
}
