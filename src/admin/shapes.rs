//! More schemas: what is sealed, profiles, and what tenants pick.

use serde_json::{Value, json};

use super::schema::{object, page};

/// What is said of sealing keys.
pub(super) fn sealing() -> [(&'static str, Value); 4] {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let texts = json!({ "type": "array", "items": text });
    let generation = object(
        &["generation", "id", "current", "made_at", "data_keys"],
        json!({
            "generation": number, "id": text, "current": { "type": "boolean" },
            "made_at": { "type": "string", "format": "date-time" },
            "data_keys": { "type": "integer", "minimum": 0, "description": "Tenants' data keys that it has sealed." },
        }),
    );
    [
        (
            "Seal",
            object(
                &["generation", "root", "generations", "older_data_keys", "secrets"],
                json!({
                    "generation": { "type": "integer", "minimum": 0, "description": "The one that seals now." },
                    "root": { "type": "string", "description": "The public id of the root key in the key file." },
                    "generations": { "type": "array", "items": generation, "description": "The newest first." },
                    "older_data_keys": { "type": "integer", "minimum": 0, "description": "Data keys that an older generation has sealed." },
                    "secrets": number,
                }),
            ),
        ),
        (
            "SealRotation",
            object(
                &[],
                json!({
                    "data_keys": {
                        "type": "boolean",
                        "description": "Another data key for every tenant as well, and all secrets sealed anew.",
                    },
                }),
            ),
        ),
        (
            "SealRotated",
            object(
                &["generation", "data_keys", "dropped", "resealed", "failed"],
                json!({
                    "generation": number,
                    "data_keys": { "type": "integer", "minimum": 0, "description": "Data keys that were sealed anew." },
                    "dropped": { "type": "array", "items": number, "description": "Generations that nothing needs any more; they are gone." },
                    "resealed": object(&["tenants", "secrets"], json!({ "tenants": number, "secrets": number })),
                    "failed": { "type": "array", "items": text, "description": "Tenants of whom something does not open; it is left as it was." },
                }),
            ),
        ),
        (
            "TenantResealed",
            object(&["tenant", "secrets"], json!({ "tenant": texts["items"], "secrets": number })),
        ),
    ]
}

/// What is said of profiles, and of what tenants pick.
pub(super) fn picking() -> [(&'static str, Value); 4] {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let time = json!({ "type": "string", "format": "date-time" });
    let names = json!({ "type": "array", "items": text });
    let profile = object(
        &["name", "door", "origin", "upstreams"],
        json!({
            "name": text, "door": text, "origin": { "type": "string", "enum": ["file", "store"] },
            "upstreams": names, "declared_at": text,
            "document": { "type": "object", "description": "The keys of `[profiles.NAME]`; for the operator." },
            "standing": {
                "type": "string",
                "enum": ["runs", "declared", "broken"],
                "description": "`declared`: the file has one of that name, which runs instead. `broken`: it does not fit the file as it is now.",
            },
            "reason": maybe, "created_at": time, "changed_at": time,
        }),
    );
    [
        ("Profile", profile),
        ("ProfilePage", page("Profile")),
        (
            "ProfileDocument",
            json!({
                "type": "object",
                "description": "The keys that `[profiles.NAME]` of the file has.",
                "properties": {
                    "upstreams": { "type": ["array", "object"], "description": "Names; or each name with the rules for it alone." },
                    "tools": { "type": ["object", "null"] },
                    "prompts": { "type": ["object", "null"] },
                    "resources": { "type": ["object", "null"] },
                    "read_only": { "type": ["boolean", "null"] },
                },
            }),
        ),
        ("Pick", object(&["enabled"], json!({ "enabled": { "type": "boolean" } }))),
    ]
}

/// How a tenant's login at an upstream stands.
pub(super) fn login() -> Value {
    object(
        &["state", "issuer", "scopes", "expires_at", "renews"],
        json!({
            "state": {
                "type": "string",
                "enum": ["logged-in", "expired", "logged-out", "needs-setup"],
                "description": "`expired`: the next call renews it.",
            },
            "issuer": { "type": ["string", "null"] },
            "scopes": { "type": "array", "items": { "type": "string" } },
            "expires_at": { "type": ["string", "null"], "format": "date-time" },
            "renews": { "type": "boolean", "description": "It is renewed without anybody." },
        }),
    )
}

/// Tokens that somebody brings.
pub(super) fn login_request() -> Value {
    let text = json!({ "type": ["string", "null"] });
    object(
        &["access_token"],
        json!({
            "access_token": { "type": "string" }, "refresh_token": text, "token_type": text,
            "expires_in": { "type": ["integer", "null"], "minimum": 0 },
            "scope": text,
            "issuer": {
                "type": ["string", "null"],
                "description": "The authorization server, and with `token_endpoint` where it renews; both are found out when they are not said.",
            },
            "token_endpoint": text, "client_id": text, "client_secret": text,
        }),
    )
}
