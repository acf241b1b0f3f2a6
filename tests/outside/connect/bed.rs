//! A proxy with two tenants behind a public name, a browser, and a client that does OAuth.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::world::{Ask, OPERATOR, value};
use crate::support::{Answer, Proxy, Setup};

/// The URL that clients use.
pub(crate) const PUBLIC: &str = "https://mcp.example.test";
pub(crate) const ISSUER: &str = "https://mcp.example.test/connect";
pub(crate) const RESOURCE: &str = "https://mcp.example.test/connect/mcp";
/// A key that somebody types by mistake.
pub(crate) const TYPED: &str = "a-key-that-somebody-types-by-mistake-0001";
/// A callback on loopback, and one of Claude.
pub(crate) const LOCAL: &str = "http://127.0.0.1:33418/callback";
pub(crate) const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-the-tests-that-is-long-enough-0001";

pub(crate) const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://mcp.example.test\"\n\
    hosts = [\"mcp.example.test\"]\n[admin]\nkeys = [{ name = \"ops\", env = \"OPS\" }]\n\
    [upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n[profiles.small]\nupstreams = [\"demo\"]\n\
    [connect.clients.filed]\nname = \"Filed app\"\nredirects = [\"https://filed.example/cb\"]\n\
    secret = { env = \"FILED_SECRET\" }\n[tenants.other]\nkeys = [{ name = \"one\", env = \"OTHER\" }]\n";
pub(crate) const OTHER: &str = "the-key-of-the-tenant-other-in-the-tests-1";
pub(crate) const FILED_SECRET: &str = "the-secret-of-the-client-of-the-file";

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

pub(crate) struct Bed {
    pub(crate) proxy: Proxy,
    /// A key of an admin of the tenant `acme`, which the store has.
    pub(crate) boss: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    /// With this configuration.
    pub(crate) fn with(toml: &str) -> Self {
        let setup = Setup::new().env("OPS", OPERATOR).env("OTHER", OTHER);
        let proxy = setup.env("FILED_SECRET", FILED_SECRET).config(toml).serve();
        let body = json!({ "name": "acme", "key": { "name": "boss" } });
        let made = Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body);
        let made = made.at(proxy.address());
        assert_eq!(made.status, 201, "{}", made.text());
        let boss = value(&made)["key"]["key"].as_str().expect("a key").to_owned();
        Self { proxy, boss }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Another key of `acme`: its id and its text.
    pub(crate) fn key(&self, name: &str) -> (String, String) {
        let made = Ask::new("POST", "/api/v1/keys").key(&self.boss).json(&json!({ "name": name }));
        let made = value(&made.at(self.address()));
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    }

    pub(crate) fn revoke(&self, id: &str) {
        let path = format!("/api/v1/keys/{id}");
        let gone = Ask::new("DELETE", &path).key(&self.boss).at(self.address());
        assert_eq!(gone.status, 204, "{}", gone.text());
    }

    /// The same after a restart.
    pub(crate) fn restarted(self) -> Self {
        self.later("")
    }

    /// The same after a restart, before which this was done to the store.
    pub(crate) fn later(self, sql: &str) -> Self {
        let Self { proxy, boss } = self;
        let setup = proxy.stop();
        let store = Connection::open(setup.folder().join("mcp-proxy.db")).expect("the store");
        store.execute_batch(sql).expect("the store takes it");
        drop(store);
        Self { proxy: setup.serve(), boss }
    }

    /// The same with everything in the log.
    pub(crate) fn at_trace(self) -> Self {
        let Self { proxy, boss } = self;
        Self { proxy: proxy.stop().serve_at_trace(), boss }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Ask::new("GET", path).at(self.address())
    }

    /// Posts a form.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let ask = Ask::new("POST", path).text(&body);
        ask.header("Content-Type", "application/x-www-form-urlencoded").at(self.address())
    }

    /// Registers a client; gives its id.
    pub(crate) fn register(&self, callbacks: &[&str]) -> String {
        let body = json!({ "redirect_uris": callbacks, "client_name": "Test <app>",
            "token_endpoint_auth_method": "none" });
        let made = Ask::new("POST", "/connect/register").json(&body).at(self.address());
        assert_eq!(made.status, 201, "{}", made.text());
        value(&made)["client_id"].as_str().expect("an id").to_owned()
    }

    /// Redeems a code with the usual proof.
    pub(crate) fn redeem(&self, client: &str, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("redirect_uri", LOCAL),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        replace(&mut fields, more);
        self.form("/connect/token", &fields)
    }

    pub(crate) fn refresh(&self, client: &str, token: &str) -> Answer {
        let fields =
            [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
        self.form("/connect/token", &fields)
    }

    /// A code for a client, by a browser of its own with this key.
    pub(crate) fn code(&self, client: &str, key: &str) -> String {
        let mut browser = Browser::default();
        let consent = browser.consent(self, client, key);
        let back = browser.answer(self, &consent, "allow");
        field(&back, "code").unwrap_or_else(|| panic!("no code in {back}"))
    }

    /// Tokens for a client: the access token and the refresh token.
    pub(crate) fn tokens(&self, client: &str, key: &str) -> (String, String) {
        let code = self.code(client, key);
        let answer = self.redeem(client, &code, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        pair(&answer)
    }

    /// What the connector door says to this token.
    pub(crate) fn knock(&self, token: &str) -> u16 {
        self.knock_at("/connect/mcp", token).status
    }

    pub(crate) fn knock_at(&self, door: &str, token: &str) -> Answer {
        let hello = crate::support::Era::hello(0);
        let ask = Ask::new("POST", door).key(token).json(&hello);
        ask.header("Accept", "application/json, text/event-stream").at(self.address())
    }
}

/// Puts fields in the place of others of their name; one without a value is left out.
fn replace<'a>(fields: &mut Vec<(&'a str, &'a str)>, more: &[(&'a str, &'a str)]) {
    for (name, other) in more {
        fields.retain(|(known, _)| known != name);
        if !other.is_empty() {
            fields.push((name, other));
        }
    }
}

/// Access token and refresh token of an answer.
pub(crate) fn pair(answer: &Answer) -> (String, String) {
    let body = value(answer);
    let text = |field: &str| body[field].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

/// A parameter of a URL.
pub(crate) fn field(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The path and query that a client sends a browser to; `more` takes the place of what is usual.
pub(crate) fn asking(client: &str, more: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", LOCAL),
        ("state", "the-state"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
        ("scope", "mcp"),
    ];
    replace(&mut fields, more);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/connect/authorize?{query}")
}

/// A browser: cookies, and forms as they stand on pages.
#[derive(Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    /// Every page that it was shown, but for those that lead back to a client.
    pub(crate) seen: String,
}

impl Browser {
    pub(crate) fn send(&mut self, bed: &Bed, ask: Ask<'_>) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ask = if cookies.is_empty() { ask } else { ask.header("Cookie", &cookies.join("; ")) };
        let answer = ask.at(bed.address());
        if led(&answer).is_none() {
            self.seen += &answer.text();
        }
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) =
                cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) fn open(&mut self, bed: &Bed, path: &str) -> Answer {
        self.send(bed, Ask::new("GET", path))
    }

    /// Sends the form of a page with these fields in the place of what is there.
    pub(crate) fn submit(&mut self, bed: &Bed, page: &Answer, more: &[(&str, &str)]) -> Answer {
        let text = page.text();
        let hidden = hidden(&text);
        let mut fields: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        replace(&mut fields, more);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let ask = Ask::new("POST", "/connect/authorize").text(&body);
        let ask = ask.header("Content-Type", "application/x-www-form-urlencoded");
        self.send(bed, ask.header("Origin", "null").header("Sec-Fetch-Site", "same-origin"))
    }

    /// Signs in for a client; gives the page that asks.
    pub(crate) fn consent(&mut self, bed: &Bed, client: &str, key: &str) -> Answer {
        let page = self.open(bed, &asking(client, &[]));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = self.submit(bed, &page, &[("answer", "key"), ("key", key)]);
        assert_eq!(page.status, 200, "{}", page.text());
        page
    }

    /// Answers a page; gives where it is led.
    pub(crate) fn answer(&mut self, bed: &Bed, page: &Answer, answer: &str) -> String {
        let page = self.submit(bed, page, &[("answer", answer)]);
        assert_eq!(page.status, 200, "{}", page.text());
        led(&page).unwrap_or_else(|| panic!("it leads nowhere: {}", page.text()))
    }
}

/// Where an answer leads a browser: by a redirect, or as a page that goes on by itself.
pub(crate) fn led(answer: &Answer) -> Option<String> {
    let by_page = answer.header("refresh").and_then(|text| text.strip_prefix("0;url="));
    answer.header("location").or(by_page).map(str::to_owned)
}

/// The hidden fields of a page.
pub(crate) fn hidden(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("<input type=\"hidden\" ").skip(1);
    let part = |text: &str, name: &str| {
        let rest = text.split_once(&format!("{name}=\"")).expect("an attribute").1;
        rest.split('"').next().expect("a value").to_owned()
    };
    inputs.map(|input| (part(input, "name"), part(input, "value"))).collect()
}

/// What a client of an era hears at a door with a token: the names of tools, and the answer of one.
pub(crate) fn use_tools(bed: &Bed, era: crate::support::Era, door: &str, token: &str) -> Value {
    let mut client = crate::support::Client::connect(era, bed.address(), door, Some(token));
    crate::support::until(
        "the demo's tools are listed",
        std::time::Duration::from_secs(60),
        || {
            let tools = client.list("tools/list", "tools");
            tools.iter().any(|tool| tool["name"] == "demo__echo").then_some(())
        },
    );
    client.call("demo__echo", json!({ "text": "hello" }))
}

/// That a URL has nothing of a code in it.
pub(crate) fn has_code(location: &str) -> bool {
    location.contains("code=")
}

pub(crate) fn public(path: &str) -> String {
    format!("{PUBLIC}{path}")
}
