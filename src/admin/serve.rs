//! The way of one request through the API: Host and Origin, key, route, role, body, and then what
//! the route does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::answer::Reply;
use super::call::Call;
use super::input::LONGEST;
use super::problem::Problem;
use super::record::Record;
use super::repeat::{self, Turn};
use super::router::{Found, Route, find};
use super::seat::Seats;
use super::stream::{self, ApiBody};
use super::{etag, health, metrics, reply};
use crate::audit::Audit;
use crate::auth::{Auth, Caller, Denied, Guard, client_address};
use crate::base::{Role, Tasks, now};
use crate::config::{Config, Readers, Recompose, Reload};
use crate::credential::Vault;
use crate::pipeline::Line;
use crate::seal::Ring;
use crate::store::Stores;
use crate::telemetry::meters;
use crate::telemetry::metrics::Surface;

/// Longest time that a body may take.
const BODY_TIME: Duration = Duration::from_secs(20);
/// Longest time that a page may keep what it was told about CORS, in seconds.
const PREFLIGHT: &str = "600";

/// What the API works with.
pub struct Parts {
    /// The store.
    pub stores: Stores,
    /// Seals cursors and kept answers, and makes keys.
    pub ring: Arc<Ring>,
    /// The sealed secrets.
    pub vault: Vault,
    /// Who is calling.
    pub auth: Auth,
    /// What runs.
    pub line: Arc<Line>,
    /// Reads the file again; none where the configuration came from no file.
    pub reload: Option<Arc<dyn Reload>>,
    /// Puts in place what the store has of upstreams.
    pub recompose: Arc<dyn Recompose>,
    /// What was decided; none when the file wants none.
    pub audit: Option<Audit>,
    /// Owns what was begun, also when its client has gone.
    pub tasks: Tasks,
    /// What serves it; nothing where no proxy runs.
    pub place: Option<Place>,
}

/// What serves the API.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where the operator's routes are.
    pub url: String,
    /// The file that it was started with, as a whole path; nothing where there was none.
    pub file: Option<String>,
}

/// Which listener a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The main one.
    Public,
    /// The operator's own.
    Operator,
}

/// The API. One for the process.
pub struct Api {
    pub(super) stores: Stores,
    pub(super) ring: Arc<Ring>,
    pub(super) vault: Vault,
    pub(super) auth: Auth,
    pub(super) line: Arc<Line>,
    pub(super) audit: Option<Audit>,
    pub(super) started: tokio::time::Instant,
    pub(super) place: Option<Place>,
    pub(super) reload: Option<Arc<dyn Reload>>,
    pub(super) recompose: Arc<dyn Recompose>,
    pub(super) tasks: Tasks,
    /// Who watches.
    pub(super) seats: Seats,
    /// One write at a time, so that nothing comes between `If-Match` and what it guards.
    writes: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// An API over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { stores, ring, vault, auth, line, reload, recompose, audit, tasks, place } =
            parts;
        let (started, writes) = (now(), tokio::sync::Mutex::default());
        Arc::new(Self {
            stores,
            ring,
            vault,
            auth,
            line,
            audit,
            started,
            place,
            reload,
            recompose,
            tasks,
            seats: Seats::default(),
            writes,
        })
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
        side: Side,
    ) -> Response<ApiBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Err(fault) = Guard::new(&self.config().server).check(&request) {
            return reply::refusal(&Problem::Foreign(fault.public.into_owned()));
        }
        // The guard has let it pass, so it is one of ours.
        let origin = request.headers().get(header::ORIGIN).cloned();
        let mut response = if is_preflight(&request) {
            preflight()
        } else {
            let trusted = &self.config().server.trusted_proxies;
            let address = client_address(trusted, request.headers(), peer.ip());
            match self.answer(request, side, address).await {
                Ok(response) => response,
                Err(problem) => {
                    tracing::debug!(%peer, %address, %problem, "refused");
                    reply::refusal(&problem)
                }
            }
        };
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let shown =
                HeaderValue::from_static("ETag, Location, Retry-After, Idempotency-Replayed");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, shown);
        }
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
        meters().replied(Surface::Api, response.status().as_u16());
        response
    }

    async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        side: Side,
        address: IpAddr,
    ) -> Result<Response<ApiBody>, Problem>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let for_operator = side == Side::Operator || self.config().admin.listen.is_none();
        if path == "/health" && matches!(head.method, Method::GET | Method::HEAD) {
            // A probe has no key; whoever shows one must have a good one.
            let caller = match self.auth.identify(&head.headers).await {
                Ok(caller) => Some(caller),
                Err(Denied::NoKey) => None,
                Err(denied) => return Err(self.denied(denied)),
            };
            return Ok(health::probe(&self, caller.as_ref()).await);
        }
        if path == "/metrics"
            && for_operator
            && self.config().telemetry.metrics != Readers::Off
            && matches!(head.method, Method::GET | Method::HEAD)
        {
            return metrics::show(&self, &head.headers).await;
        }
        let identified = self.auth.identify(&head.headers).await;
        let caller = identified.map_err(|denied| self.denied(denied))?;
        let (route, parts) = match find(&head.method, path, for_operator) {
            Found::Route(route, parts) => (route, parts),
            Found::Methods(methods) => return Err(Problem::Method(methods)),
            Found::Nothing => {
                let next = "`GET /api/v1/openapi.json` lists all routes";
                return Err(Problem::unknown("route", next));
            }
        };
        if let Err(problem) = self.lets(route, &caller) {
            Record::refused(&self, route, &caller, path, &problem);
            return Err(problem);
        }
        let record = Record::begin(&self, route, &caller, path).await?;
        let most = if route.live { self.config().server.max_body } else { LONGEST };
        let place = (for_operator, address);
        let call = match call(caller.clone(), &head, parts, (body, most), place).await {
            Ok(call) => call,
            Err(problem) => {
                if record.is_some() {
                    Record::refused(&self, route, &caller, path, &problem);
                }
                return Err(problem);
            }
        };
        let length = call.body.len();
        if route.method == "GET" {
            let known = call.headers.clone();
            let mut done = (route.handler)(self, call).await;
            if let Some(record) = record {
                done = record.end(length, done).await;
            }
            let answer = done?;
            return Ok(match &answer.etag {
                Some(tag) if etag::is_known(&known, tag) => reply::not_modified(tag),
                _ => reply::reply(answer),
            });
        }
        if route.live {
            // What becomes of it is told by the line; and it ends with this request.
            return (route.handler)(self, call).await.map(reply::reply);
        }
        // What was begun is brought to its end, also when the client does not wait for it.
        let running = self.tasks.clone().spawn("admin write", self.write(route, call, record));
        let done = running.await.map_err(|error| Problem::Internal(error.to_string()))?;
        done.map(reply::reply)
    }

    /// Somebody without a good key.
    pub(super) fn denied(&self, denied: Denied) -> Problem {
        self.line.note_denied(&denied);
        denied.into()
    }

    /// Whether this caller may use the route now. The rates of the operator are not counted: he
    /// must get through to a tenant that has used up its own. What the line serves it counts
    /// itself.
    fn lets(&self, route: &Route, caller: &Caller) -> Result<(), Problem> {
        route.who.admits(caller)?;
        match caller {
            Caller::Tenant(principal) if principal.role() != Role::Operator && !route.live => {
                Ok(self.line.admit(principal)?)
            }
            _ => Ok(()),
        }
    }

    async fn write(
        self: Arc<Self>,
        route: &'static Route,
        call: Call,
        record: Option<Record>,
    ) -> Result<Reply, Problem> {
        let turn = match route.aside {
            true => None,
            false => Some(self.writes.lock().await),
        };
        let named = if route.method == "POST" {
            match repeat::begin(&self, &call).await? {
                Turn::Fresh(named) => named,
                Turn::Repeated(answer) => return Ok(answer),
            }
        } else {
            None
        };
        let done = (route.handler)(self.clone(), call.clone()).await;
        if let Some(named) = named {
            let kept = done.as_ref().ok().map(repeat::kept);
            repeat::end(&self, &call, named, kept).await;
        }
        drop(turn);
        note(route, &call.caller, &done);
        match record {
            Some(record) => record.end(call.body.len(), done).await,
            None => done,
        }
    }
}

/// One line for each change, with who did it; the role says when it was the operator for a tenant.
fn note(route: &Route, caller: &Caller, done: &Result<Reply, Problem>) {
    let tenant = caller.tenant().map(|tenant| tenant.name().as_str());
    let (key, by, role) = (caller.key(), caller.key_name(), caller.role());
    let outcome = match done {
        Ok(reply) => reply.status.to_string(),
        Err(problem) => problem.to_string(),
    };
    tracing::info!(route = route.doc.id, %key, %by, %role, tenant, outcome, "admin");
}

/// Reads the rest of a request.
async fn call<B>(
    caller: Caller,
    head: &http::request::Parts,
    parts: Vec<String>,
    (body, most): (B, usize),
    place: (bool, IpAddr),
) -> Result<Call, Problem>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = read(body, most).await?;
    if !body.is_empty() && !is_json(head.headers.get(header::CONTENT_TYPE)) {
        return Err(Problem::MediaType);
    }
    Call::new(caller, &head.uri, parts, head.headers.clone(), body, place)
}

/// Reads a body of at most so many bytes.
async fn read<B>(body: B, most: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::TooLarge(most));
    }
    let whole = Box::pin(Limited::new(body, most).collect());
    let read = tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| Problem::TooSlow)?;
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::TooLarge(most))
        }
        Err(_) => Err(Problem::Invalid("the body broke off".to_owned())),
    }
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A browser asks before it sends a page's request (Fetch standard, "CORS-preflight request").
fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What any page of an accepted origin may send. It still needs a key.
fn preflight() -> Response<ApiBody> {
    let mut response = Response::new(stream::whole(Bytes::new()));
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-API-Key, X-Tenant",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
