//! Does what a client does, step by step, and stops at the first answer that the client could
//! not use.

use serde_json::{Value, json};
use url::Url;

use super::finding::Findings;
use super::layer::{clock, unreached};
use super::login;
use super::public::{first_difference, initialize};
use super::recorded::Recorded;
use super::wire::{Asked, Got, Wanted, Wire, WireError};
use crate::base::Secret;

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
        if self.recorded.keyed && !login {
            self.probe().await?;
            return match key {
                Some(key) => self.speak("/mcp", key).await,
                None => self.knock().await,
            };
        }
        let Some(token) = login::log_in(self, key).await? else {
            self.without_key("what it does once it has a token");
            return Ok(());
        };
        self.speak("/connect/mcp", &token).await?;
        login::leave(self, &token).await
    }

    /// A key door without a key: it refuses, and leads to no login.
    async fn knock(&mut self) -> Result<(), Wrong> {
        let asked = Asked::post(initialize("doctor"))
            .with("content-type", "application/json")
            .with("accept", self.recorded.accept);
        let (place, got) = self.ask(&self.url("/mcp"), asked, Wanted::Whole).await?;
        status(&place, &got, &[401])?;
        let challenge = got.header("www-authenticate");
        if challenge != "Bearer" {
            let at = first_difference("Bearer", challenge);
            let what = format!(
                "header WWW-Authenticate, byte {at}: `Bearer` is due and `{challenge}` came"
            );
            let why = "it takes what it is told there for a login, and drops the key in its header";
            let next = "take out what changes the answer on the way";
            return Err(Wrong::new(&place, what, why, next));
        }
        self.done(&place, "401: it wants a key");
        self.without_key("what it says with its key");
        Ok(())
    }

    /// Where the steps end that need no key.
    fn without_key(&mut self, what: &str) {
        let next = "put a key into MCP_PROXY_KEY, or name a file with --key-file";
        let what = format!("{what} was not looked at: that needs a key");
        self.findings.note("key-missing", self.recorded.title, what, ("", next));
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
        let (door, elsewhere) = self.recorded.agents;
        let agent = if url.path().ends_with("/mcp") && asked.has("authorization") {
            door
        } else {
            elsewhere
        };
        let mut asked = if agent.is_empty() { asked } else { asked.with("user-agent", agent) };
        if let Some(version) = self.recorded.probe_version.filter(|_| is_metadata(url)) {
            asked = asked.with("mcp-protocol-version", version);
        }
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
            let asked = Asked::get().with("accept", "application/json");
            let (place, got) = self.ask(&url, asked, Wanted::Whole).await?;
            status(&place, &got, &[404]).map_err(|wrong| match got.status {
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
            self.done(&place, "404: nothing leads it to a login");
        }
        Ok(())
    }
}

fn is_metadata(url: &Url) -> bool {
    url.path().contains("/.well-known/")
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
    let is_page = is_page(got);
    let why = match got.status {
        _ if is_page && got.status < 500 => PAGE.to_owned(),
        _ if is_page || body.is_empty() => String::new(),
        _ => format!("the answer says: {body}"),
    };
    let next = match got.status {
        _ if is_page && got.status < 300 => {
            "let this path through to mcp-proxy without a login or a page"
        }
        403 if is_page => {
            "something in front refuses this client, perhaps by its User-Agent: let it through to mcp-proxy"
        }
        // Its own words for a door that is closed.
        404 if body.contains("Set `public_url`") => {
            "set `public_url` in [server] to the https:// URL that clients use"
        }
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

/// Why a page for people answers a program.
pub(super) const PAGE: &str = "a page for people answers: a login in front (of the network, Cloudflare Access, \
    a company's gateway), or another site";

/// True for an answer to people.
pub(super) fn is_page(got: &Got) -> bool {
    got.header("content-type").starts_with("text/html")
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
pub(super) fn result(place: &str, got: &Got, id: u64) -> Result<Value, Wrong> {
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
