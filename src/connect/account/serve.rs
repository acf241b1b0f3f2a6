//! The way of one request to the pages for logins at upstreams. Who may do what is said by the
//! proxy key with which somebody has signed in at this browser, and by nothing in a URL.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::view;
use crate::auth::{Auth, Guard, Principal, client_address};
use crate::base::{Name, Role};
use crate::connect::browser::{Browser, Browsers};
use crate::connect::page::{Whole, lead, private, refusal};
use crate::credential::{Callback, OAuthError};
use crate::pipeline::Line;
use crate::seal::Ring;

/// Longest form in bytes.
const LONGEST: usize = 16 << 10;
/// Longest time that a form may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// What a form's token is for.
const FORM: &str = "account form";

/// The pages. One for the process.
pub struct Account {
    line: Arc<Line>,
    browsers: Browsers,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

/// Whether a path is one of these pages.
#[must_use]
pub fn is_account(path: &str) -> bool {
    matches!(path, "/connect/upstreams" | "/connect/callback" | "/connect/client")
        || path.starts_with("/connect/upstreams/")
}

/// One request, as far as pages look at it.
struct Visit {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    address: IpAddr,
    public_url: Url,
    browser: Browser,
    /// The cookie of a browser that was not here before.
    fresh: Option<HeaderValue>,
}

impl Visit {
    fn asked(&self) -> &str {
        value(&self.query, "asked").unwrap_or_default()
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
    let first = values.next()?;
    // Two of them: one was put there by somebody else.
    values.next().is_none().then_some(first)
}

impl Account {
    /// Pages over this line.
    #[must_use]
    pub fn new(line: Arc<Line>, auth: Auth, ring: Arc<Ring>) -> Self {
        Self { line, browsers: Browsers::new(ring, auth) }
    }

    /// Serves one request. It never fails: whatever happens has an answer.
    pub async fn serve<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        // Our pages tell nobody where they are, so that their forms come without an origin; what a
        // form may do is said by its token.
        head.headers.remove(header::ORIGIN);
        let head = Request::from_parts(head, ());
        let config = self.line.config().clone();
        if Guard::new(&config.server).check(&head).is_err() {
            let why = "This host name is not one of the proxy's. The operator adds it to `hosts`.";
            return refusal(StatusCode::FORBIDDEN, "Wrong address", why);
        }
        let Some(public_url) = config.server.public_url.clone() else {
            let why = "The operator sets `public_url` in [server] first: logins come back to it.";
            return refusal(StatusCode::NOT_FOUND, "Not set up", why);
        };
        let (head, ()) = head.into_parts();
        if head.uri.path() == "/connect/client" {
            return self.about_us(&head.method);
        }
        let known = self.browsers.known(&head.headers, &public_url);
        let (browser, fresh) = match known {
            Some(browser) => (browser, None),
            None => match self.browsers.fresh(&public_url) {
                Some((browser, cookie)) => (browser, Some(cookie)),
                None => return oops("the system gives no random bytes"),
            },
        };
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let visit = Visit {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: form_urlencoded::parse(query).into_owned().collect(),
            address: client_address(&config.server.trusted_proxies, &head.headers, peer.ip()),
            headers: head.headers,
            public_url,
            browser,
            fresh,
        };
        let mut page = match (visit.method.as_str(), visit.path.as_str()) {
            ("GET" | "HEAD", "/connect/callback") => self.callback(&visit).await,
            ("GET" | "HEAD", _) => self.show(&visit, None).await,
            ("POST", path) if path != "/connect/callback" => match form(body).await {
                Some(form) => self.act(&visit, &form).await,
                None => refusal(StatusCode::BAD_REQUEST, "Not understood", "The form is too long."),
            },
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "Not possible", "Open the page anew."),
        };
        if let Some(cookie) = visit.fresh {
            page.headers_mut().append(header::SET_COOKIE, cookie);
        }
        page
    }

    fn about_us(&self, method: &Method) -> Whole {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "Not possible", "It is only read.");
        }
        let about = self.line.about_us().unwrap_or_default().to_string();
        let mut response = Response::new(Full::new(Bytes::from(about)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        response
    }

    async fn signed_in(&self, visit: &Visit) -> Option<Principal> {
        self.browsers.signed_in(&visit.headers, &visit.browser, &visit.public_url).await
    }

    fn token(&self, visit: &Visit) -> String {
        let path = visit.path.as_bytes();
        self.browsers.seal(FORM, &visit.browser, path).unwrap_or_default()
    }

    /// The page that a path names.
    async fn show(&self, visit: &Visit, problem: Option<&str>) -> Whole {
        let (token, name) = (self.token(visit), upstream(&visit.path));
        let Some(principal) = self.signed_in(visit).await else {
            return view::sign_in(name.as_ref().map(Name::as_str), &token, problem);
        };
        self.show_to(&principal, visit, &token).await
    }

    async fn show_to(&self, principal: &Principal, visit: &Visit, token: &str) -> Whole {
        let tenant = principal.tenant().name().as_str();
        let Some(name) = upstream(&visit.path) else {
            let logins = self.line.logins(principal).await;
            return view::list(tenant, &logins, token);
        };
        if let Some(page) = self.misled(principal, visit, &name) {
            return page;
        }
        match self.line.login_state(principal, &name).await {
            Some(state) => view::one(tenant, name.as_str(), &state, may_log_out(principal), token),
            None => unknown(),
        }
    }

    /// A link that was made for somebody else.
    fn misled(&self, principal: &Principal, visit: &Visit, name: &Name) -> Option<Whole> {
        let asked = visit.asked();
        if asked.is_empty() || self.line.was_sent(principal, name, asked) {
            return None;
        }
        let token = self.token(visit);
        Some(view::misled(principal.tenant().name().as_str(), &token))
    }

    async fn act(&self, visit: &Visit, form: &[(String, Zeroizing<String>)]) -> Whole {
        let field = |name: &str| {
            let mut values = form.iter().filter(|(found, _)| found == name);
            values.next().map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let opened = self.browsers.open(FORM, &visit.browser, field("token"));
        if opened.as_deref() != Some(visit.path.as_bytes()) {
            let why = "This form was not made for this browser, or its cookie is gone. Open the page anew.";
            return refusal(StatusCode::FORBIDDEN, "Not accepted", why);
        }
        let back = || back(visit);
        if field("do") == "sign-in" {
            let who = (&visit.browser, visit.address);
            return match self.browsers.sign_in(field("key"), who, &visit.public_url).await {
                Ok((principal, cookie)) => {
                    let (tenant, key) = (principal.tenant().name(), principal.key());
                    tracing::info!(%tenant, %key, address = %visit.address, "signed in at a page");
                    let mut page = back();
                    page.headers_mut().append(header::SET_COOKIE, cookie);
                    page
                }
                Err((error, denied)) => {
                    if let Some(denied) = denied {
                        self.line.note_denied(&denied);
                    }
                    let mut page = self.show(visit, Some(&error.to_string())).await;
                    *page.status_mut() = StatusCode::UNAUTHORIZED;
                    page
                }
            };
        }
        let Some(principal) = self.signed_in(visit).await else { return back() };
        if field("do") == "sign-out" {
            let mut page = back();
            if let Some(cookie) = self.browsers.signed_out(&visit.public_url) {
                page.headers_mut().append(header::SET_COOKIE, cookie);
            }
            return page;
        }
        let Some(name) = upstream(&visit.path) else { return unknown() };
        if let Some(page) = self.misled(&principal, visit, &name) {
            return page;
        }
        match field("do") {
            "log-in" => self.log_in(visit, &principal, &name).await,
            "log-out" if may_log_out(&principal) => {
                match self.line.log_out(&principal, &name).await {
                    Ok(_) => back(),
                    Err(error) => failed(&name, &error),
                }
            }
            _ => refusal(StatusCode::FORBIDDEN, "Not allowed", "Ask an admin of your tenant."),
        }
    }

    async fn log_in(&self, visit: &Visit, principal: &Principal, name: &Name) -> Whole {
        let state = self.line.login_state(principal, name).await;
        let running = state.is_some_and(|state| state.state == "logged-in");
        if running && visit.asked().is_empty() && !may_log_out(principal) {
            let why = "The tenant is logged in already; an admin can do it anew.";
            return refusal(StatusCode::FORBIDDEN, "Not allowed", why);
        }
        let secret = browser_secret(&visit.browser);
        match self.line.begin_login(principal, name, crate::credential::Browser(&secret)).await {
            Ok(begun) => {
                tracing::info!(tenant = %principal.tenant().name(), upstream = %name, "a login begins");
                view::leave(name.as_str(), &begun.url)
            }
            Err(error) => failed(name, &error),
        }
    }

    async fn callback(&self, visit: &Visit) -> Whole {
        let Some(principal) = self.signed_in(visit).await else {
            let why = "Nobody is signed in at this browser any more. Begin the login again.";
            return refusal(StatusCode::FORBIDDEN, "Not signed in", why);
        };
        let text = |name: &str| value(&visit.query, name).map(str::to_owned);
        let callback = Callback {
            state: text("state").unwrap_or_default(),
            code: text("code"),
            iss: text("iss"),
            error: text("error"),
        };
        let secret = browser_secret(&visit.browser);
        let browser = crate::credential::Browser(&secret);
        match self.line.finish_login(&principal, &callback, browser).await {
            Ok(name) => view::done(principal.tenant().name().as_str(), name.as_str()),
            Err(error) => {
                let (tenant, reason) = (principal.tenant().name(), &error);
                tracing::warn!(%tenant, %reason, "a login did not come about");
                let why = sentence(&error);
                refusal(StatusCode::FORBIDDEN, "Not logged in", &why)
            }
        }
    }
}

fn may_log_out(principal: &Principal) -> bool {
    principal.role() >= Role::Admin
}

/// The upstream that a path names.
fn upstream(path: &str) -> Option<Name> {
    Name::new(path.strip_prefix("/connect/upstreams/")?).ok()
}

/// What only this browser has, as text.
fn browser_secret(browser: &Browser) -> Zeroizing<String> {
    Zeroizing::new(browser.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The same page, read anew.
fn back(visit: &Visit) -> Whole {
    let mut to = visit.path.clone();
    let asked = visit.asked();
    if !asked.is_empty() {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("asked", asked).finish();
        to = format!("{to}?{query}");
    }
    lead(&to).unwrap_or_else(|| oops("its path is no path"))
}

fn oops(why: &str) -> Whole {
    tracing::error!(why, "a page could not be made");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "Not possible", "Try again in a minute.")
}

fn unknown() -> Whole {
    let why = "There is no such upstream with a login for your tenant.";
    let mut page = refusal(StatusCode::NOT_FOUND, "Not found", why);
    private(page.headers_mut());
    page
}

fn sentence(error: &OAuthError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn failed(name: &Name, error: &OAuthError) -> Whole {
    tracing::warn!(upstream = %name, reason = %error, "a login did not begin");
    refusal(StatusCode::BAD_GATEWAY, "Not possible now", &sentence(error))
}

/// The fields of a form.
async fn form<B>(body: B) -> Option<Vec<(String, Zeroizing<String>)>>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = Box::pin(Limited::new(body, LONGEST).collect());
    let body = tokio::time::timeout(BODY_TIME, read).await.ok()?.ok()?.to_bytes();
    let pairs = form_urlencoded::parse(&body).into_owned();
    Some(pairs.map(|(name, value)| (name, Zeroizing::new(value))).collect())
}
