//! Somebody who makes tenants, keys and secrets, and takes them away again, and remembers what was
//! acknowledged.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::support::{Answer, Raw};
use crate::world::OPERATOR;

/// What was acknowledged of one thing that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    There,
    Gone,
    /// It was being changed when the proxy was killed: either is right.
    Either,
}

/// Everything that was acknowledged to one writer.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) tenants: BTreeMap<String, State>,
    /// By their texts.
    pub(crate) keys: BTreeMap<String, State>,
    /// By tenant: how often its secret was set (at least), and whether it is there.
    pub(crate) secrets: BTreeMap<String, (u64, State)>,
    /// How often each (method, path, tenant) was acknowledged.
    pub(crate) writes: BTreeMap<(&'static str, String, String), usize>,
}

pub(crate) struct Writer<'a> {
    address: SocketAddr,
    line: Option<Raw>,
    book: &'a mut Book,
    acknowledged: &'a AtomicUsize,
}

/// The proxy is gone.
#[derive(Debug)]
struct Down;

impl<'a> Writer<'a> {
    pub(crate) fn new(
        address: SocketAddr,
        book: &'a mut Book,
        acknowledged: &'a AtomicUsize,
    ) -> Self {
        Self { address, line: None, book, acknowledged }
    }

    /// Writes until the proxy is gone; names begin with `prefix`.
    pub(crate) fn run(mut self, prefix: &str) {
        for number in 0.. {
            if self.tenant(&format!("{prefix}-{number}")).is_err() {
                return;
            }
        }
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        tenant: Option<&str>,
        body: &Value,
    ) -> Result<Answer, Down> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {OPERATOR}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        if let Some(tenant) = tenant {
            head += &format!("X-Tenant: {tenant}\r\n");
        }
        if self.line.is_none() {
            self.line = Raw::try_connect(self.address).ok();
        }
        let line = self.line.as_mut().ok_or(Down)?;
        line.send(format!("{head}\r\n{body}").as_bytes()).map_err(|_| Down)?;
        line.answer().map_err(|_| Down)
    }

    /// One write, which has to be accepted when it is answered at all.
    fn write(
        &mut self,
        (operation, method): (&'static str, &str),
        path: &str,
        tenant: Option<&str>,
        body: &Value,
    ) -> Result<Value, Down> {
        let answer = self.ask(method, path, tenant, body)?;
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        let what = (operation, path.to_owned(), tenant.unwrap_or("-").to_owned());
        *self.book.writes.entry(what).or_default() += 1;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// A tenant with keys and a secret; every fourth goes again.
    fn tenant(&mut self, name: &str) -> Result<(), Down> {
        let body = json!({ "name": name, "key": { "name": "boss" } });
        let made = self.write(("createTenant", "POST"), "/api/v1/tenants", None, &body)?;
        self.book.tenants.insert(name.to_owned(), State::There);
        let boss = text(&made["key"]["key"]);
        self.book.keys.insert(boss.clone(), State::There);

        let secret = "/api/v1/secrets/gh/token";
        for turn in 1..=2 {
            let body = json!({ "value": format!("{name} {turn}") });
            self.write(("setSecret", "PUT"), secret, Some(name), &body)?;
            self.book.secrets.insert(name.to_owned(), (turn, State::There));
        }
        let body = json!({ "name": "one" });
        let made = self.write(("createKey", "POST"), "/api/v1/keys", Some(name), &body)?;
        let (id, key) = (text(&made["id"]), text(&made["key"]));
        self.book.keys.insert(key.clone(), State::Either);
        self.write(
            ("revokeKey", "DELETE"),
            &format!("/api/v1/keys/{id}"),
            Some(name),
            &Value::Null,
        )?;
        self.book.keys.insert(key, State::Gone);
        let made = self.write(("createKey", "POST"), "/api/v1/keys", Some(name), &body)?;
        let (id, key) = (text(&made["id"]), text(&made["key"]));
        self.book.keys.insert(key.clone(), State::Either);
        let path = format!("/api/v1/keys/{id}/rotate");
        let made =
            self.write(("rotateKey", "POST"), &path, Some(name), &json!({ "grace": "0s" }))?;
        self.book.keys.insert(key, State::Gone);
        let rotated = text(&made["key"]);
        self.book.keys.insert(rotated.clone(), State::There);

        self.book.secrets.insert(name.to_owned(), (2, State::Either));
        self.write(("deleteSecret", "DELETE"), secret, Some(name), &Value::Null)?;
        self.book.secrets.insert(name.to_owned(), (2, State::Gone));

        if name.ends_with(['3', '7']) {
            let path = format!("/api/v1/tenants/{name}");
            let shown = self.ask("GET", &path, None, &Value::Null)?;
            let tag = shown.header("etag").expect("a tag").to_owned();
            for key in [&boss, &rotated] {
                self.book.keys.insert(key.clone(), State::Either);
            }
            self.book.tenants.insert(name.to_owned(), State::Either);
            self.remove(&path, &tag)?;
            for key in [boss, rotated] {
                self.book.keys.insert(key, State::Gone);
            }
            self.book.tenants.insert(name.to_owned(), State::Gone);
        }
        Ok(())
    }

    fn remove(&mut self, path: &str, tag: &str) -> Result<(), Down> {
        let head = format!(
            "DELETE {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {OPERATOR}\r\nIf-Match: {tag}\r\n\
             Content-Length: 0\r\n\r\n",
            self.address
        );
        let line = self.line.as_mut().ok_or(Down)?;
        line.send(head.as_bytes()).map_err(|_| Down)?;
        let answer = line.answer().map_err(|_| Down)?;
        assert_eq!(answer.status, 204, "{path}: {}", answer.text());
        *self.book.writes.entry(("deleteTenant", path.to_owned(), "-".to_owned())).or_default() +=
            1;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
