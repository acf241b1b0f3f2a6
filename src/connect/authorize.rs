//! `/connect/authorize`: a client sends a person here, who signs in with a proxy key and allows or
//! denies. What is wrong with client or callback is told to the person and to nobody else; all
//! else is told to the client at its callback.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::browser::{Browser, SignInError};
use super::client::{Client, NoClient};
use super::consent::{self, Reach, Request};
use super::form::{Form, Twice};
use super::grant::{Shape, Ticket};
use super::page::{Whole, lead, refusal};
use super::serve::{Ask, Connect};
use super::transaction::Transaction;
use crate::audit::Outcome;
use crate::auth::Principal;
use crate::base::unix_seconds;
use crate::pipeline::{Carrier, Posting};
use crate::store::NewGrant;
use crate::telemetry::meters;
use crate::telemetry::metrics::Consent;

/// How long a code is good, in seconds.
const CODE: u64 = 60;
/// Longest `state`.
const STATE: usize = 4_096;
/// How long the page waits for the list of tools.
const LIST: Duration = Duration::from_secs(4);

/// An error that the client hears of: its word, and a sentence.
type Told = (&'static str, &'static str);

fn no_client(reason: &NoClient) -> Whole {
    let (status, why) = match reason {
        NoClient::Unknown => (
            StatusCode::BAD_REQUEST,
            "The application that sent you here is not known, or was forgotten because nobody used it. \
             Remove the connection in the application and add it again."
                .to_owned(),
        ),
        NoClient::Document(why) => (
            StatusCode::BAD_REQUEST,
            format!("The application describes itself in a document that cannot be used: {why}."),
        ),
        NoClient::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The application cannot be looked up at the moment. Try again in a minute.".to_owned(),
        ),
    };
    refusal(status, "This application cannot be connected", &why)
}

fn lost() -> Whole {
    refusal(
        StatusCode::BAD_REQUEST,
        "This page is no longer good",
        "It was answered already, is older than ten minutes, or was opened in another browser (or this one \
         keeps no cookies). Go back to the application and connect again.",
    )
}

fn broken() -> Whole {
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "This does not work at the moment",
        "Nothing was allowed. Go back to the application and try again in a minute.",
    )
}

fn with_cookie(mut page: Whole, cookie: Option<HeaderValue>) -> Whole {
    if let Some(cookie) = cookie {
        page.headers_mut().append(header::SET_COOKIE, cookie);
    }
    page
}

/// What a client asks for, beyond who it is and where to go back to. The door's path is in it.
fn read(form: &Form, ask: &Ask) -> Result<(String, String), Told> {
    let twice = |_: Twice| ("invalid_request", "a parameter came more than once");
    match form.one("response_type").map_err(twice)? {
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "`response_type` is `code` here")),
        None => return Err(("invalid_request", "`response_type` is missing")),
    }
    if form.any("request").is_some() || form.any("request_uri").is_some() {
        return Err(("request_not_supported", "parameters stand in the query here"));
    }
    if form.one("response_mode").map_err(twice)?.is_some_and(|mode| mode != "query") {
        return Err(("invalid_request", "`response_mode` is `query` here"));
    }
    let challenge = form.one("code_challenge").map_err(twice)?;
    let challenge = challenge.ok_or(("invalid_request", "PKCE is needed: `code_challenge`"))?;
    if form.one("code_challenge_method").map_err(twice)? != Some("S256") {
        return Err(("invalid_request", "`code_challenge_method` is `S256` here"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.len() != 43 || !challenge.bytes().all(fits) {
        return Err((
            "invalid_request",
            "`code_challenge` is a SHA-256 in base64url: 43 characters",
        ));
    }
    for name in ["scope", "client_id", "redirect_uri"] {
        form.one(name).map_err(twice)?;
    }
    let target = ("invalid_target", "`resource` is not the URL of a connector door of this server");
    let door = match form.one("resource").map_err(|_| target)? {
        Some(resource) => ask.base.door(resource).ok_or(target)?,
        // Clients of before RFC 8707 mean the door that everybody has.
        None => "/connect/mcp",
    };
    Ok((challenge.to_owned(), door.to_owned()))
}

/// A `state` as it may stand in a URL; one that comes twice or holds something else is not repeated.
fn state(form: &Form) -> Result<Option<&str>, Told> {
    let wrong =
        ("invalid_request", "`state` came more than once, is too long, or is not visible ASCII");
    let state = form.one("state").map_err(|_| wrong)?;
    let fits =
        |text: &str| text.len() <= STATE && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if state.is_none_or(fits) { Ok(state) } else { Err(wrong) }
}

/// The way back to a client (RFC 6749, section 4.1.2; `iss`: RFC 9207).
fn back(callback: &str, state: Option<&str>, ask: &Ask, answer: &[(&str, &str)]) -> Option<Url> {
    let mut url = Url::parse(callback).ok()?;
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &ask.base.issuer());
    }
    Some(url)
}

/// Answers a client for somebody, who is told so.
fn answer(transaction: &Transaction, client: &Client, ask: &Ask, answer: &[(&str, &str)]) -> Whole {
    let callback = transaction.callback.as_str();
    let allowed = answer.iter().any(|(name, _)| *name == "code");
    back(callback, transaction.state.as_deref(), ask, answer)
        .and_then(|to| consent::answered_page(client, callback, to.as_str(), allowed))
        .unwrap_or_else(broken)
}

impl Connect {
    /// The first page.
    pub(super) async fn authorize(&self, ask: &Ask) -> Whole {
        let form = Form::read(ask.query.as_deref().unwrap_or_default().as_bytes());
        let (Ok(Some(id)), Ok(callback)) = (form.one("client_id"), form.one("redirect_uri")) else {
            return no_client(&NoClient::Unknown);
        };
        let client = match self.client(id).await {
            Ok(client) => client,
            Err(reason) => return no_client(&reason),
        };
        let callback = callback.filter(|asked| client.has_callback(&self.config().connect, asked));
        let Some(callback) = callback else {
            tracing::info!(client = id, address = %ask.address, "a callback is refused that is not the client's");
            return refusal(
                StatusCode::BAD_REQUEST,
                "This application cannot be connected",
                "It wants you to be led to a place that is not registered for it, or that this server does not \
                 know. The operator may add its callback to `redirects` in [connect].",
            );
        };
        let (state, read) = match state(&form) {
            Ok(state) => (state, read(&form, ask)),
            Err(told) => (None, Err(told)),
        };
        let (challenge, door) = match read {
            Ok(read) => read,
            Err((error, words)) => {
                let answer = [("error", error), ("error_description", words)];
                let to = back(callback, state, ask, &answer);
                return to.and_then(|to| lead(to.as_str())).unwrap_or_else(broken);
            }
        };
        let (browser, cookie) = match self.browsers.known(&ask.headers, &ask.base.0) {
            Some(browser) => (browser, None),
            None => match self.browsers.fresh(&ask.base.0) {
                Some((browser, cookie)) => (browser, Some(cookie)),
                None => return broken(),
            },
        };
        let transaction = Transaction::new(&client.id, callback, state, &challenge, &door);
        let Some(transaction) = transaction else { return broken() };
        let page = match self.browsers.signed_in(&ask.headers, &browser, &ask.base.0).await {
            Some(principal) => self.ask(&browser, &client, &transaction, &principal, ask).await,
            None => self.ask_key(&browser, &client, &transaction, None),
        };
        with_cookie(page, cookie)
    }

    /// What the person has answered.
    pub(super) async fn decide(&self, ask: &Ask) -> Whole {
        let Ok(form) = ask.form() else { return lost() };
        let browser = self.browsers.known(&ask.headers, &ask.base.0);
        let (Some(browser), Ok(Some(text))) = (browser, form.one("transaction")) else {
            return lost();
        };
        let Some(transaction) = Transaction::open(self, &browser, text) else { return lost() };
        // The file, a document or the store may know it no longer.
        let client = match self.client(&transaction.client).await {
            Ok(client) => client,
            Err(reason) => return no_client(&reason),
        };
        if !client.has_callback(&self.config().connect, &transaction.callback) {
            return no_client(&NoClient::Unknown);
        }
        let signed_in = self.browsers.signed_in(&ask.headers, &browser, &ask.base.0).await;
        match (form.one("answer"), signed_in) {
            (Ok(Some("key")), _) => {
                let typed = form.one("key").ok().flatten().unwrap_or_default();
                self.sign_in(&browser, &client, &transaction, typed, ask).await
            }
            (Ok(Some("other")), _) => {
                let page = self.ask_key(&browser, &client, &transaction, None);
                with_cookie(page, self.browsers.signed_out(&ask.base.0))
            }
            (Ok(Some("deny")), who) => self.deny(&transaction, who.as_ref(), &client, ask).await,
            (Ok(Some("allow")), Some(who)) => {
                let shown = form.one("shown").ok().flatten().unwrap_or_default();
                if transaction.was_shown(self, &browser, who.key().as_str(), shown) {
                    self.allow(&transaction, &who, &client, ask).await
                } else {
                    // Another key has signed in since: what it gives was not seen yet.
                    self.ask(&browser, &client, &transaction, &who, ask).await
                }
            }
            (Ok(Some("allow")), None) => {
                let late = "You were signed out. Sign in again to go on.";
                self.ask_key(&browser, &client, &transaction, Some(late))
            }
            _ => lost(),
        }
    }

    async fn sign_in(
        &self,
        browser: &Browser,
        client: &Client,
        transaction: &Transaction,
        typed: &str,
        ask: &Ask,
    ) -> Whole {
        match self.browsers.sign_in(typed, (browser, ask.address), &ask.base.0).await {
            Ok((who, cookie)) => {
                if self
                    .note(Some(&who), "connect/sign_in", &client.id, Outcome::Ok, ask)
                    .await
                    .is_err()
                {
                    return broken();
                }
                let page = self.ask(browser, client, transaction, &who, ask).await;
                with_cookie(page, Some(cookie))
            }
            Err((error, denied)) => {
                meters().connector.consent(Consent::KeyRefused);
                tracing::info!(address = %ask.address, reason = ?denied, "nobody signs in at the connector");
                if let Some(denied) = &denied {
                    self.line.note_denied(denied);
                }
                let words = error.to_string();
                let mut page = self.ask_key(browser, client, transaction, Some(&words));
                *page.status_mut() = match error {
                    SignInError::Wrong | SignInError::Operator => StatusCode::FORBIDDEN,
                    SignInError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
                    SignInError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                };
                if let SignInError::TooMany(wait) = error {
                    page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
                }
                page
            }
        }
    }

    /// The page on which a key is typed.
    fn ask_key(
        &self,
        browser: &Browser,
        client: &Client,
        transaction: &Transaction,
        problem: Option<&str>,
    ) -> Whole {
        let Some(sealed) = transaction.seal(self, browser) else { return broken() };
        let request = Request { client, callback: &transaction.callback, sealed: &sealed };
        consent::key_page(&request, problem)
    }

    /// The page on which somebody allows or denies.
    async fn ask(
        &self,
        browser: &Browser,
        client: &Client,
        transaction: &Transaction,
        who: &Principal,
        ask: &Ask,
    ) -> Whole {
        let sealed = transaction.seal(self, browser);
        let shown = transaction.shown(self, browser, who.key().as_str());
        let (Some(sealed), Some(shown)) = (sealed, shown) else { return broken() };
        let request = Request { client, callback: &transaction.callback, sealed: &sealed };
        let reach = match self.reach(transaction, who, ask).await {
            Ok(reach) => reach,
            Err(why) => return consent::no_door_page(&request, &why),
        };
        meters().connector.consent(Consent::Shown);
        consent::consent_page(&request, &shown, who, &reach)
    }

    /// What a key would give at the door of a transaction.
    async fn reach(
        &self,
        transaction: &Transaction,
        who: &Principal,
        ask: &Ask,
    ) -> Result<Reach, String> {
        let path = transaction.door.strip_prefix("/connect").unwrap_or_default();
        who.opens_door(path).map_err(|fault| fault.public.into_owned())?;
        let door = self.line.door(who, path).ok_or_else(|| {
            "There is no such profile for this key. Check the URL that you gave to the application."
                .to_owned()
        })?;
        let profile = door.profile().map(ToString::to_string);
        let posting = Posting {
            principal: who.clone(),
            door,
            path: Arc::from(transaction.door.as_str()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            carrier: Carrier::Pipe,
            peer: Some(ask.address),
        };
        let listed = tokio::time::timeout(LIST, self.line.listed(&posting)).await;
        let tools = match listed {
            Ok(Ok(tools)) => {
                Some(tools.into_iter().map(|tool| (tool.upstream.to_string(), tool.name)).collect())
            }
            // A list that is not there now does not change what is allowed.
            Ok(Err(_)) | Err(_) => None,
        };
        Ok(Reach { profile, tools })
    }

    async fn allow(
        &self,
        transaction: &Transaction,
        who: &Principal,
        client: &Client,
        ask: &Ask,
    ) -> Whole {
        let path = transaction.door.strip_prefix("/connect").unwrap_or_default();
        if who.opens_door(path).is_err() || self.line.door(who, path).is_none() {
            return lost();
        }
        let grant = self.grant(transaction, who, client, ask);
        let ticket = Ticket { tenant: grant.tenant, grant: grant.id, generation: 0 };
        let Some(code) = self.ticket(Shape::Code, &client.id, ticket) else { return broken() };
        match self.stores.grants.open(grant, false).await {
            Ok(true) => {}
            Ok(false) => return lost(),
            Err(error) => {
                tracing::warn!(%error, "nothing can be allowed at the connector doors");
                return broken();
            }
        }
        if self.note(Some(who), "connect/allow", &client.id, Outcome::Ok, ask).await.is_err() {
            return broken();
        }
        meters().connector.consent(Consent::Allowed);
        tracing::info!(client = client.id, key = %who.key(), grant = %ticket.grant, "a client was let in");
        answer(transaction, client, ask, &[("code", &code)])
    }

    async fn deny(
        &self,
        transaction: &Transaction,
        who: Option<&Principal>,
        client: &Client,
        ask: &Ask,
    ) -> Whole {
        if let Some(who) = who {
            // So that going back to the page and allowing it does not work.
            let kept =
                self.stores.grants.open(self.grant(transaction, who, client, ask), true).await;
            if !kept.unwrap_or(false) {
                return lost();
            }
            drop(self.note(Some(who), "connect/deny", &client.id, Outcome::Refused, ask).await);
        }
        meters().connector.consent(Consent::Denied);
        tracing::info!(client = client.id, address = %ask.address, "a client was not let in");
        let words = "the person did not allow it";
        let denied = [("error", "access_denied"), ("error_description", words)];
        answer(transaction, client, ask, &denied)
    }

    fn grant(
        &self,
        transaction: &Transaction,
        who: &Principal,
        client: &Client,
        ask: &Ask,
    ) -> NewGrant {
        let now = unix_seconds();
        NewGrant {
            id: transaction.grant(),
            tenant: who.tenant().id(),
            key: who.key(),
            client: client.id.clone(),
            client_name: client.name.clone(),
            redirect: transaction.callback.clone(),
            resource: ask.base.resource(&transaction.door),
            challenge: transaction.challenge.clone(),
            code_until: now + CODE,
            created_at: now,
        }
    }
}
