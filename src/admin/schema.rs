//! The schemas of what goes in and comes out (JSON Schema 2020-12).

use serde_json::{Map, Value, json};

use super::figures::figures;
use super::seen::watched;
use super::shapes::{picking, sealing};
use crate::pipeline::UpstreamState;

pub(super) fn object(required: &[&str], properties: Value) -> Value {
    let mut object = json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
    });
    object["properties"] = properties;
    object
}

pub(super) fn page(of: &str) -> Value {
    object(
        &["items", "next"],
        json!({
            "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } },
            "next": { "type": ["string", "null"], "description": "The cursor of the next page." },
        }),
    )
}

/// The keys of `[upstreams.NAME]`.
fn document(required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": required,
        "description": "The keys that `[upstreams.NAME]` of the file has, and these.",
        "properties": {
            "name": { "type": "string" },
            "enabled": { "type": ["boolean", "null"] },
            "command": {
                "type": ["array", "string", "null"],
                "description": "Program and arguments; or the program, with `args` beside it. It must be one of `programs` in [admin].",
            },
            "args": { "type": ["array", "null"], "items": { "type": "string" } },
            "env": { "type": ["object", "null"] },
            "url": { "type": ["string", "null"] },
            "headers": { "type": ["object", "null"] },
            "allow_private": {
                "type": ["boolean", "null"],
                "description": "The URL may lead into this machine or its network.",
            },
        },
    })
}

/// An upstream of the store.
fn made() -> Value {
    object(
        &[
            "name",
            "origin",
            "enabled",
            "standing",
            "reason",
            "document",
            "created_at",
            "changed_at",
        ],
        json!({
            "name": { "type": "string" },
            "origin": { "type": "string", "enum": ["store"] },
            "enabled": { "type": "boolean" },
            "standing": {
                "type": "string",
                "enum": ["runs", "disabled", "declared", "broken"],
                "description": "`declared`: the file has one of that name, which runs instead. `broken`: it does not fit the file as it is now.",
            },
            "reason": { "type": ["string", "null"] },
            "document": { "type": "object" },
            "created_at": { "type": "string", "format": "date-time" },
            "changed_at": { "type": "string", "format": "date-time" },
            "warnings": { "type": "array", "items": { "type": "object" } },
        }),
    )
}

/// A tool as MCP defines it (2026-07-28), with all that its upstream says of it.
fn definition() -> Value {
    let text = json!({ "type": "string" });
    let object = json!({ "type": "object" });
    json!({
        "type": "object",
        "required": ["name", "upstream"],
        "properties": {
            "name": text, "upstream": text, "title": text, "description": text,
            "inputSchema": object, "outputSchema": {}, "annotations": object,
        },
    })
}

/// `CallToolResult` of MCP, as the upstream gave it.
fn result() -> Value {
    json!({
        "type": "object",
        "required": ["content"],
        "properties": {
            "content": { "type": "array", "items": { "type": "object" } },
            "structuredContent": {},
            "isError": {
                "type": "boolean",
                "description": "The tool itself says that it failed; that is an answer, not a problem.",
            },
            "_meta": { "type": "object" },
        },
    })
}

/// A call whose body is kept, with these members besides.
fn body(more: Value) -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": ["integer", "null"] }));
    let time = json!({ "type": "string", "format": "date-time" });
    let mut of_call = json!({
        "id": { "type": "integer", "description": "The `seq` of the call's record in the audit of its tenant." },
        "tenant": { "type": ["string", "null"] }, "time": time, "expires_at": time,
        "upstream": text, "method": text, "original": text,
        "arguments_bytes": number, "answer_bytes": number,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut of_call, more) {
        all.extend(more);
    }
    let required = ["id", "tenant", "time", "expires_at", "upstream", "method", "original"];
    object(&required, of_call)
}

/// What is kept of arguments or of an answer.
fn heard() -> Value {
    json!({
        "type": ["object", "null"],
        "required": ["text", "complete"],
        "additionalProperties": false,
        "properties": {
            "text": {
                "type": "string",
                "description": "As it was sent, with `[redacted]` for secrets; cut after `max_body` of [bodies].",
            },
            "complete": { "type": "boolean", "description": "False where it is cut." },
        },
    })
}

/// All of them by name.
pub(super) fn schemas() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let number = json!({ "type": "integer", "minimum": 0 });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let time = json!({ "type": "string", "format": "date-time" });
    let maybe_time = json!({ "type": ["string", "null"], "format": "date-time" });
    let role = json!({ "type": "string", "enum": ["operator", "admin", "member"] });
    let origin = json!({ "type": "string", "enum": ["file", "store"] });
    let length = json!({
        "type": "string",
        "pattern": "^[0-9]+(ms|s|m|h|d)$",
        "description": "A length of time, such as 30m or 90d.",
    });
    let scopes = json!({
        "type": "array",
        "items": { "type": "string" },
        "description": "`profile:NAME` and `tool:UPSTREAM__NAME` with `*` for any characters; \
            without any, everything of the tenant.",
    });
    let outcomes = crate::audit::Outcome::ALL.map(crate::audit::Outcome::as_str);
    let states = UpstreamState::ALL.iter().map(|state| state.as_str());
    let states: Vec<&str> = states.chain(["disabled", "broken"]).collect();
    let key = |with_text: bool| {
        let mut properties = json!({
            "id": text, "name": text, "tenant": maybe, "role": role, "scopes": scopes,
            "state": { "type": "string", "enum": ["live", "expired", "revoked"] },
            "origin": origin, "holder": text, "created_at": time, "created_by": maybe,
            "expires_at": maybe_time, "revoked_at": maybe_time, "last_used_at": maybe_time,
            "declared_at": text,
        });
        let mut required =
            vec!["id", "name", "tenant", "role", "scopes", "state", "origin", "holder"];
        if with_text {
            properties["key"] = json!({ "type": "string", "description": "Shown only now." });
            required.push("key");
        }
        object(&required, properties)
    };
    let tenant = |more: Value| {
        let mut properties = json!({
            "name": text, "id": text, "origin": origin, "active": { "type": "boolean" },
            "created_at": time, "declared_at": text, "keys": number, "secrets": number,
        });
        let mut required = vec!["name", "id", "origin", "active", "created_at"];
        if !more.is_null() {
            properties["key"] = more;
            required.push("key");
        }
        object(&required, properties)
    };
    let upstream = |tools: bool| {
        let mut properties = json!({
            "name": text, "transport": { "type": "string", "enum": ["stdio", "http"] },
            "origin": origin, "declared_at": text,
            "made": { "$ref": "#/components/schemas/MadeUpstream" }, "state": { "type": "string", "enum": states }, "reason": maybe,
            "missing_secrets": texts, "connections": number, "running_requests": number,
            "tool_count": { "type": ["integer", "null"], "minimum": 0 },
        });
        let mut required = vec![
            "name",
            "transport",
            "origin",
            "state",
            "reason",
            "missing_secrets",
            "connections",
            "running_requests",
            "tool_count",
        ];
        if tools {
            properties["tools"] = json!({
                "type": "array", "items": { "$ref": "#/components/schemas/Tool" },
            });
            properties["restarts"] = number.clone();
            properties["processes"] = json!({
                "type": "array", "items": { "$ref": "#/components/schemas/Process" },
                "description": "Those of one with a `command` that run for the tenant.",
            });
            required.push("tools");
        }
        object(&required, properties)
    };
    let all = [
        (
            "Problem",
            object(
                &["type", "title", "status", "detail"],
                json!({
                    "type": text, "title": text, "status": number, "detail": text,
                    "retry": {
                        "type": "string", "enum": ["safe", "never", "may_have_run"],
                        "description": "`safe`: it did not run, and may be tried again. `never`: it would fail again. \
                            `may_have_run`: look before you repeat it.",
                    },
                    "limit": text, "retryAfter": number,
                    "error": { "type": "object", "description": "What the upstream answered, as it stands." },
                    "problems": {
                        "type": "array",
                        "items": { "$ref": "#/components/schemas/FileProblem" },
                        "description": "What is wrong with a file that is refused, in the order of its lines.",
                    },
                }),
            ),
        ),
        (
            "FileProblem",
            object(
                &["file", "message"],
                json!({
                    "file": text, "line": number, "column": number, "key": text, "value": text,
                    "message": text, "hint": text,
                }),
            ),
        ),
        (
            "Reload",
            object(
                &[
                    "at",
                    "changed",
                    "upstreams",
                    "profiles",
                    "tenants",
                    "settings",
                    "needs_restart",
                    "secrets",
                    "warnings",
                ],
                json!({
                    "at": time, "changed": { "type": "boolean" },
                    "upstreams": object(
                        &["added", "changed", "restarted", "removed"],
                        json!({
                            "added": texts, "changed": texts, "removed": texts,
                            "restarted": {
                                "type": "array", "items": text,
                                "description": "Those of the changed ones that get new processes or connections.",
                            },
                        }),
                    ),
                    "profiles": texts, "tenants": texts, "settings": texts,
                    "needs_restart": {
                        "type": "array", "items": text,
                        "description": "Keys of the file that hold after a restart only.",
                    },
                    "secrets": {
                        "type": "array",
                        "description": "Whose values of secrets in the file are others.",
                        "items": object(
                            &["tenant", "upstream"],
                            json!({ "tenant": text, "upstream": text }),
                        ),
                    },
                    "warnings": {
                        "type": "array", "items": { "$ref": "#/components/schemas/FileProblem" },
                    },
                }),
            ),
        ),
        ("Description", json!({ "type": "object", "required": ["openapi", "paths"] })),
        (
            "Health",
            object(
                &["status", "version", "uptime_seconds"],
                json!({
                    "status": { "type": "string", "enum": ["ok", "degraded"] },
                    "version": text, "uptime_seconds": number, "store": text,
                    "tenants": { "type": ["integer", "null"] },
                    "upstreams": object(
                        &["declared", "connections"],
                        json!({ "declared": number, "connections": number }),
                    ),
                    "sessions": number, "memory_bytes": { "type": ["integer", "null"] },
                    "url": text, "file": maybe,
                }),
            ),
        ),
        (
            "AuditRecord",
            object(
                &["time", "tenant", "tenant_id", "seq", "method", "outcome", "ran", "count"],
                json!({
                    "time": time, "tenant": maybe, "tenant_id": text, "seq": number, "key": maybe,
                    "actor": maybe, "client": maybe, "client_version": maybe, "door": maybe,
                    "method": maybe, "target": maybe, "upstream": maybe, "original": maybe,
                    "arguments_digest": maybe, "policy": text,
                    "outcome": { "type": "string", "enum": outcomes },
                    "ran": { "type": "string", "enum": ["no", "yes", "may_have"] },
                    "bytes_in": number, "bytes_out": number, "ms": number, "trace": maybe,
                    "count": number,
                }),
            ),
        ),
        ("AuditPage", page("AuditRecord")),
        ("Body", body(json!({}))),
        ("BodyPage", page("Body")),
        ("BodyDetail", body(json!({ "arguments": heard(), "answer": heard() }))),
        (
            "AuditHead",
            object(
                &["tenant", "tenant_id", "first", "last", "head"],
                json!({
                    "tenant": text, "tenant_id": text, "first": number, "last": number,
                    "head": { "type": "string", "description": "SEQ:LINK, as `mcp-proxy audit verify --head` takes it." },
                }),
            ),
        ),
        ("AuditHeadPage", page("AuditHead")),
        (
            "Usage",
            object(
                &["tenant", "calls", "errors", "bytes_in", "bytes_out", "ms"],
                json!({
                    "tenant": text, "day": text, "key": text, "upstream": text, "method": text,
                    "tool": text, "calls": number, "errors": number, "bytes_in": number,
                    "bytes_out": number, "ms": number,
                }),
            ),
        ),
        ("UsagePage", page("Usage")),
        (
            "Me",
            object(
                &[
                    "key",
                    "name",
                    "role",
                    "scopes",
                    "tenant",
                    "acts_for_tenant",
                    "token_expires_at",
                    "address",
                ],
                json!({
                    "key": text, "name": text, "role": role, "scopes": scopes, "tenant": maybe,
                    "acts_for_tenant": { "type": "boolean" }, "token_expires_at": maybe_time,
                    "address": { "type": "string", "description": "Where you come from, as far as `trusted_proxies` tell." },
                }),
            ),
        ),
        (
            "TokenRequest",
            object(&[], json!({ "expires_in": length, "role": role, "scopes": scopes })),
        ),
        (
            "Token",
            object(
                &["token", "token_type", "expires_in", "expires_at", "role", "scopes", "tenant"],
                json!({
                    "token": text, "token_type": { "type": "string", "enum": ["Bearer"] },
                    "expires_in": number, "expires_at": time, "role": role, "scopes": scopes,
                    "tenant": maybe,
                }),
            ),
        ),
        (
            "TenantRequest",
            object(
                &["name"],
                json!({
                    "name": { "type": "string", "pattern": "^[a-z0-9-]{1,63}$" },
                    "key": { "$ref": "#/components/schemas/KeyRequest" },
                    "secrets": {
                        "type": "object",
                        "description": "By upstream and slot.",
                        "additionalProperties": { "type": "object", "additionalProperties": text },
                    },
                }),
            ),
        ),
        ("Tenant", tenant(Value::Null)),
        (
            "NewTenant",
            tenant(json!({
                "anyOf": [{ "$ref": "#/components/schemas/NewKey" }, { "type": "null" }],
            })),
        ),
        ("TenantPage", page("Tenant")),
        (
            "KeyRequest",
            object(
                &["name"],
                json!({ "name": text, "role": role, "scopes": scopes, "expires_in": length }),
            ),
        ),
        ("RotateRequest", object(&[], json!({ "grace": length, "expires_in": length }))),
        ("Key", key(false)),
        ("NewKey", key(true)),
        ("KeyPage", page("Key")),
        ("SecretRequest", object(&["value"], json!({ "value": text }))),
        (
            "Secret",
            object(
                &["upstream", "slot", "origin"],
                json!({
                    "upstream": text, "slot": text, "origin": origin, "generation": number,
                    "set_at": time, "declared_at": text,
                }),
            ),
        ),
        ("SecretPage", page("Secret")),
        (
            "Tool",
            object(
                &["name", "original"],
                json!({ "name": text, "original": text, "title": maybe, "description": maybe }),
            ),
        ),
        ("ToolDefinition", definition()),
        ("ToolDefinitionPage", page("ToolDefinition")),
        (
            "ToolCall",
            object(
                &[],
                json!({
                    "arguments": { "type": "object" },
                    "timeout": {
                        "type": "string",
                        "description": "Longest time for the call, such as 30s; the upstream's own holds besides. \
                            A call that takes longer is cancelled.",
                    },
                    "log_level": {
                        "type": "string",
                        "description": "In a stream: log messages from this level on; none without it.",
                    },
                }),
            ),
        ),
        ("ToolResult", result()),
        (
            "RpcRequest",
            object(
                &["method"],
                json!({
                    "method": { "type": "string", "description": "Such as `resources/read`." },
                    "params": {
                        "type": "object",
                        "description": "As MCP has them (2026-07-28). What `_meta` lacks of what each request \
                            carries is filled in; whoever declares capabilities there gets `input_required` \
                            as a result.",
                    },
                    "timeout": { "type": "string", "description": "As in ToolCall." },
                    "log_level": { "type": "string", "description": "As in ToolCall." },
                }),
            ),
        ),
        (
            "RpcResult",
            json!({ "type": "object", "description": "`result` of the answer, as it stands." }),
        ),
        ("Upstream", upstream(false)),
        ("UpstreamDetail", upstream(true)),
        ("UpstreamPage", page("Upstream")),
        ("UpstreamRequest", document(&["name"])),
        ("UpstreamDocument", document(&[])),
        ("MadeUpstream", made()),
        ("Stderr", object(&["lines"], json!({ "lines": texts }))),
        (
            "Session",
            object(
                &["id", "key", "door", "revision", "client", "idle_seconds", "address"],
                json!({
                    "address": { "type": ["string", "null"], "description": "Where it was opened from; null after a restart." },
                    "id": text, "key": text, "door": text, "revision": text,
                    "client": object(&["name", "version"], json!({ "name": maybe, "version": maybe })),
                    "idle_seconds": number,
                }),
            ),
        ),
        ("SessionPage", page("Session")),
        ("Grant", grant()),
        ("GrantPage", page("Grant")),
    ];
    all.into_iter()
        .chain(watched())
        .chain(figures())
        .chain(sealing())
        .chain(picking())
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

/// What was allowed to a client.
fn grant() -> Value {
    let (text, maybe) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    object(
        &["id", "key", "client", "client_name", "redirect", "resource", "created_at", "used_at"],
        json!({
            "id": text, "key": text, "client": text, "client_name": text, "redirect": text,
            "resource": text, "created_at": text, "used_at": text,
            "ended_at": maybe, "ended_by": maybe,
        }),
    )
}
