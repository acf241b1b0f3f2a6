//! Records and usage in words, for the command and the API alike.

use serde_json::{Value, json};

use super::record::Written;
use crate::base::{date, rfc3339};
use crate::store::{AuditHead, UsageQuery, UsageRow};

/// The columns of [`used`], in their order.
pub const USED: [&str; 11] = [
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

/// A time in milliseconds since the Unix epoch as RFC 3339 writes it.
#[must_use]
pub fn millis(at: u64) -> String {
    rfc3339(at / 1_000).replace('Z', &format!(".{:03}Z", at % 1_000))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record with the name of its tenant; the columns of a table are its members in this order.
#[must_use]
pub fn members(written: &Written, tenant: Option<&str>) -> [(&'static str, Value); 22] {
    let record = &written.record;
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    [
        ("time", json!(millis(record.started))),
        ("tenant", json!(tenant)),
        ("tenant_id", json!(written.tenant.to_string())),
        ("seq", json!(written.seq)),
        ("key", record.key.map_or(Value::Null, |key| json!(key.as_str()))),
        ("actor", text(&record.actor)),
        ("client", text(&record.client.0)),
        ("client_version", text(&record.client.1)),
        ("door", text(&record.door)),
        ("method", text(&record.method)),
        ("target", text(&record.target)),
        ("upstream", text(&record.upstream)),
        ("original", text(&record.original)),
        ("arguments_digest", record.digest.map_or(Value::Null, |digest| json!(hex(&digest)))),
        ("policy", json!(hex(&record.policy))),
        ("outcome", json!(record.outcome.as_str())),
        ("ran", json!(record.ran.as_str())),
        ("bytes_in", json!(record.bytes_in)),
        ("bytes_out", json!(record.bytes_out)),
        ("ms", json!(record.ms)),
        ("trace", record.trace.map_or(Value::Null, |trace| json!(hex(&trace)))),
        ("count", json!(record.count)),
    ]
}

/// A head that can be kept elsewhere and compared later.
#[must_use]
pub fn head(head: &AuditHead) -> Value {
    json!({
        "tenant": head.name, "tenant_id": head.tenant.to_string(), "first": head.first,
        "last": head.last, "head": format!("{}:{}", head.last, hex(&head.mac)),
    })
}

/// A row of the usage with the name of its tenant. What the query does not tell apart is left out.
#[must_use]
pub fn used(
    row: &UsageRow,
    tenant: Option<&str>,
    query: &UsageQuery,
) -> Vec<(&'static str, Value)> {
    let sum = row.sum;
    let id = || row.tenant.to_string();
    let values = [
        json!(tenant.map_or_else(id, str::to_owned)),
        json!(date(row.day)),
        json!(row.key),
        json!(row.upstream),
        json!(row.method),
        json!(row.tool),
        json!(sum.calls),
        json!(sum.errors),
        json!(sum.bytes_in),
        json!(sum.bytes_out),
        json!(sum.ms),
    ];
    let shown = |at: usize| match at {
        1 => query.by_day,
        2 => query.by_key,
        3..=5 => query.by_tool,
        _ => true,
    };
    let all = USED.into_iter().zip(values).enumerate();
    all.filter(|(at, _)| shown(*at)).map(|(_, member)| member).collect()
}
