//! `mcp-proxy usage`

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::audit::{names, tenant_id};
use super::open::Opened;
use super::screen::Screen;
use super::table::{Table, csv};
use crate::audit::{USED, used};
use crate::base::parse_time;
use crate::store::{UsageQuery, UsageRow};

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
        let name = |row: &UsageRow| names.get(&row.tenant).map(String::as_str);
        match self.format {
            Form::Json => {
                let object = |row: &UsageRow| -> serde_json::Value {
                    used(row, name(row), &query).into_iter().collect()
                };
                screen.json(&json!(rows.iter().map(object).collect::<Vec<_>>()))?;
            }
            Form::Csv => {
                // All columns, whatever is told apart.
                let all = UsageQuery { by_day: true, by_key: true, by_tool: true, ..query };
                screen.say(&csv(USED.map(str::to_owned)))?;
                for row in &rows {
                    let mut cells = used(row, name(row), &all);
                    if !query.by_day {
                        cells[1].1 = json!("");
                    }
                    screen.say(&csv(cells.into_iter().map(|(_, value)| plain(&value))))?;
                }
            }
            Form::Table if rows.is_empty() => screen.note("Nothing was used yet.")?,
            Form::Table => {
                let shown = |named: &str| match named {
                    "day" => query.by_day,
                    "key" => query.by_key,
                    "upstream" | "method" | "tool" => query.by_tool,
                    _ => true,
                };
                let titles = USED.into_iter().zip(TITLES).filter(|(named, _)| shown(named));
                let titles: Vec<&'static str> = titles.map(|(_, title)| title).collect();
                let mut table = Table::new(&titles);
                for row in &rows {
                    let cells = used(row, name(row), &query);
                    table.row(cells.into_iter().map(|(_, value)| plain(&value)).collect());
                }
                screen.say(&table.render())?;
            }
        }
        Ok(())
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn day(text: &str) -> anyhow::Result<u64> {
    let seconds =
        parse_time(text).with_context(|| format!("`{text}` is no day; write it as 2026-11-21"))?;
    Ok(seconds / 86_400)
}
