//! Does what a client does, step by step, and stops at the first answer that the client could
//! not use.

use serde_json::{Value, json};
use url::Url;

use super::finding::Findings;
use super::limit::LIMITS;
use super::login;
use super::public::{clock, first_difference, unreached};
use super::recorded::Recorded;
use super::wire::{Asked, Got, Wanted, Wire, WireError};
use crate::base::Secret;

const BEGIN: std::time::Duration = std::time::Duration::from_secs(3);

/// The first thing that is not as the client needs it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) place: String,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) next: String,
    pub(super) wire: Option<Box<WireError>>,
}

impl Wrong {
    pub(super) fn new(place: &str, what: impl Into<String>, why: &str, next: &str) -> Self {
        let (place, why, next) = (place.to_owned(), why.to_owned(), next.to_owned());
        Self { place, what: what.into(), why, next, wire: None }
    }

    fn of(place: &str, error: WireError) -> Self {
        Self { wire: Some(Box::new(error)), ..Self::new(place, "", "", "") }
    }
}

/// One client at one proxy.
pub(super) struct Visit<'a> {
    pub(super) wire: &'a Wire,
    pub(super) base: &'a Url,
    pub(super) recorded: &'static Recorded,
    pub(super) findings: &'a mut Findings,
    step: usize,
}

/// Plays a client. One that takes a key comes to the key door, unless it shall log in.
pub(super) async fn replay(
    wire: &Wire,
    base: &Url,
    recorded: &'static Recorded,
    (key, login): (Option<&Secret>, bool),
    findings: &mut Findings,
) {
    let mut visit = Visit { wire, base, recorded, findings, step: 0 };
    let done = Box::pin(visit.play(key, login)).await;
    let Err(wrong) = done else { return };
    let place = format!("{}, {}", recorded.title, wrong.place);
    match &wrong.wire {
        Some(error) => unreached(&place, base, error, findings),
        None => findings.bad("client-stops", &place, wrong.what, (&wrong.why, &wrong.next)),
    }
}

impl Visit<'_> {
    async fn play(&mut self, key: Option<&Secret>, login: bool) -> Result<(), Wrong> {
        let Some(key) = key else {
            let next = "put a key into MCP_PROXY_KEY, or name a file with --key-file";
            return Err(Wrong::new(
                "before the first request",
                "there is no key to log in with",
                "",
                next,
            ));
        };
        if self.recorded.keyed && !login {
            self.probe().await?;
            return self.speak("/mcp", key).await;
        }
        let token = login::log_in(self, key).await?;
        self.speak("/connect/mcp", &token).await?;
        login::leave(self, &token).await
    }

    /// A URL of this proxy.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// The next step: a request with the headers that every request of this client has.
    pub(super) async fn ask(
        &mut self,
        url: &Url,
        asked: Asked,
        wanted: Wanted,
    ) -> Result<(String, Got), Wrong> {
        self.step += 1;
        let place = format!("step {}, {} {url}", self.step, asked.method);
        let asked = asked.with("user-agent", self.recorded.user_agent);
        let got = self.wire.ask(url, &asked, wanted).await;
        let got = got.map_err(|error| Wrong::of(&place, error))?;
        if self.step == 1 {
            clock(self.base.as_str(), &got.headers, self.findings);
        }
        Ok((place, got))
    }

    pub(super) fn done(&mut self, place: &str, what: &str) {
        let place = format!("{}, {place}", self.recorded.title);
        self.findings.good("step", &place, what);
    }

    async fn probe(&mut self) -> Result<(), Wrong> {
        for path in self.recorded.probes {
            let url = self.url(path);
            let asked = Asked::get()
                .with("accept", "application/json")
                .with("mcp-protocol-version", self.recorded.protocol);
            let (place, got) = self.ask(&url, asked, Wanted::Whole).await?;
            // Below the door a stranger is refused like anywhere else, which leads to no login either.
            let beneath = path.starts_with("/mcp/") && got.header("www-authenticate") == "Bearer";
            let due: &[u16] = if beneath { &[404, 401] } else { &[404] };
            status(&place, &got, due).map_err(|wrong| match got.status {
                403 => wrong,
                _ => Wrong {
                    why:
                        "it takes what it finds there for a login, and drops the key in its header"
                            .into(),
                    next: "let this path answer 404; logins have a door of their own, /connect/mcp"
                        .into(),
                    ..wrong
                },
            })?;
            self.done(&place, &format!("{}: nothing leads it to a login", got.status));
        }
        Ok(())
    }

    fn post(&self, token: &Secret, session: &str, body: &Value) -> Asked {
        let asked = Asked::post(body.to_string())
            .with("content-type", "application/json")
            .with("accept", "application/json, text/event-stream")
            .with("authorization", format!("Bearer {}", token.expose()));
        if session.is_empty() {
            return asked;
        }
        asked.with("mcp-session-id", session).with("mcp-protocol-version", self.recorded.protocol)
    }

    /// What it says at a door, from `initialize` to its lists.
    async fn speak(&mut self, door: &str, token: &Secret) -> Result<(), Wrong> {
        let url = self.url(door);
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
                .with("authorization", format!("Bearer {}", token.expose()))
                .with("mcp-session-id", &session)
                .with("mcp-protocol-version", recorded.protocol);
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
            }
            self.done(&place, "its stream is open");
        }
        for (number, method) in (1..).zip(recorded.lists) {
            let member = method.rsplit_once('/').map_or("", |(member, _)| member);
            let member = if member == "resources/templates" { "resourceTemplates" } else { member };
            let capability = method.split('/').next().unwrap_or_default();
            if result["capabilities"].get(capability).is_none() {
                continue;
            }
            let body = json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": {} });
            let (place, got) =
                self.ask(&url, self.post(token, &session, &body), Wanted::Whole).await?;
            status(&place, &got, &[200])?;
            let list = self::result(&place, &got, number)?;
            let Some(entries) = list[member].as_array() else {
                return Err(Wrong::new(
                    &place,
                    format!("body: `result.{member}` is no list"),
                    "",
                    "",
                ));
            };
            if *method == "tools/list" {
                self.tools(&place, entries)?;
            }
            self.done(&place, &format!("{method}: {} entries", entries.len()));
        }
        let end = Asked { method: "DELETE", ..Asked::default() }
            .with("authorization", format!("Bearer {}", token.expose()))
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", recorded.protocol);
        let (place, got) = self.ask(&url, end, Wanted::Whole).await?;
        status(&place, &got, &[200, 202, 204, 405])?;
        self.done(&place, "the session is ended");
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

/// The status must be one of these.
pub(super) fn status(place: &str, got: &Got, due: &[u16]) -> Result<(), Wrong> {
    if due.contains(&got.status) {
        return Ok(());
    }
    let words: Vec<_> = due.iter().map(u16::to_string).collect();
    let body: String = got.text().chars().take(160).collect();
    let to = match got.header("location") {
        "" => String::new(),
        location => format!(", on to {location}"),
    };
    let why = if body.is_empty() { String::new() } else { format!("the answer says: {body}") };
    let next = match got.status {
        401 => {
            "the key or token is refused: is it one of this proxy, and did something on the way take the \
                header Authorization out?"
        }
        403 => "the proxy does not take this Host: hand it on unchanged, or write it into `hosts`",
        301 | 302 | 303 | 307 | 308 => "the client does not follow: forward the path as it is",
        404 => "the path is not forwarded to the proxy, or is changed on the way",
        502..=504 => "the reverse proxy does not reach mcp-proxy",
        _ => "",
    };
    let what =
        format!("status line, byte 9: {} is due and {} came{to}", words.join(" or "), got.status);
    Err(Wrong { why, ..Wrong::new(place, what, "", next) })
}

/// The kind of a body.
pub(super) fn kind(place: &str, got: &Got, due: &str) -> Result<(), Wrong> {
    let came = got.header("content-type");
    if came.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(due) {
        return Ok(());
    }
    let at = first_difference(due, came);
    let what = format!("header Content-Type, byte {at}: `{due}` is due and `{came}` came");
    Err(Wrong::new(place, what, "something else answers, or the answer is changed on the way", ""))
}

/// The result of an answer to the request with this id.
fn result(place: &str, got: &Got, id: u64) -> Result<Value, Wrong> {
    if !got.header("content-type").starts_with("text/event-stream") {
        kind(place, got, "application/json")?;
    }
    let Some(message) = got.message() else {
        let begin: String = got.text().chars().take(40).collect();
        return Err(Wrong::new(
            place,
            format!("body, byte 0: a message is due and `{begin}` came"),
            "",
            "",
        ));
    };
    if message["id"] != json!(id) {
        let what = format!("body: `id` {id} is due and {} came", message["id"]);
        return Err(Wrong::new(place, what, "it waits for ever for its answer", ""));
    }
    match message.get("result") {
        Some(result) => Ok(result.clone()),
        None => {
            let what =
                format!("body: `result` is due and `error` came: {}", message["error"]["message"]);
            Err(Wrong::new(place, what, "", ""))
        }
    }
}

/// A field of a document.
pub(super) fn equal(
    place: &str,
    got: &Got,
    field: &str,
    due: &str,
    came: Option<&str>,
) -> Result<(), Wrong> {
    let Some(came) = came else {
        return Err(Wrong::new(place, format!("body: `{field}` is missing"), "", ""));
    };
    if came == due {
        return Ok(());
    }
    let at = got.text().find(came).unwrap_or_default() + first_difference(due, came);
    Err(Wrong::new(
        place,
        format!("body, byte {at} (`{field}`): `{due}` is due and `{came}` came"),
        "it is compared letter by letter",
        "`public_url` in [server] must be what clients write, with scheme and port and without a slash",
    ))
}
