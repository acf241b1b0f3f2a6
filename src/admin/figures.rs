//! The schemas of what processes use, and of the numbers of an operator.

use serde_json::{Value, json};

use super::schema::object;

/// What runs, and how it goes.
pub(super) fn figures() -> [(&'static str, Value); 5] {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let maybe_number = json!({ "type": ["integer", "null"], "minimum": 0 });
    let time = json!({ "type": "string", "format": "date-time" });
    let maybe_time = json!({ "type": ["string", "null"], "format": "date-time" });
    let used = json!({ "$ref": "#/components/schemas/ProcessUsage" });
    let names = ["pid", "started_at", "ended_at", "exit_code", "last"];
    let process = |looks: bool| {
        let mut properties = json!({
            "pid": maybe_number, "started_at": time, "ended_at": maybe_time,
            "exit_code": {
                "type": ["integer", "null"],
                "description": "128 and the number of a signal for one that was ended by that.",
            },
            "last": {
                "anyOf": [used, { "type": "null" }],
                "description": "What it used when it was last seen.",
            },
        });
        let mut required = names.to_vec();
        if looks {
            properties["looks"] = json!({ "type": "array", "items": used });
            required.push("looks");
        }
        object(&required, properties)
    };
    let sum = object(
        &["running", "resident_bytes", "cpu_ms", "restarts"],
        json!({ "running": number, "resident_bytes": number, "cpu_ms": number, "restarts": number }),
    );
    let calls = object(
        &["since", "total", "failed", "running"],
        json!({
            "since": {
                "type": "string", "format": "date-time",
                "description": "The start of the proxy; for a tenant of the day (UTC) on which that was.",
            },
            "total": maybe_number, "failed": maybe_number, "running": number,
        }),
    );
    let upstream = object(
        &[
            "upstream",
            "state",
            "connections",
            "running_requests",
            "calls",
            "failed_calls",
            "processes",
        ],
        json!({
            "upstream": text, "state": text, "connections": number, "running_requests": number,
            "calls": maybe_number, "failed_calls": maybe_number, "processes": sum,
        }),
    );
    [
        (
            "ProcessUsage",
            object(
                &["at", "cpu_ms", "resident_bytes", "processes"],
                json!({
                    "at": time, "cpu_ms": number, "resident_bytes": number,
                    "processes": {
                        "type": "integer", "minimum": 0,
                        "description": "The program and those that it has started; the numbers are of all of them.",
                    },
                }),
            ),
        ),
        ("Process", process(false)),
        ("PastProcess", process(true)),
        (
            "ProcessHistory",
            object(
                &["every_seconds", "kept_seconds", "restarts", "processes"],
                json!({
                    "every_seconds": number, "kept_seconds": number, "restarts": number,
                    "processes": { "type": "array", "items": { "$ref": "#/components/schemas/PastProcess" } },
                }),
            ),
        ),
        (
            "Stats",
            object(
                &[
                    "at",
                    "tenant",
                    "version",
                    "uptime_seconds",
                    "keys",
                    "sessions",
                    "streams",
                    "upstreams",
                    "processes",
                    "calls",
                    "by_upstream",
                ],
                json!({
                    "at": time, "tenant": { "type": ["string", "null"] }, "version": text,
                    "uptime_seconds": number, "sessions": number, "streams": number,
                    "keys": object(
                        &["live", "expired", "revoked"],
                        json!({ "live": number, "expired": number, "revoked": number }),
                    ),
                    "upstreams": object(
                        &["total", "by_state"],
                        json!({
                            "total": number,
                            "by_state": { "type": "object", "additionalProperties": number },
                        }),
                    ),
                    "processes": sum, "calls": calls,
                    "by_upstream": { "type": "array", "items": upstream },
                    "tenants": object(
                        &["known", "active"], json!({ "known": number, "active": number }),
                    ),
                    "proxy": object(
                        &["memory_bytes", "cpu_ms", "threads", "connections"],
                        json!({
                            "memory_bytes": maybe_number, "cpu_ms": maybe_number,
                            "threads": maybe_number, "connections": number,
                        }),
                    ),
                }),
            ),
        ),
    ]
}
