//! A proxy before a protected upstream, and a browser without scripts.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::login::server::World;
use crate::support::{Answer, Client, Era, Proxy, Raw, Setup, post, until};

/// A key of the tenant `other`.
pub(crate) const OTHER: &str = "the-key-of-another-tenant-in-the-login-tests";
/// A key of the operator, where the file names it.
pub(crate) const OPERATOR: &str = "the-key-of-the-operator-of-the-login-tests";
/// A second key of the tenant `test`.
pub(crate) const SECOND: &str = "the-second-key-of-the-tenant-of-login-tests";

/// The configuration of a proxy with the upstream `up`; `more` stands in its `oauth`.
pub(crate) fn config(world: &World, more: &str, keys: &str) -> String {
    // Others may take the port before the proxy does; then the start fails and says so.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = free.expect("a port is free").port();
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\
         [upstreams.up]\nurl = \"{}\"\nera = \"legacy\"\nallow_private = true\noauth = {{ {more} }}\n{keys}\n\
         [tenants.test]\nkeys = [{{ name = \"test\", env = \"TEST_KEY\", role = \"admin\" }}, {{ name = \"second\", env = \"SECOND_KEY\" }}]\n\
         secrets = {{ up = {{ client_secret = {{ env = \"CLIENT_SECRET\" }} }} }}\n\
         [tenants.other]\nkeys = [{{ name = \"other\", env = \"OTHER_KEY\" }}]\n\
         [admin]\nkeys = [{{ name = \"ops\", env = \"OPS\" }}]\n",
        world.url()
    )
}

/// The same, ready to start; tenants have a client secret where `more` wants one.
pub(crate) fn setup(world: &World, more: &str) -> Setup {
    let mut text = config(world, more, "");
    if !more.contains("{secret.client_secret}") {
        text = text
            .replace("secrets = { up = { client_secret = { env = \"CLIENT_SECRET\" } } }\n", "");
    }
    Setup::new()
        .env("OTHER_KEY", OTHER)
        .env("SECOND_KEY", SECOND)
        .env("OPS", OPERATOR)
        .env("CLIENT_SECRET", "canary-client-secret-of-login-tests")
        .config(&text)
}

/// A proxy before this world.
pub(crate) fn proxy(world: &World) -> Proxy {
    setup(world, "").serve_at_trace()
}

/// A request to the API.
pub(crate) fn api(proxy: &Proxy, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {0}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {1}\r\nConnection: close\r\n\r\n{body}",
        proxy.address(),
        body.len()
    );
    Raw::exchange(proxy.address(), text.as_bytes()).expect("an answer")
}

/// How `up` stands for the tenant of a key.
pub(crate) fn login_state(proxy: &Proxy, key: &str) -> String {
    let answer = api(proxy, key, "GET", "/api/v1/upstreams/up", &Value::Null);
    let shown: Value = serde_json::from_slice(&answer.body).expect("JSON");
    shown["login"]["state"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
}

/// Brings tokens.
pub(crate) fn push(proxy: &Proxy, world: &World, life: u64) {
    let (access, refresh) = world.tokens();
    let issuer = world.issuer_url();
    let body = json!({"access_token": access, "refresh_token": refresh, "expires_in": life,
        "issuer": issuer, "token_endpoint": format!("{issuer}/token"), "client_id": "pushed"});
    let answer = api(proxy, proxy.key(), "PUT", "/api/v1/upstreams/up/oauth", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The text of a call of `up__who`.
pub(crate) fn call(client: &mut Client) -> (bool, String) {
    let answer = client.call("up__who", json!({}));
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| answer["error"]["message"].as_str().unwrap_or_default());
    (answer["result"]["isError"] == true || answer.get("error").is_some(), text.to_owned())
}

/// The link in a sentence.
pub(crate) fn link(text: &str) -> String {
    let at = text.find("http://").unwrap_or_else(|| panic!("no link: {text}"));
    text[at..].split(' ').next().unwrap_or_default().to_owned()
}

/// Waits until a call goes well.
pub(crate) fn until_good(client: &mut Client) {
    until("the call goes well", Duration::from_secs(20), || {
        let (failed, text) = call(client);
        (!failed && text == "you").then_some(())
    });
}

/// A browser without scripts.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
    /// Every page that it has seen.
    pub(crate) seen: String,
}

impl Browser {
    fn send(&mut self, method: &str, url: &Url, form: &str) -> Answer {
        let address: SocketAddr =
            format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"))
                .parse()
                .expect("an address");
        let target = &url[url::Position::BeforePath..];
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nOrigin: null\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            cookies.join("; "),
            form.len()
        );
        let answer = Raw::exchange(address, text.as_bytes()).expect("an answer");
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        self.seen += &answer.text();
        answer
    }

    /// Opens a page.
    pub(crate) fn get(&mut self, url: &str) -> Answer {
        self.send("GET", &Url::parse(url).expect("a URL"), "")
    }

    /// Sends a form that no page has made.
    pub(crate) fn post(&mut self, url: &str, form: &str) -> Answer {
        self.send("POST", &Url::parse(url).expect("a URL"), form)
    }

    /// Fills in the form of a page and follows where that leads within the proxy.
    pub(crate) fn press(&mut self, url: &str, what: &str, key: &str) -> Answer {
        let page = self.get(url).text();
        let token =
            page.split("name=\"token\" value=\"").nth(1).and_then(|it| it.split('"').next());
        let token = token.unwrap_or_else(|| panic!("no form: {page}"));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("do", what)
            .append_pair("key", key)
            .finish();
        let url = Url::parse(url).expect("a URL");
        let answer = self.send("POST", &url, &form);
        match answer.header("location") {
            Some(to) => {
                let to = url.join(to).expect("a URL");
                self.send("GET", &to, "")
            }
            None => answer,
        }
    }

    /// Signs in, and goes as far as the authorization server sends it; gives where it sends it.
    pub(crate) fn begin(&mut self, link: &str, key: &str) -> String {
        // Keys are tried a few times and no more; who is signed in stays so.
        if self.get(link).text().contains("Proxy key") {
            let page = self.press(link, "sign-in", key);
            assert_eq!(page.status, 200, "{}", page.text());
        }
        let page = self.press(link, "log-in", "");
        let refresh = page.header("refresh").unwrap_or_else(|| panic!("{}", page.text()));
        let away = refresh.strip_prefix("0;url=").expect("a place").to_owned();
        let back = self.get(&away);
        back.header("location").unwrap_or_else(|| panic!("{}", back.text())).to_owned()
    }

    /// All of a login.
    pub(crate) fn log_in(&mut self, link: &str, key: &str) {
        let back = self.begin(link, key);
        let page = self.get(&back);
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("Logged in"), "{}", page.text());
    }
}

/// A call of a modern client that can be shown pages.
pub(crate) fn modern_call(proxy: &Proxy, more: &Value) -> Value {
    let mut params = json!({"name": "up__who", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},
    }});
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    let headers = Era::Modern.headers("tools/call", &params);
    let key = format!("Bearer {}", proxy.key());
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Authorization", &key));
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let bytes = post(proxy.address(), "/mcp", &headers, body.to_string().as_bytes());
    let answer = Raw::exchange(proxy.address(), &bytes).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.messages().pop().expect("a message")
}
