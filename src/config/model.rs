//! The compiled configuration: what the program needs, every default filled in, every name
//! resolved, every reference parsed. Only `check` builds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{
    Audit, Bodies, Connect, Limits, Made, OAuth, Profile, Program, Rules, Telemetry, Template,
};
use crate::base::{Name, Role, Scopes, Slot};

/// Everything the file decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file's name as it was given, for what is said about it.
    pub file: Arc<str>,
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[seal]`
    pub seal: Seal,
    /// `[namespace]`
    pub namespace: Namespace,
    /// `[audit]`
    pub audit: Audit,
    /// `[bodies]`; without it no body is kept.
    pub bodies: Option<Arc<Bodies>>,
    /// `[limits]`
    pub limits: Limits,
    /// `[upstreams.*]`, in the order of their names: the order of every merged list.
    pub upstreams: BTreeMap<Name, Arc<Upstream>>,
    /// What is known of upstreams that the file does not declare, and where those of the file are.
    pub made: Made,
    /// `[profiles.*]`
    pub profiles: BTreeMap<Name, Arc<Profile>>,
    /// `[tenants.*]`
    pub tenants: BTreeMap<Name, TenantDeclaration>,
    /// `[admin]`
    pub admin: Admin,
    /// `[[auth.issuers]]`
    pub issuers: Vec<Issuer>,
    /// `[connect]`
    pub connect: Arc<Connect>,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// The beginning of the SHA-256 of the file's text: which rules held when something was
    /// decided.
    pub revision: [u8; 8],
}

/// One of `[[auth.issuers]]`: somebody else whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What its tokens say in `iss`, and where its discovery document is.
    pub issuer: String,
    /// What its tokens must say in `aud`.
    pub audience: String,
    /// The algorithms that it may use, by their names in RFC 7518; none with a shared secret.
    pub algorithms: Vec<String>,
    /// Where its keys are, instead of where its discovery document says.
    pub jwks_url: Option<url::Url>,
    /// How far its clock may be from ours (default 30 s, at most 60 s).
    pub leeway: Duration,
    /// Whose a token is; the first rule that fits decides, and without one it is refused.
    pub rules: Vec<IssuerRule>,
}

/// One rule of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRule {
    /// The claim that it looks at, by its name or its path; `None`: it fits every token.
    pub claim: Option<String>,
    /// What the claim must hold; `None`: anything.
    pub value: Option<String>,
    /// Whose the token is then.
    pub tenant: RuleTenant,
    /// What it may decide.
    pub role: Role,
    /// What it may use.
    pub scopes: Scopes,
}

/// Which tenant a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleTenant {
    /// None: the operator.
    Nobody,
    /// This one.
    Named(Name),
    /// The one that the claim names (`tenant = "{claim}"`).
    FromClaim,
}

/// `[admin]`: who decides about the machine, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// A listener of its own for what only the operator may do; the public one does not know
    /// these routes then.
    pub listen: Option<SocketAddr>,
    /// Keys of the operator.
    pub keys: Vec<KeyDeclaration>,
    /// What a `command` that comes over the API may begin with; none: there it starts nothing.
    pub programs: Vec<Program>,
}

/// `[server]`: where and to whom the doors are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address of the listener; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The URL that clients use, without a path; metadata and printed snippets come from it.
    pub public_url: Option<url::Url>,
    /// Accepted `Host` names besides loopback, that of `public_url` among them, lower case, without
    /// port.
    pub hosts: Vec<String>,
    /// Accepted `Origin` values besides loopback ones, `scheme://host[:port]`, lower case.
    pub origins: Vec<String>,
    /// Networks whose `X-Forwarded-For` is believed, as (address, prefix length).
    pub trusted_proxies: Vec<(std::net::IpAddr, u8)>,
    /// Certificate and key files, when the listener speaks TLS.
    pub tls: Option<Tls>,
    /// Largest request body in bytes (default 4 MiB).
    pub max_body: usize,
    /// Most connections at a time (default 10,000).
    pub max_connections: usize,
    /// A legacy session without a request for this long is forgotten (default 1 h).
    pub session_idle: Duration,
    /// What certain clients need, the first entry that fits a client decides.
    pub client_quirks: Vec<Arc<ClientQuirks>>,
}

/// One entry of `client_quirks`: how a client that cannot be mended is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientQuirks {
    /// `clientInfo.name`; a `*` at its end stands for any rest.
    pub name: String,
    /// A comment goes out on its streams after this much silence (default 20 s).
    pub keep_alive: Option<Duration>,
    /// False: it is not told that lists have changed.
    pub list_changed: bool,
    /// Largest result in bytes that it is given.
    pub result_cap: Option<usize>,
}

impl ClientQuirks {
    /// True when the entry is about clients of this name.
    #[must_use]
    pub fn fits(&self, client: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => client.starts_with(start),
            None => client == self.name,
        }
    }
}

/// `quirks` of an upstream: how one that cannot be mended is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamQuirks {
    /// True: it wants `Mcp-Session-Id` on each request though it gives none; it gets one of ours.
    pub session_id: bool,
    /// False: it is not believed when it says that its lists have changed.
    pub list_changed: bool,
    /// True: it stops a call that is cancelled, and asks nothing for it any more. The protocol
    /// does not demand it, and an upstream that has read a cancellation may go on with the call.
    pub cancels: bool,
}

impl Default for UpstreamQuirks {
    fn default() -> Self {
        Self { session_id: false, list_changed: true, cancels: false }
    }
}

/// PEM files of the listener's certificate chain and private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file (`sqlite:PATH`), relative to the configuration file's folder.
    pub path: PathBuf,
}

/// `[seal]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// File of 32 random bytes, mode 0600, relative to the configuration file's folder.
    pub key_file: PathBuf,
}

/// `[namespace]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// 1 to 3 characters of `_ - .` between upstream and name (default `__`).
    pub separator: String,
    /// Longest public name in bytes (default 48).
    pub max_name: usize,
}

/// `[upstreams.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the file, which is also its prefix.
    pub name: Name,
    /// How it is reached.
    pub transport: Transport,
    /// `arguments`: values put into calls and hidden from the model, by property name.
    pub arguments: BTreeMap<String, InjectedArgument>,
    /// `arguments = "all"`: each secret of a tenant for this upstream goes into every call of a tool
    /// whose schema has a property of its name, and is hidden there.
    pub all_arguments: bool,
    /// What of it is shown, and as what.
    pub rules: Rules,
    /// `tenants`: only these see it; `None` means all.
    pub tenants: Option<BTreeSet<Name>>,
    /// It came over the API: where its URL leads is judged when it is connected to.
    pub guarded: bool,
    /// `bare = true`: its names and URIs also resolve without prefix at a merged door.
    pub bare: bool,
    /// `oauth`: how a tenant logs in there.
    pub oauth: Option<Arc<OAuth>>,
    /// `quirks`: what it does that the protocol does not say.
    pub quirks: UpstreamQuirks,
    /// `era`: fixed or found by probing (default).
    pub era: EraSetting,
    /// Deadlines and idle time.
    pub timing: Timing,
    /// Every secret slot that the templates name.
    pub slots: BTreeSet<Slot>,
    /// True when any template uses `{tenant}`.
    pub uses_tenant: bool,
    /// True when any template uses `{key}`.
    pub uses_key: bool,
}

impl Upstream {
    /// True when a link that was made for the other entry serves this one as well: what differs,
    /// if anything, is looked at for each call or list.
    #[must_use]
    pub fn same_link(&self, other: &Self) -> bool {
        self.link() == other.link()
    }

    /// True when what was listed for the other entry is what would be listed for this one.
    #[must_use]
    pub fn same_lists(&self, other: &Self) -> bool {
        // A list that was read has no arguments in it that the proxy fills in.
        self.same_link(other)
            && self.arguments == other.arguments
            && self.all_arguments == other.all_arguments
    }

    /// True when the other entry says the same, maybe on other lines of the file.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let plain = |entry: &Self| Self { rules: entry.rules.without_lines(), ..entry.clone() };
        self == other || plain(self) == plain(other)
    }

    /// What a link is made from, secrets aside: whenever it differs, a new link is needed.
    #[must_use]
    pub fn link(&self) -> impl PartialEq + std::fmt::Debug + '_ {
        // Whoever adds a key says here whether its change ends processes.
        let Self {
            name,
            transport,
            arguments: _,
            all_arguments: _,
            // What is shown and what may be called, judged for each view and call.
            rules: _,
            tenants: _,
            guarded,
            bare: _,
            oauth,
            quirks: UpstreamQuirks { session_id, list_changed: _, cancels },
            era,
            timing: Timing { timeout: _, max_time: _, start, idle_stop },
            slots: _,
            uses_tenant: _,
            uses_key: _,
        } = self;
        let login = oauth.is_some();
        (name, transport, guarded, login, session_id, cancels, era, start, idle_stop)
    }
}

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A child process that speaks over its standard input and output.
    Stdio {
        /// Program and arguments, never empty. The program is plain text: a name for `PATH`, or
        /// an absolute path (`mcp-proxy` has become this executable, `./x` starts at the file's
        /// folder). `{tenant}` and `{key}` may stand in the arguments, secrets may not.
        command: Vec<Template>,
        /// Environment on top of the allow-list.
        env: Vec<(String, Template)>,
        /// Working directory.
        cwd: Option<PathBuf>,
        /// Who shares one process.
        share: Share,
        /// What happens to questions that the upstream asks.
        interactive: Interactive,
        /// Limits of each process.
        limits: ProcessLimits,
    },
    /// Streamable HTTP.
    Http {
        /// The endpoint; secrets only in path or query, percent-encoded when rendered.
        url: Template,
        /// Headers sent with each request.
        headers: Vec<(HeaderName, Template)>,
    },
}

/// `share`: who uses one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// One process for the tenant (default).
    Tenant,
    /// One process for each client session (legacy) or principal (modern).
    Session,
    /// One process for everybody; only without credentials and `{tenant}`.
    All,
}

/// `interactive`: questions on a pipe that several callers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interactive {
    /// Delivered when it can only belong to one caller, refused otherwise (default).
    Auto,
    /// One call at a time.
    Exclusive,
    /// Questions are not offered to the upstream.
    Off,
}

/// `era`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraSetting {
    /// Found by probing (default).
    Auto,
    /// 2026-07-28 and later, never probed otherwise.
    Modern,
    /// `initialize`, never probed otherwise.
    Legacy,
}

/// Deadlines of one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Longest silence of a call; progress starts it anew (default 60 s).
    pub timeout: Duration,
    /// Longest call whatever happens (default 5 min).
    pub max_time: Duration,
    /// Longest start, from spawn or connect to a finished handshake (default 60 s).
    pub start: Duration,
    /// A process or session without a call for this long is ended (default 10 min).
    pub idle_stop: Duration,
}

/// Limits of one child process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Address space in bytes (`memory = "2GiB"`); none by default, since runtimes such as Node
    /// reserve far more than they use.
    pub memory: Option<u64>,
    /// Open files (default 1,024).
    pub open_files: Option<u64>,
    /// Processes of the user that runs the proxy; none by default.
    pub processes: Option<u64>,
}

/// One entry of `arguments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectedArgument {
    /// The value.
    pub value: Template,
    /// Only these tools (original names); `None` means each tool whose schema has the property.
    pub tools: Option<BTreeSet<String>>,
}

/// `[tenants.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantDeclaration {
    /// The line of the file where it stands, from 1.
    pub line: usize,
    /// Keys that the operator wrote.
    pub keys: Vec<KeyDeclaration>,
    /// Secrets that the operator wrote, by upstream and slot.
    pub secrets: BTreeMap<(Name, Slot), SecretSource>,
    /// The lines of the file where these stand.
    pub secret_lines: BTreeMap<(Name, Slot), usize>,
}

impl TenantDeclaration {
    /// True when the other entry says the same, maybe on other lines of the file.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        // Without `..`: what is added decides, too.
        let Self { line: _, keys, secrets, secret_lines: _ } = self;
        let same = |(one, two): (&KeyDeclaration, &KeyDeclaration)| one.says_the_same(two);
        keys.len() == other.keys.len()
            && keys.iter().zip(&other.keys).all(same)
            && *secrets == other.secrets
    }
}

/// One entry of `keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDeclaration {
    /// The key's name.
    pub name: String,
    /// Where its text is.
    pub source: SecretSource,
    /// What it may decide.
    pub role: Role,
    /// What it may use.
    pub scopes: Scopes,
    /// The line of the file where it stands, from 1.
    pub line: usize,
}

impl KeyDeclaration {
    /// True when the other one says the same, maybe on another line of the file.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { line: self.line, ..other.clone() }
    }
}

/// Where a secret of the file is found. The file itself never holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, relative to the configuration file's folder.
    File(PathBuf),
}

#[cfg(test)]
impl Upstream {
    /// A streamable HTTP upstream with defaults.
    pub(crate) fn for_test(name: &str) -> Self {
        Self {
            name: Name::new(name).expect("a name"),
            transport: Transport::Http { url: Template::default(), headers: Vec::new() },
            arguments: BTreeMap::new(),
            all_arguments: false,
            rules: Rules::default(),
            bare: false,
            quirks: UpstreamQuirks::default(),
            era: EraSetting::Auto,
            timing: Timing {
                timeout: Duration::from_secs(60),
                max_time: Duration::from_secs(300),
                start: Duration::from_secs(60),
                idle_stop: Duration::from_secs(600),
            },
            slots: BTreeSet::new(),
            uses_tenant: false,
            uses_key: false,
            tenants: None,
            guarded: false,
            oauth: None,
        }
    }
}
