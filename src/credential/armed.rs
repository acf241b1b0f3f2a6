//! An upstream with one tenant's credentials in place: evidence that arming succeeded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri};

use super::error::CredentialError;
use super::redact::{redact, redact_cut};
use super::render::{Values, has_key};
use crate::auth::TenantInfo;
use crate::base::{Bearer, KeyId, Secret, Slot, unix_seconds};
use crate::config::{Grant, Template, Transport, Upstream};
use crate::seal::Ring;

/// An upstream, ready to be used for one tenant. Only this module's parent builds one.
pub struct Armed {
    tenant: Arc<TenantInfo>,
    upstream: Arc<Upstream>,
    secrets: BTreeMap<Slot, Secret>,
    /// What links send, where the tenant logs in.
    bearer: Option<Arc<Bearer>>,
    /// The token as it was then, where it stands in a value.
    token: Option<Secret>,
    revision: u64,
    headers: HeaderMap,
    url: Option<Uri>,
    env: Vec<(String, Secret)>,
    arguments: Vec<(String, Secret)>,
}

impl Armed {
    pub(super) fn new(
        tenant: &Arc<TenantInfo>,
        upstream: &Arc<Upstream>,
        secrets: BTreeMap<Slot, Secret>,
        bearer: Option<Arc<Bearer>>,
        ring: &Ring,
    ) -> Result<Self, CredentialError> {
        let wants = templates(upstream).any(Template::has_token);
        let token = bearer.as_ref().filter(|_| wants).and_then(|bearer| bearer.token());
        let mut parts = secrets.clone();
        if in_env(upstream).any(Template::has_token)
            && let Some(token) = &token
        {
            // A process that was started with another token is another process.
            parts.insert(super::oauth::login_slot(), token.clone());
        }
        let mut armed = Self {
            tenant: tenant.clone(),
            upstream: upstream.clone(),
            revision: revision(tenant, upstream, &parts, bearer.is_some(), ring),
            secrets,
            bearer,
            token,
            headers: HeaderMap::new(),
            url: None,
            env: Vec::new(),
            arguments: Vec::new(),
        };
        armed.env = armed.rendered_env(None);
        armed.arguments = armed.rendered_arguments(None);
        if let Transport::Http { url, headers } = &upstream.transport {
            let values = armed.values(None);
            let mut rendered = HeaderMap::with_capacity(headers.len());
            for (name, template) in headers {
                let value = values.plain(template);
                let mut value =
                    HeaderValue::from_bytes(value.expose().as_bytes()).map_err(|_| {
                        let problem = "has a character that no header may have";
                        armed.refused(format!("the header `{name}`"), problem)
                    })?;
                value.set_sensitive(template.has_secret());
                rendered.append(name, value);
            }
            let url = Uri::try_from(values.url(url).expose())
                .map_err(|_| armed.refused("the URL".to_owned(), "is not valid once filled in"))?;
            (armed.headers, armed.url) = (rendered, Some(url));
        }
        Ok(armed)
    }

    fn refused(&self, place: String, problem: &'static str) -> CredentialError {
        let (tenant, upstream) = (self.tenant.name().clone(), self.upstream.name.clone());
        CredentialError::Value { tenant, upstream, place, problem }
    }

    fn values(&self, key: Option<KeyId>) -> Values<'_> {
        let token = self.token.as_ref();
        Values { tenant: self.tenant.name(), key, secrets: &self.secrets, token }
    }

    /// Whose credentials these are.
    #[must_use]
    pub fn tenant(&self) -> &Arc<TenantInfo> {
        &self.tenant
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Differs whenever a credential, or what the file says of the upstream's links, differs; is
    /// the same otherwise, also after a restart. Never 0.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The token that is sent with each request, where the tenant logs in.
    #[must_use]
    pub fn bearer(&self) -> Option<&Arc<Bearer>> {
        self.bearer.as_ref()
    }

    /// Whether nothing has to be renewed before it is used. True at once where nobody logs in.
    pub(super) fn is_ready(&self) -> bool {
        self.bearer
            .as_ref()
            .is_none_or(|bearer| bearer.is_fresh(unix_seconds()) && self.has_its_token())
    }

    /// Whether the token in its values is the one that is sent now.
    pub(super) fn has_its_token(&self) -> bool {
        match (&self.token, &self.bearer) {
            (Some(own), Some(bearer)) => {
                bearer.token().is_some_and(|now| now.expose() == own.expose())
            }
            (None, Some(bearer)) => {
                !templates(&self.upstream).any(Template::has_token) || bearer.token().is_none()
            }
            _ => true,
        }
    }

    /// Whether it takes a person to log in.
    pub(super) fn asks_a_person(&self) -> bool {
        let oauth = self.upstream.oauth.as_ref();
        oauth.is_some_and(|oauth| oauth.grant == Grant::AuthorizationCode)
    }

    /// One value of the entry, filled in.
    pub(super) fn rendered_one(&self, template: &Template) -> Secret {
        self.values(None).plain(template)
    }

    /// The headers for each request (HTTP); those with secrets are marked sensitive.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The endpoint (HTTP), secrets percent-encoded. It may hold secrets: never print it, print
    /// the template.
    #[must_use]
    pub fn url(&self) -> Option<&Uri> {
        self.url.as_ref()
    }

    /// The child's own environment (stdio), on top of the allow-list. `key` is the caller's, for
    /// `share = "session"`.
    #[must_use]
    pub fn env(&self, key: Option<KeyId>) -> Cow<'_, [(String, Secret)]> {
        match key {
            Some(_) if self.upstream.uses_key => Cow::Owned(self.rendered_env(key)),
            _ => Cow::Borrowed(&self.env),
        }
    }

    /// Program and arguments (stdio); empty for HTTP. Never holds a secret.
    #[must_use]
    pub fn command(&self, key: Option<KeyId>) -> Vec<String> {
        let Transport::Stdio { command, .. } = &self.upstream.transport else { return Vec::new() };
        let values = self.values(key);
        command.iter().map(|part| values.plain(part).expose().to_owned()).collect()
    }

    /// Every slot that has a value.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.secrets.keys()
    }

    /// The values put into calls, by property. Which tools take them is in
    /// [`Upstream::arguments`]; with [`Upstream::all_arguments`] each whose schema has it.
    #[must_use]
    pub fn arguments(&self, key: Option<KeyId>) -> Cow<'_, [(String, Secret)]> {
        let with_key = self.upstream.arguments.values().any(|entry| has_key(&entry.value));
        match key {
            Some(_) if with_key => Cow::Owned(self.rendered_arguments(key)),
            _ => Cow::Borrowed(&self.arguments),
        }
    }

    /// Masks every credential in a text that the upstream wrote: plain, base64, percent-encoded,
    /// hex or JSON-escaped. Costs a search per form, so it belongs to errors and log lines.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.bearer {
            None => redact(text, self.secrets.values()),
            Some(bearer) => {
                let tokens = bearer.secrets();
                redact(text, self.secrets.values().chain(&self.token).chain(&tokens))
            }
        }
    }

    /// The same for a text that was cut at its end, where the beginning of a credential goes, too.
    #[must_use]
    pub fn redact_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.bearer {
            None => redact_cut(text, self.secrets.values()),
            Some(bearer) => {
                let tokens = bearer.secrets();
                redact_cut(text, self.secrets.values().chain(&self.token).chain(&tokens))
            }
        }
    }

    fn rendered_env(&self, key: Option<KeyId>) -> Vec<(String, Secret)> {
        match &self.upstream.transport {
            Transport::Stdio { env, .. } => {
                self.rendered(env.iter().map(|(name, value)| (name, value)), key)
            }
            Transport::Http { .. } => Vec::new(),
        }
    }

    fn rendered_arguments(&self, key: Option<KeyId>) -> Vec<(String, Secret)> {
        if self.upstream.all_arguments {
            let own = |(slot, value): (&Slot, &Secret)| (slot.as_str().to_owned(), value.clone());
            return self.secrets.iter().map(own).collect();
        }
        self.rendered(self.upstream.arguments.iter().map(|(name, entry)| (name, &entry.value)), key)
    }

    fn rendered<'a>(
        &self,
        entries: impl Iterator<Item = (&'a String, &'a Template)>,
        key: Option<KeyId>,
    ) -> Vec<(String, Secret)> {
        let values = self.values(key);
        entries.map(|(name, template)| (name.clone(), values.plain(template))).collect()
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed")
            .field("tenant", self.tenant.name())
            .field("upstream", &self.upstream.name)
            .field("revision", &format_args!("{:016x}", self.revision))
            .finish_non_exhaustive()
    }
}

/// The values of a process's environment.
fn in_env(upstream: &Upstream) -> impl Iterator<Item = &Template> {
    let env = match &upstream.transport {
        Transport::Stdio { env, .. } => env.as_slice(),
        Transport::Http { .. } => &[],
    };
    env.iter().map(|(_, template)| template)
}

/// Every value in which a token may stand.
fn templates(upstream: &Upstream) -> impl Iterator<Item = &Template> {
    in_env(upstream).chain(upstream.arguments.values().map(|entry| &entry.value))
}

/// A keyed digest of everything that decides what is sent, so that it tells nothing about it.
fn revision(
    tenant: &TenantInfo,
    upstream: &Upstream,
    secrets: &BTreeMap<Slot, Secret>,
    login: bool,
    ring: &Ring,
) -> u64 {
    // The compiled entry holds references, not values.
    let entry = format!("{:?}", upstream.link());
    let id = tenant.id();
    // Without credentials a link may be everybody's.
    let mut parts: Vec<&[u8]> = match secrets.is_empty() && !login {
        true => vec![entry.as_bytes()],
        false => vec![id.as_bytes(), entry.as_bytes()],
    };
    for (slot, value) in secrets {
        parts.extend([slot.as_str().as_bytes(), value.expose().as_bytes()]);
    }
    let digest = ring.digest("credential revision", &parts);
    let (first, _) = digest.split_first_chunk::<8>().expect("a digest has 32 bytes");
    u64::from_le_bytes(*first).max(1)
}
