//! One request beside the connector doors: Host and Origin, size and rate, and only then the body.
//! These are the only routes that read one before anybody has shown a key, and at most 16 KiB.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;
use url::Url;

use super::browser::Browsers;
use super::document::Documents;
use super::error::{OAuthError, reply};
use super::form::Form;
use super::metadata;
use super::page::Whole;
use super::throttle::Throttle;
use crate::audit::{Audit, Event, Outcome, Ran};
use crate::auth::{Assertions, Auth, Guard, Principal, client_address};
use crate::base::{GrantId, Secret, Tasks, TenantId, unix_millis, unix_seconds};
use crate::config::{Config, SecretSource};
use crate::pipeline::Line;
use crate::seal::Ring;
use crate::store::Stores;
use crate::telemetry::meters;
use crate::telemetry::metrics::{OAuthAnswer, OAuthAsk};

/// Longest body in bytes.
const LONGEST: usize = 16 << 10;
/// Longest time that a body may take.
const BODY_TIME: Duration = Duration::from_secs(20);
/// How often one address may ask: so many at once, and one more after each of these times. Hosted
/// clients call for all their people from few addresses.
const ASKS: u32 = 200;
const ASK: Duration = Duration::from_millis(100);
/// The same for registrations.
const REGISTRATIONS: u32 = 20;
const REGISTRATION: Duration = Duration::from_secs(10);
/// How often what is over is collected.
const SWEEP: Duration = Duration::from_secs(600);
/// Clients that nobody allowed anything are collected after this time, and those without a grant
/// after that, in seconds.
const UNUSED: u64 = 24 * 3_600;
const IDLE: u64 = 90 * 86_400;

/// Finds the value of a source that the file names.
pub type Resolve = dyn Fn(&SecretSource) -> Result<Secret, String> + Send + Sync;

/// What it works with.
pub struct Parts {
    /// The store.
    pub stores: Stores,
    /// Seals what browsers and clients carry for us.
    pub ring: Arc<Ring>,
    /// Who is there.
    pub auth: Auth,
    /// What runs.
    pub line: Arc<Line>,
    /// What was decided; none when the file wants none.
    pub audit: Option<Audit>,
    /// Finds the secrets of clients that the file names.
    pub resolve: Arc<Resolve>,
}

/// Our OAuth server and its pages. One for the process.
pub struct Connect {
    pub(super) stores: Stores,
    pub(super) ring: Arc<Ring>,
    pub(super) auth: Auth,
    pub(super) line: Arc<Line>,
    audit: Option<Audit>,
    pub(super) resolve: Arc<Resolve>,
    pub(super) browsers: Browsers,
    pub(super) documents: Documents,
    pub(super) assertions: Assertions,
    asks: Throttle,
    pub(super) registrations: Throttle,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect").finish_non_exhaustive()
    }
}

/// The URL that clients use, and what follows from it.
#[derive(Debug, Clone)]
pub(super) struct Base(pub(super) Url);

impl Base {
    fn text(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Who makes our tokens.
    pub(super) fn issuer(&self) -> String {
        format!("{}/connect", self.text())
    }

    /// The whole URL of a connector door.
    pub(super) fn resource(&self, door: &str) -> String {
        format!("{}{door}", self.text())
    }

    /// The path of the connector door that has this URL, exactly.
    pub(super) fn door<'a>(&self, resource: &'a str) -> Option<&'a str> {
        resource.strip_prefix(self.text()).filter(|door| metadata::is_door(door))
    }
}

/// One request, read to its end.
pub(super) struct Ask {
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) address: IpAddr,
    pub(super) base: Base,
}

impl Ask {
    /// The parameters in its body.
    pub(super) fn form(&self) -> Result<Form, OAuthError> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OAuthError::request("the body is application/x-www-form-urlencoded"));
        }
        Ok(Form::read(&self.body))
    }
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Door(&'a str),
    Server,
    Authorize,
    Token,
    Register,
    Revoke,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            metadata::SERVER => Self::Server,
            "/connect/authorize" => Self::Authorize,
            "/connect/token" => Self::Token,
            "/connect/register" => Self::Register,
            "/connect/revoke" => Self::Revoke,
            _ => Self::Door(metadata::door(path)?),
        })
    }

    /// What a client asks there, and with this body.
    fn asks(self, body: &[u8]) -> Option<OAuthAsk> {
        Some(match self {
            Self::Register => OAuthAsk::Register,
            Self::Revoke => OAuthAsk::Revoke,
            Self::Token => match Form::read(body).any("grant_type") {
                Some("authorization_code") => OAuthAsk::Code,
                Some("refresh_token") => OAuthAsk::Refresh,
                _ => OAuthAsk::Token,
            },
            Self::Door(_) | Self::Server | Self::Authorize => return None,
        })
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Door(_) | Self::Server => "GET, HEAD, OPTIONS",
            Self::Authorize => "GET, POST",
            Self::Token | Self::Register | Self::Revoke => "POST, OPTIONS",
        }
    }
}

fn not_found(words: &str) -> Whole {
    reply(StatusCode::NOT_FOUND, &json!({ "error": "not_found", "error_description": words }))
}

impl Connect {
    /// Over these parts; `tasks` owns what collects what is over.
    #[must_use]
    pub fn new(parts: Parts, tasks: &Tasks) -> Arc<Self> {
        let Parts { stores, ring, auth, line, audit, resolve } = parts;
        let browsers = Browsers::new(ring.clone(), auth.clone());
        let connect = Arc::new(Self {
            stores,
            ring,
            auth,
            line,
            audit,
            resolve,
            browsers,
            documents: Documents::default(),
            assertions: Assertions::default(),
            asks: Throttle::new(ASKS, ASK),
            registrations: Throttle::new(REGISTRATIONS, REGISTRATION),
        });
        let (own, stop) = (connect.clone(), tasks.stop().clone());
        tasks.spawn("connector sweep", async move {
            let mut every = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = every.tick() => own.collect().await,
                }
            }
        });
        connect
    }

    async fn collect(&self) {
        let now = unix_seconds();
        let grants = self.stores.grants.prune(now).await;
        let clients =
            self.stores.clients.prune(now.saturating_sub(UNUSED), now.saturating_sub(IDLE));
        match (grants, clients.await) {
            (Ok(grants), Ok(clients)) if grants + clients > 0 => {
                tracing::info!(grants, clients, "collected what is over at the connector doors");
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "nothing is collected at the connector doors");
            }
            _ => {}
        }
    }

    /// What the file decides now.
    pub(super) fn config(&self) -> Arc<Config> {
        self.line.config().clone()
    }

    /// Serves one request. It never fails: whatever happens has an answer.
    pub async fn serve<B>(
        self: Arc<Self>,
        request: Request<B>,
        peer: SocketAddr,
    ) -> http::Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let config = self.config();
        let path = request.uri().path().to_owned();
        let route = Route::of(&path);
        let origin = match check(&config, &request, route == Some(Route::Authorize)) {
            Ok(origin) => origin,
            Err(words) => {
                let body = json!({ "error": "forbidden", "error_description": words });
                return reply(StatusCode::FORBIDDEN, &body);
            }
        };
        let Some(url) = config.server.public_url.clone() else {
            return not_found(
                "OAuth needs the URL that clients use: set `public_url` in [server], such as \
                 \"https://mcp.example.com\"",
            );
        };
        let Some(route) = route else { return not_found("nothing is here") };
        let mut response = Box::pin(self.answer(request, peer, route, Base(url))).await;
        if let Some(origin) = origin.filter(|_| route != Route::Authorize) {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        response
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        peer: SocketAddr,
        route: Route<'_>,
        base: Base,
    ) -> Whole
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let config = self.config();
        let (head, body) = request.into_parts();
        match (route, &head.method) {
            (Route::Door(door), &(Method::GET | Method::HEAD)) => {
                return metadata::of_door(door, &base);
            }
            (Route::Server, &(Method::GET | Method::HEAD)) => {
                return metadata::of_server(&config.connect, &base);
            }
            (Route::Authorize, &(Method::GET | Method::POST))
            | (Route::Token | Route::Register | Route::Revoke, &Method::POST) => {}
            (route, &Method::OPTIONS) if route != Route::Authorize => return preflight(),
            (route, _) => {
                let mut refused = OAuthError::request("another method is wanted here").reply();
                *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allow = HeaderValue::from_static(route.methods());
                refused.headers_mut().insert(header::ALLOW, allow);
                return refused;
            }
        }
        let address = client_address(&config.server.trusted_proxies, &head.headers, peer.ip());
        let taken = self.asks.take(address).map_err(OAuthError::too_many);
        let read = match taken {
            Ok(()) if head.method == Method::POST => read(body).await,
            Ok(()) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        let body = match read {
            Ok(body) => body,
            Err(error) => return told(route.asks(&[]), Err(error), address),
        };
        let asked = route.asks(&body);
        let query = head.uri.query().map(str::to_owned);
        let ask = Ask { headers: head.headers, query, body, address, base };
        let done = match (route, head.method) {
            (Route::Authorize, Method::GET) => return self.authorize(&ask).await,
            (Route::Authorize, _) => return self.decide(&ask).await,
            (Route::Token, _) => self.token(&ask).await,
            (Route::Register, _) => self.register(&ask).await,
            (Route::Revoke, _) => self.revoke(&ask).await,
            (Route::Door(_) | Route::Server, _) => return not_found("nothing is here"),
        };
        told(asked, done, address)
    }

    /// Writes down what somebody with a good key did or was refused; waits until it is on disk.
    pub(super) async fn note(
        &self,
        who: Option<&Principal>,
        what: &'static str,
        about: &str,
        outcome: Outcome,
        ask: &Ask,
    ) -> Result<(), OAuthError> {
        let (Some(audit), Some(who)) = (&self.audit, who) else { return Ok(()) };
        let (tenant, name) = (who.tenant().id(), who.tenant().name().clone());
        let mut event = Box::new(Event::new(unix_millis(), tenant, name, Some(who.key())));
        event.door = Arc::from("/connect");
        event.method = Cow::Borrowed(what);
        event.target = Some(about.into());
        event.policy = self.config().revision;
        (event.outcome, event.ran) =
            (outcome, if outcome == Outcome::Ok { Ran::Yes } else { Ran::No });
        event.bytes_in = ask.body.len() as u64;
        audit.record_now(event).wait().await.map_err(|error| {
            tracing::error!(%error, "what was done at the connector doors is not in the audit yet");
            OAuthError::unavailable()
        })
    }

    /// The same of what came of a grant, where nobody has shown a key.
    pub(super) async fn note_grant(
        &self,
        tenant: TenantId,
        grant: GrantId,
        (what, outcome): (&'static str, Outcome),
        ask: &Ask,
    ) {
        let Ok(Some(found)) = self.stores.grants.find(tenant, grant).await else { return };
        tracing::info!(%grant, what, client = found.grant.client, address = %ask.address, "connector");
        if let Ok(holder) = self.auth.holder_of(found.grant.key).await {
            // Nothing waits for it: it is said in the log in any case.
            drop(self.note(Some(&holder), what, &found.grant.client, outcome, ask).await);
        }
    }
}

/// Host and Origin. Our own pages are served from our own origin, whatever the file lists; and
/// since they tell nobody where they are, a form of theirs comes from the origin `null`. What such
/// a form may do is decided by what it carries, which is bound to the browser. Gives an origin to
/// which the answer may be shown.
fn check<B>(
    config: &Config,
    request: &Request<B>,
    form: bool,
) -> Result<Option<HeaderValue>, String> {
    let origin = request.headers().get(header::ORIGIN);
    let own = config.server.public_url.as_ref().map(|url| url.origin().ascii_serialization());
    let is_own = origin.is_some_and(|origin| {
        own.as_ref().is_some_and(|own| own.as_bytes() == origin.as_bytes())
            || (form && origin.as_bytes() == b"null")
    });
    if form && request.method() == Method::POST {
        let site = request.headers().get("sec-fetch-site");
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err("this form is sent from its own page only".to_owned());
        }
    }
    let mut judged = Request::new(());
    *judged.uri_mut() = request.uri().clone();
    judged.headers_mut().clone_from(request.headers());
    if is_own && request.headers().get_all(header::ORIGIN).iter().count() == 1 {
        judged.headers_mut().remove(header::ORIGIN);
    }
    Guard::new(&config.server).check(&judged).map_err(|fault| fault.public.into_owned())?;
    Ok(origin.filter(|origin| origin.as_bytes() != b"null").cloned())
}

/// What a client is told, once that was counted.
fn told(asked: Option<OAuthAsk>, done: Result<Whole, OAuthError>, address: IpAddr) -> Whole {
    let answer = done.as_ref().map_or_else(OAuthError::counted, |_| OAuthAnswer::Ok);
    if let Some(asked) = asked {
        meters().connector.answered(asked, answer);
    }
    done.unwrap_or_else(|error| {
        // Whoever asks without end fills no log.
        if answer == OAuthAnswer::Limited {
            tracing::debug!(%address, ?asked, %error, "refused by the OAuth server");
        } else {
            tracing::info!(%address, ?asked, %error, "refused by the OAuth server");
        }
        error.reply()
    })
}

/// Reads a body.
async fn read<B>(body: B) -> Result<Bytes, OAuthError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || OAuthError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..OAuthError::request("the body is larger than 16 KiB")
    };
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(too_large());
    }
    let whole = Box::pin(Limited::new(body, LONGEST).collect());
    match tokio::time::timeout(BODY_TIME, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(OAuthError::request("the body broke off")),
        Err(_) => Err(OAuthError {
            status: StatusCode::REQUEST_TIMEOUT,
            ..OAuthError::request("the body did not arrive in time")
        }),
    }
}

/// What a page of an accepted origin may send.
fn preflight() -> Whole {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, MCP-Protocol-Version"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
