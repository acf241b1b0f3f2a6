//! What a client says at a door, in its own era, and what it must hear.

use serde_json::{Value, json};
use url::Url;

use super::limit::LIMITS;
use super::replay::{Visit, Wrong, equal, kind, result, status};
use super::wire::{Asked, CODINGS, Got, Wanted, WireError, coded};
use crate::base::Secret;

const BEGIN: std::time::Duration = std::time::Duration::from_secs(3);
/// The first revision without sessions.
const MODERN: &str = "2026-07-28";

impl Visit<'_> {
    fn post(&self, token: &Secret, session: &str, body: &Value) -> Asked {
        let asked = Asked::post(body.to_string())
            .with("content-type", "application/json")
            .with("accept", self.recorded.accept)
            .with("authorization", format!("Bearer {}", token.expose()));
        if session.is_empty() {
            return asked;
        }
        self.versioned(asked.with("mcp-session-id", session))
    }

    fn versioned(&self, asked: Asked) -> Asked {
        match self.recorded.versioned {
            true => asked.with("mcp-protocol-version", self.recorded.protocol),
            false => asked,
        }
    }

    /// What it says at a door, from its first word to its lists.
    pub(super) async fn speak(&mut self, door: &str, token: &Secret) -> Result<(), Wrong> {
        let url = self.url(door);
        if self.recorded.protocol >= MODERN {
            return self.discover(&url, token).await;
        }
        let recorded = self.recorded;
        let capabilities: Value = serde_json::from_str(recorded.capabilities).unwrap_or_default();
        let (name, version) = recorded.client;
        let hello = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": recorded.protocol, "capabilities": capabilities,
                "clientInfo": { "name": name, "version": version },
            },
        });
        let (place, got) = self.ask(&url, self.post(token, "", &hello), Wanted::Whole).await?;
        status(&place, &got, &[200])?;
        let result = result(&place, &got, 0)?;
        equal(
            &place,
            &got,
            "protocolVersion",
            recorded.protocol,
            result["protocolVersion"].as_str(),
        )?;
        let session = got.header("mcp-session-id").to_owned();
        if session.is_empty() || !session.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "it says nothing more, or sees no tools";
            return Err(Wrong::new(
                &place,
                "header Mcp-Session-Id: none came",
                why,
                "forward response headers as they are",
            ));
        }
        self.done(&place, &format!("initialize: {}", recorded.protocol));
        for method in recorded.greets {
            let body = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": { "level": "info" } });
            let offers = result["capabilities"].get("logging").is_some();
            if offers {
                let (place, got) =
                    self.ask(&url, self.post(token, &session, &body), Wanted::Whole).await?;
                status(&place, &got, &[200])?;
                self.done(&place, method);
            }
        }
        let body = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let (place, got) = self.ask(&url, self.post(token, &session, &body), Wanted::Whole).await?;
        status(&place, &got, &[202])?;
        self.done(&place, "notifications/initialized");
        if recorded.listens {
            let asked = Asked::get()
                .with("accept", "text/event-stream")
                .with("accept-encoding", CODINGS)
                .with("authorization", format!("Bearer {}", token.expose()))
                .with("mcp-session-id", &session);
            let asked = self.versioned(asked);
            let (place, got) =
                self.ask(&url, asked, Wanted::Begin(BEGIN)).await.map_err(|wrong| {
                    let Some(WireError::Late(_)) = wrong.wire.as_deref() else { return wrong };
                    Wrong::new(
                        &wrong.place,
                        "no head of an answer within 3 seconds",
                        "something in between holds streams back until they end",
                        "switch off buffering for this path (nginx: `proxy_buffering off;`)",
                    )
                })?;
            status(&place, &got, &[200, 405])?;
            if got.status == 200 {
                kind(&place, &got, "text/event-stream")?;
                if got.is_coded() {
                    let (what, why, next) = coded(&got);
                    return Err(Wrong::new(&place, what, why, next));
                }
            }
            self.done(&place, "its stream is open");
        }
        for (number, method) in (1..).zip(recorded.lists) {
            if !offers(&result, method) {
                continue;
            }
            let body = json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": {} });
            let (place, got) =
                self.ask(&url, self.post(token, &session, &body), Wanted::Whole).await?;
            self.list(&place, &got, number, method)?;
        }
        let end = Asked { method: "DELETE", ..Asked::default() }
            .with("authorization", format!("Bearer {}", token.expose()))
            .with("mcp-session-id", &session);
        let end = self.versioned(end);
        let (place, got) = self.ask(&url, end, Wanted::Whole).await?;
        status(&place, &got, &[200, 202, 204, 405])?;
        self.done(&place, "the session is ended");
        Ok(())
    }

    /// What a client of 2026-07-28 says: no session, and who it is with each request.
    async fn discover(&mut self, url: &Url, token: &Secret) -> Result<(), Wrong> {
        let recorded = self.recorded;
        let capabilities: Value = serde_json::from_str(recorded.capabilities).unwrap_or_default();
        let (name, version) = recorded.client;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": recorded.protocol,
            "io.modelcontextprotocol/clientInfo": { "name": name, "version": version },
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let ask = |number: u64, method: &str| {
            let body = json!({
                "jsonrpc": "2.0", "id": number, "method": method, "params": { "_meta": meta },
            });
            let asked = self.post(token, "", &body).with("mcp-method", method);
            asked.with("mcp-protocol-version", recorded.protocol)
        };
        let first = ask(0, "server/discover");
        let lists: Vec<_> = (1..)
            .zip(recorded.lists)
            .map(|(number, method)| (number, *method, ask(number, method)))
            .collect();
        let (place, got) = self.ask(url, first, Wanted::Whole).await?;
        status(&place, &got, &[200])?;
        let about = result(&place, &got, 0)?;
        let versions = about["supportedVersions"].as_array();
        if !versions.is_some_and(|all| all.contains(&json!(recorded.protocol))) {
            let what = format!("body: `result.supportedVersions` has no `{}`", recorded.protocol);
            return Err(Wrong::new(&place, what, "it falls back to older ways", ""));
        }
        self.done(&place, &format!("server/discover: {}", recorded.protocol));
        for (number, method, asked) in lists {
            if offers(&about, method) {
                let (place, got) = self.ask(url, asked, Wanted::Whole).await?;
                self.list(&place, &got, number, method)?;
            }
        }
        Ok(())
    }

    /// One of its lists.
    fn list(&mut self, place: &str, got: &Got, number: u64, method: &str) -> Result<(), Wrong> {
        status(place, got, &[200])?;
        let member = method.rsplit_once('/').map_or("", |(member, _)| member);
        let member = if member == "resources/templates" { "resourceTemplates" } else { member };
        let list = result(place, got, number)?;
        let Some(entries) = list[member].as_array() else {
            let what = format!("body: `result.{member}` is no list");
            return Err(Wrong::new(place, what, "", ""));
        };
        if method == "tools/list" {
            self.tools(place, entries)?;
        }
        self.done(place, &format!("{method}: {} entries", entries.len()));
        Ok(())
    }

    /// What every tool must have so that the list is taken.
    fn tools(&mut self, place: &str, tools: &[Value]) -> Result<(), Wrong> {
        let limit = LIMITS.iter().find(|limit| limit.client == self.recorded.title);
        for (at, tool) in tools.iter().enumerate() {
            let name = tool["name"].as_str().unwrap_or_default();
            if tool["inputSchema"]["type"] != "object" {
                return Err(Wrong::new(
                    place,
                    format!(
                        "body, result.tools[{at}] (`{name}`): `inputSchema.type` is not `object`"
                    ),
                    "one such tool makes it drop the whole list",
                    "hide the tool: tools = { deny = [\"…\"] } on its upstream",
                ));
            }
            if limit.is_some_and(|limit| name.len() > limit.name) {
                self.findings.note(
                    "name-long",
                    place,
                    format!("`{name}` is longer than {} takes", self.recorded.title),
                    ("", "lower `max_name` in [namespace]"),
                );
            }
        }
        Ok(())
    }
}

/// Whether the server says that it has what this method is about.
fn offers(about: &Value, method: &str) -> bool {
    let capability = method.split('/').next().unwrap_or_default();
    about["capabilities"].get(capability).is_some()
}
