//! The table of routes. The router, the rights, the OpenAPI document and the tests are made from
//! it and from nothing else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::answer::Reply;
use super::call::Call;
use super::problem::Problem;
use super::serve::Api;
use super::{
    audit, bodies, errors, events, explain, grants, health, history, keys, logins, made, me,
    openapi, picks, profiles, reload, rpc, seal, secrets, sessions, stats, tenants, token,
    tool_call, tools, upstreams,
};
use crate::auth::Caller;
use crate::base::Role;

/// What a route gives.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;
type Handler = fn(Arc<Api>, Call) -> Answering;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever has a key.
    Key,
    /// Whoever is of a tenant, or acts for one.
    Member,
    /// Whoever decides about a tenant.
    Admin,
    /// Whoever decides about a tenant; the operator about all of them.
    Overseer,
    /// The operator.
    Operator,
}

impl Who {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "any key",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Overseer => "admin; the operator for all tenants",
            Self::Operator => "operator",
        }
    }

    /// Whether this caller may use it.
    pub(super) fn admits(self, caller: &Caller) -> Result<(), Problem> {
        let least = match self {
            Self::Key => return Ok(()),
            Self::Member => Role::Member,
            Self::Admin | Self::Overseer => Role::Admin,
            Self::Operator => Role::Operator,
        };
        if caller.role() < least {
            return Err(Problem::Forbidden(format!(
                "this needs the role {least}, and the key is {}; ask {}",
                caller.role(),
                if least == Role::Operator { "the operator" } else { "an admin of your tenant" },
            )));
        }
        if matches!(self, Self::Member | Self::Admin) && caller.tenant().is_none() {
            return Err(super::call::needs_tenant());
        }
        Ok(())
    }
}

/// What a route says of itself in the OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doc {
    /// The group that it belongs to.
    pub(super) tag: &'static str,
    /// Its name for generated clients.
    pub(super) id: &'static str,
    /// One sentence.
    pub(super) summary: &'static str,
    /// The schema of the body that it takes.
    pub(super) body: Option<&'static str>,
    /// Status and schema when all went well.
    pub(super) answer: (u16, Option<&'static str>),
    /// Statuses of refusals besides those that every route has.
    pub(super) refusals: &'static [u16],
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Parts in braces stand for any text.
    pub(super) path: &'static str,
    pub(super) who: Who,
    pub(super) handler: Handler,
    /// It goes through the line of MCP requests, which counts and limits it, with a body as large
    /// as theirs; and it ends when its client leaves.
    pub(super) live: bool,
    /// It writes nothing that another write may come between, and waits for others in the network:
    /// it takes no turn among the writes.
    pub(super) aside: bool,
    pub(super) doc: Doc,
}

macro_rules! is_live {
    (live) => {
        true
    };
    ($($other:ident)?) => {
        false
    };
}

macro_rules! is_aside {
    (aside) => {
        true
    };
    ($($other:ident)?) => {
        false
    };
}

macro_rules! routes {
    ($($method:ident $path:literal $who:ident $handler:path,
        $tag:literal $id:ident $summary:literal, $body:expr => $status:literal $answer:expr,
        $refusals:expr $(, $mark:ident)?;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            who: Who::$who,
            handler: $handler,
            live: is_live!($($mark)?),
            aside: is_aside!($($mark)?),
            doc: Doc {
                tag: $tag,
                id: stringify!($id),
                summary: $summary,
                body: $body,
                answer: ($status, $answer),
                refusals: &$refusals,
            },
        }),*]
    };
}

/// Method, path, who, handler; group, name, sentence, body => status, answer; refusals; `live`
/// where the line of MCP requests serves it, `aside` where it takes no turn.
pub(super) const ROUTES: &[Route] = routes![
    GET "/api/v1/openapi.json" Key openapi::show,
        "about" getDescription "This document.",
        None => 200 Some("Description"), [];
    GET "/api/v1/health" Key health::show,
        "about" getHealth "How the proxy is; with a key of the operator, how much it holds.",
        None => 200 Some("Health"), [];
    GET "/api/v1/stats" Overseer stats::show,
        "about" getStats "How much there is and how it goes: upstreams, processes, calls, sessions, keys; of a tenant its own.",
        None => 200 Some("Stats"), [];
    GET "/api/v1/me" Key me::show,
        "about" getMe "Who you are: your key, role, scopes and tenant.",
        None => 200 Some("Me"), [];
    POST "/api/v1/token" Key token::create,
        "tokens" createToken "A short-lived token that stands for your key, or for less than it may.",
        Some("TokenRequest") => 200 Some("Token"), [400, 409];
    GET "/api/v1/tenants" Operator tenants::list,
        "tenants" listTenants "All tenants.",
        None => 200 Some("TenantPage"), [400];
    POST "/api/v1/tenants" Operator tenants::create,
        "tenants" createTenant "A new tenant, with its first secrets and key if you like.",
        Some("TenantRequest") => 201 Some("NewTenant"), [400, 409];
    GET "/api/v1/tenants/{name}" Operator tenants::show,
        "tenants" getTenant "One tenant.",
        None => 200 Some("Tenant"), [404];
    DELETE "/api/v1/tenants/{name}" Operator tenants::delete,
        "tenants" deleteTenant "Removes a tenant with its keys and secrets, for ever.",
        None => 204 None, [404, 409, 412, 428];
    GET "/api/v1/keys" Key keys::list,
        "keys" listKeys "The tenant's keys; a member's own; without a tenant, the operator's.",
        None => 200 Some("KeyPage"), [400];
    POST "/api/v1/keys" Key keys::create,
        "keys" createKey "A new key. Its text is shown only now.",
        Some("KeyRequest") => 201 Some("NewKey"), [400, 409];
    GET "/api/v1/keys/{id}" Key keys::show,
        "keys" getKey "One key, without its text.",
        None => 200 Some("Key"), [404];
    DELETE "/api/v1/keys/{id}" Key keys::revoke,
        "keys" revokeKey "Ends a key now: its next request and its open streams.",
        None => 204 None, [404, 409, 412];
    POST "/api/v1/keys/{id}/rotate" Key keys::rotate,
        "keys" rotateKey "A key that takes the place of another, which works on for a while.",
        Some("RotateRequest") => 201 Some("NewKey"), [400, 404, 409, 412];
    GET "/api/v1/secrets" Admin secrets::list,
        "secrets" listSecrets "The names of the tenant's secrets. No value is ever shown.",
        None => 200 Some("SecretPage"), [400];
    PUT "/api/v1/secrets/{upstream}/{slot}" Admin secrets::set,
        "secrets" setSecret "Stores a value, sealed.",
        Some("SecretRequest") => 200 Some("Secret"), [400, 404, 409, 412];
    DELETE "/api/v1/secrets/{upstream}/{slot}" Admin secrets::delete,
        "secrets" deleteSecret "Removes a value.",
        None => 204 None, [404, 409, 412];
    GET "/api/v1/seal" Operator seal::show,
        "secrets" getSeal "The generations of the sealing key, and how much each has sealed.",
        None => 200 Some("Seal"), [];
    POST "/api/v1/seal/rotate" Operator seal::rotate,
        "secrets" rotateSeal "Another sealing key, and all data keys sealed anew by it, while everything runs on.",
        Some("SealRotation") => 200 Some("SealRotated"), [400];
    POST "/api/v1/tenants/{name}/seal/rotate" Operator seal::rotate_tenant,
        "secrets" rotateTenantSeal "Another data key for a tenant, and its secrets sealed anew by it.",
        None => 200 Some("TenantResealed"), [400, 404, 409];
    GET "/api/v1/upstreams" Member upstreams::list,
        "upstreams" listUpstreams "Every upstream, and how it stands for the tenant.",
        None => 200 Some("UpstreamPage"), [400];
    GET "/api/v1/upstreams/{name}" Member upstreams::show,
        "upstreams" getUpstream "One upstream with its tools.",
        None => 200 Some("UpstreamDetail"), [404];
    POST "/api/v1/upstreams" Operator made::create,
        "upstreams" createUpstream "A new upstream, with the keys of `[upstreams.NAME]` or a `command`, `args`, `env` block.",
        Some("UpstreamRequest") => 201 Some("MadeUpstream"), [400, 409];
    PUT "/api/v1/upstreams/{name}" Operator made::replace,
        "upstreams" replaceUpstream "Another document for an upstream that was made over the API.",
        Some("UpstreamDocument") => 200 Some("MadeUpstream"), [400, 404, 409, 412];
    PATCH "/api/v1/upstreams/{name}" Operator made::change,
        "upstreams" changeUpstream "Changes some keys of it (a JSON merge patch, RFC 7396).",
        Some("UpstreamDocument") => 200 Some("MadeUpstream"), [400, 404, 409, 412];
    DELETE "/api/v1/upstreams/{name}" Operator made::delete,
        "upstreams" deleteUpstream "Removes an upstream that was made over the API, with every tenant's secrets for it.",
        None => 204 None, [404, 409, 412, 428];
    POST "/api/v1/upstreams/{name}/enable" Operator made::enable,
        "upstreams" enableUpstream "Lets it run.",
        None => 200 Some("MadeUpstream"), [404, 409, 412];
    POST "/api/v1/upstreams/{name}/disable" Operator made::disable,
        "upstreams" disableUpstream "Keeps it and lets it run no more; its processes end when their calls have.",
        None => 200 Some("MadeUpstream"), [404, 409, 412];
    PUT "/api/v1/upstreams/{name}/enabled" Admin picks::set,
        "upstreams" pickUpstream "Turns it on or off for the tenant alone.",
        Some("Pick") => 200 Some("Upstream"), [400, 404, 412];
    POST "/api/v1/upstreams/{name}/restart" Overseer made::restart,
        "upstreams" restartUpstream "Ends its connections and processes when their calls have; the next request starts anew.",
        None => 204 None, [404];
    GET "/api/v1/upstreams/{name}/stderr" Admin made::stderr,
        "upstreams" getUpstreamStderr "What the tenant's processes of it wrote to standard error last, without secrets.",
        None => 200 Some("Stderr"), [404];
    GET "/api/v1/upstreams/{name}/history" Admin history::show,
        "upstreams" getUpstreamHistory "The tenant's processes of it that run or have ended within the last hour, and what each used.",
        None => 200 Some("ProcessHistory"), [404];
    POST "/api/v1/upstreams/{name}/rpc" Member rpc::call,
        "upstreams" requestUpstream "Any request of MCP to it, as `/mcp/{name}` takes it; on request with its progress as a stream of events.",
        Some("RpcRequest") => 200 Some("RpcResult"), [400, 404, 409, 422, 502, 503, 504], live;
    PUT "/api/v1/upstreams/{name}/oauth" Admin logins::push,
        "upstreams" setUpstreamLogin "Keeps tokens that an authorization server gave to somebody else for the tenant; they are renewed from here on.",
        Some("LoginRequest") => 200 Some("Login"), [400, 404], aside;
    DELETE "/api/v1/upstreams/{name}/oauth" Admin logins::delete,
        "upstreams" endUpstreamLogin "Logs the tenant out: its tokens are taken back where that is possible, and forgotten.",
        None => 204 None, [400, 404], aside;
    GET "/api/v1/profiles" Key profiles::list,
        "profiles" listProfiles "The profiles that the key opens; with a key of the operator, all.",
        None => 200 Some("ProfilePage"), [400];
    GET "/api/v1/profiles/{name}" Key profiles::show,
        "profiles" getProfile "One of them.",
        None => 200 Some("Profile"), [404];
    PUT "/api/v1/profiles/{name}" Operator profiles::put,
        "profiles" setProfile "Makes or replaces a profile for all tenants, with the keys of `[profiles.NAME]`.",
        Some("ProfileDocument") => 200 Some("Profile"), [400, 409, 412];
    DELETE "/api/v1/profiles/{name}" Operator profiles::delete,
        "profiles" deleteProfile "Removes a profile that was made over the API.",
        None => 204 None, [404, 409, 412];
    GET "/api/v1/grants" Member grants::list,
        "grants" listGrants "What was allowed to clients at the connector doors; of a member's own keys.",
        None => 200 Some("GrantPage"), [400];
    DELETE "/api/v1/grants/{id}" Member grants::revoke,
        "grants" revokeGrant "Takes back what was allowed to a client: its tokens and open streams end.",
        None => 204 None, [404];
    GET "/api/v1/sessions" Member sessions::list,
        "sessions" listSessions "The tenant's open sessions; a member's own.",
        None => 200 Some("SessionPage"), [400];
    DELETE "/api/v1/sessions/{id}" Member sessions::delete,
        "sessions" endSession "Ends a session.",
        None => 204 None, [404];
    POST "/api/v1/reload" Operator reload::create,
        "about" reloadFile "Reads the file again; says what is different, or what is wrong and that nothing has changed.",
        None => 200 Some("Reload"), [409, 422];
    GET "/api/v1/audit" Overseer audit::list,
        "audit" listAudit "What was decided, one record each; the newest first.",
        None => 200 Some("AuditPage"), [400, 404];
    GET "/api/v1/audit/heads" Overseer audit::heads,
        "audit" listAuditHeads "The last link of each chain, to be kept elsewhere.",
        None => 200 Some("AuditHeadPage"), [400, 404];
    GET "/api/v1/audit/{seq}" Admin audit::show,
        "audit" getAudit "One record of the tenant.",
        None => 200 Some("AuditRecord"), [400, 404];
    GET "/api/v1/bodies" Overseer bodies::list,
        "bodies" listBodies "Calls whose bodies are kept, the newest first, without their texts.",
        None => 200 Some("BodyPage"), [400, 404];
    GET "/api/v1/bodies/{id}" Admin bodies::show,
        "bodies" getBody "What one call of the tenant was given and answered, without secrets.",
        None => 200 Some("BodyDetail"), [400, 404];
    GET "/api/v1/usage" Overseer audit::usage,
        "usage" listUsage "What was used, equal to the sum of the audit.",
        None => 200 Some("UsagePage"), [400, 404];
    GET "/api/v1/events" Overseer events::open,
        "events" streamEvents "What happens, as it happens: calls, heads of the audit, upstreams, reloads.",
        None => 200 Some("EventStream"), [400, 404];
    GET "/api/v1/errors" Overseer errors::list,
        "events" listErrors "What has gone wrong since the start, by upstream and cause.",
        None => 200 Some("ErrorGroupPage"), [400];
    GET "/api/v1/explain" Member explain::show,
        "tools" explainTool "Why a key can or cannot call a tool; a member asks about his own key.",
        None => 200 Some("Explained"), [400, 404];
    GET "/api/v1/tools" Member tools::list,
        "tools" listTools "The tools that the key sees, as `tools/list` of MCP shows them.",
        None => 200 Some("ToolDefinitionPage"), [400, 404], live;
    GET "/api/v1/tools/{tool}" Member tools::show,
        "tools" getTool "One of them.",
        None => 200 Some("ToolDefinition"), [400, 404], live;
    POST "/api/v1/tools/{tool}/call" Member tool_call::call,
        "tools" callTool "Calls a tool, as `tools/call` of MCP does; on request with its progress as a stream of events.",
        Some("ToolCall") => 200 Some("ToolResult"), [400, 404, 409, 422, 502, 503, 504], live;
];

/// Which row a request means.
pub(super) enum Found {
    /// This one, with the named parts of the path.
    Route(&'static Route, Vec<String>),
    /// The path has other methods, as `Allow` lists them.
    Methods(String),
    /// None.
    Nothing,
}

/// Finds the row. Paths are compared as they came: another spelling of a path is another path.
pub(super) fn find(method: &Method, path: &str, for_operator: bool) -> Found {
    // An answer to HEAD is that to GET without its body (RFC 9110, section 9.3.2).
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut allowed: Vec<&'static str> = Vec::new();
    for route in ROUTES.iter().filter(|route| for_operator || route.who != Who::Operator) {
        let Some(parts) = parts(route.path, path) else { continue };
        if route.method == method {
            return Found::Route(route, parts);
        }
        allowed.push(route.method);
        if route.method == "GET" {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::Methods(allowed.join(", ")) }
}

fn parts(template: &str, path: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some("{tool}"), Some(given)) => parts.push(any_name(given)?),
            (Some(wanted), Some(given)) if wanted.starts_with('{') => {
                // Names and ids need no escapes; a path with one is another path.
                let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
                if given.is_empty() || !given.bytes().all(plain) || matches!(given, "." | "..") {
                    return None;
                }
                parts.push(given.to_owned());
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

/// A name that can be any text, in its one spelling: what is not unreserved is escaped (RFC 3986,
/// section 2), and nothing else.
fn any_name(given: &str) -> Option<String> {
    let name = percent_decode_str(given).decode_utf8().ok()?;
    let spelled = utf8_percent_encode(&name, RESERVED).to_string();
    let plain = !given.is_empty() && !matches!(given, "." | "..");
    (plain && spelled == given).then(|| name.into_owned())
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One row of the table as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The method.
    pub method: &'static str,
    /// The path; parts in braces stand for any text.
    pub path: &'static str,
    /// Who may use it: `any key`, `member`, `admin` or `operator`.
    pub who: &'static str,
}

/// The whole table, for tests that must miss no row.
#[must_use]
pub fn surface() -> Vec<Row> {
    let row =
        |route: &Route| Row { method: route.method, path: route.path, who: route.who.as_str() };
    ROUTES.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        let found = |path: &str| match find(&Method::GET, path, true) {
            Found::Route(route, parts) => format!("{} {}", route.path, parts.join(" ")),
            Found::Methods(methods) => methods,
            Found::Nothing => String::new(),
        };
        assert_eq!(found("/api/v1/keys"), "/api/v1/keys ");
        assert_eq!(found("/api/v1/keys/abcDEF0123"), "/api/v1/keys/{id} abcDEF0123");
        assert_eq!(found("/api/v1/secrets/gh/token"), "PUT, DELETE");
        let tool = |name: &str| found(&format!("/api/v1/tools/{name}"));
        for (name, means) in [("gh__a-b.c", "gh__a-b.c"), ("a%2Fb", "a/b"), ("%C3%A9%20", "é ")] {
            assert_eq!(tool(name), format!("/api/v1/tools/{{tool}} {means}"));
        }
        for other in ["a%2fb", "%61", "a+b", "a b", "..", "%FF", "é", "%", ""] {
            assert_eq!(tool(other), "", "{other}");
        }
        for other in [
            "/api/v1/keys/",
            "//api/v1/keys",
            "/api//v1/keys",
            "/api/v1/./keys",
            "/api/v1/keys/..",
            "/api/v1/%6beys",
            "/api/v1/keys/%61",
            "/api/v1/keys/a%2fb",
            "/API/v1/keys",
            "/api/v1/keys;x",
            "/api/v1/keys/a b",
            "/api/v2/keys",
            "/api/v1",
            "/",
            "",
        ] {
            assert_eq!(found(other), "", "{other}");
        }
    }

    #[test]
    fn rows_are_told_apart_by_method_and_path() {
        for (at, one) in ROUTES.iter().enumerate() {
            assert!(one.path.starts_with("/api/v1/"), "{}", one.path);
            for other in &ROUTES[at + 1..] {
                assert!((one.method, one.path) != (other.method, other.path), "{} twice", one.path);
                assert_ne!(one.doc.id, other.doc.id);
            }
        }
    }
}
