//! Logging tenants in and out of upstreams, for pages and routes, and what a call does that needs
//! a login first.

use std::sync::Arc;

use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Kind, Name, Secret};
use crate::config::{ToolLogin, Upstream};
use crate::credential::{Armed, Begun, Browser, Callback, LoginState, OAuthError, Pushed};
use crate::policy::own_work;
use crate::upstream::Message;
use crate::wire::json::quote;
use crate::wire::{Field, InboundKind, NameKind, Posted, Route, methods};

/// The name of our own question: an upstream's keys pass under a state of ours, this one does not.
pub(crate) const LOGIN_KEY: &str = "mcp-proxy-login";

impl Line {
    /// An upstream with a login that is there for this caller.
    fn with_login(&self, principal: &Principal, name: &Name) -> Result<Arc<Upstream>, OAuthError> {
        let entry = self.seen(principal.tenant(), name.as_str());
        entry.filter(|entry| entry.oauth.is_some()).ok_or(OAuthError::NoLogin)
    }

    async fn armed_for_login(
        &self,
        principal: &Principal,
        name: &Name,
    ) -> Result<Arc<Armed>, OAuthError> {
        let upstream = self.with_login(principal, name)?;
        let armed = self.credentials.arm_to_log_in(principal, own_work(&upstream)).await;
        armed.map_err(|error| OAuthError::Setup(error.to_string()))
    }

    /// Upstreams with a login, and how the caller's tenant stands there.
    pub async fn logins(&self, principal: &Principal) -> Vec<(Name, LoginState)> {
        let config = self.config().clone();
        let mut all = Vec::new();
        for name in config.upstreams.keys() {
            if let Some(state) = self.login_state(principal, name).await {
                all.push((name.clone(), state));
            }
        }
        all
    }

    /// How the caller's tenant stands at one of them; `None` where nobody logs in.
    pub async fn login_state(&self, principal: &Principal, name: &Name) -> Option<LoginState> {
        self.with_login(principal, name).ok()?;
        let armed = self.armed_for_login(principal, name).await;
        let logins = self.credentials.logins();
        match armed {
            Ok(armed) => Some(logins.state(&armed)),
            Err(_) => Some(LoginState {
                state: "needs-setup",
                issuer: None,
                scopes: Vec::new(),
                expires_at: None,
                renews: false,
            }),
        }
    }

    /// What authorization servers may read about us; `None` without `public_url`.
    #[must_use]
    pub fn about_us(&self) -> Option<serde_json::Value> {
        self.credentials.logins().about_us()
    }

    /// Whether this very caller was sent to a page by a call of his; see
    /// [`crate::credential::Credentials::was_sent`].
    #[must_use]
    pub fn was_sent(&self, principal: &Principal, upstream: &Name, asked: &str) -> bool {
        self.credentials.was_sent(principal, upstream, asked)
    }

    /// Begins a login in a browser.
    ///
    /// # Errors
    /// When there is no such upstream, or its authorization server cannot be found or used.
    pub async fn begin_login(
        self: &Arc<Self>,
        principal: &Principal,
        name: &Name,
        browser: Browser<'_>,
    ) -> Result<Begun, OAuthError> {
        let armed = self.armed_for_login(principal, name).await?;
        let (logins, holder) = (self.credentials.logins(), principal.holder());
        let Some(tools) = tools(&armed) else {
            return logins.begin(&armed, holder, browser).await;
        };
        let said = Box::pin(self.login_tool(principal, &armed, &tools.start, "{}")).await?;
        logins.begin_by_tools(&armed, holder, browser, &said).await
    }

    /// Calls a tool that the upstream has for a login; gives what it says.
    async fn login_tool(
        self: &Arc<Self>,
        principal: &Principal,
        armed: &Arc<Armed>,
        tool: &str,
        arguments: &str,
    ) -> Result<Secret, OAuthError> {
        let upstream = armed.upstream();
        let lost = |fault: Fault| {
            let (tenant, upstream) = (armed.tenant().name(), &upstream.name);
            tracing::warn!(%tenant, %upstream, tool, reason = %fault.public, "a tool for a login failed");
            OAuthError::Setup("the program that knows how to log in does not answer".to_owned())
        };
        let lease = self.login_link(principal, armed).await.map_err(lost)?;
        let method = methods().iter().find(|one| one.route == Route::Name(NameKind::Tool));
        let method = method.ok_or(OAuthError::NoLogin)?;
        let members = format!("\"name\":{},\"arguments\":{arguments}", quote(tool));
        let message = self.ask(&lease, upstream, method, &members).await.map_err(lost)?;
        said(&message).ok_or_else(|| {
            OAuthError::Setup(format!(
                "its tool `{tool}` has failed; the program's log may say why"
            ))
        })
    }

    /// Ends a login that was begun in this browser by this caller; gives where.
    ///
    /// # Errors
    /// When it was not, or the authorization server says no.
    pub async fn finish_login(
        self: &Arc<Self>,
        principal: &Principal,
        callback: &Callback,
        browser: Browser<'_>,
    ) -> Result<Name, OAuthError> {
        let logins = self.credentials.logins();
        let who = (principal.tenant().id(), principal.holder());
        let finished = logins.take(callback, who, browser).await?;
        let name = finished.upstream.clone();
        let armed = self.armed_for_login(principal, &name).await?;
        match tools(&armed) {
            None => logins.finish(&armed, finished, callback).await?,
            Some(tools) => {
                let code = logins.exchange(&finished, callback)?;
                let given = self.login_tool(principal, &armed, &tools.finish, &code);
                logins.finish_by_tools(&armed, finished, &Box::pin(given).await?).await?;
            }
        }
        self.login_changed(principal, &name);
        Ok(name)
    }

    /// Keeps tokens that somebody brings.
    ///
    /// # Errors
    /// When there is no such upstream, or the tokens cannot be kept.
    pub async fn push_login(
        self: &Arc<Self>,
        principal: &Principal,
        name: &Name,
        pushed: Pushed,
    ) -> Result<(), OAuthError> {
        let armed = self.armed_for_login(principal, name).await?;
        self.credentials.logins().push(&armed, pushed).await?;
        self.login_changed(principal, name);
        Ok(())
    }

    /// Logs the caller's tenant out; false when it was not logged in.
    ///
    /// # Errors
    /// When there is no such upstream, or the store fails.
    pub async fn log_out(
        self: &Arc<Self>,
        principal: &Principal,
        name: &Name,
    ) -> Result<bool, OAuthError> {
        let armed = self.armed_for_login(principal, name).await?;
        let done = self.credentials.logins().log_out(&armed).await?;
        self.login_changed(principal, name);
        Ok(done)
    }

    /// What it lists is read again, so that clients with an open stream hear of it.
    fn login_changed(self: &Arc<Self>, principal: &Principal, name: &Name) {
        self.secrets_changed(principal.tenant().id(), name);
    }
}

/// The tools by which somebody logs in at an upstream that has its own.
fn tools(armed: &Armed) -> Option<&ToolLogin> {
    armed.upstream().oauth.as_ref()?.tools.as_ref()
}

/// The text of what a tool has answered; `None` when it has failed.
fn said(message: &Message) -> Option<Secret> {
    let payload = message.inbound.payload.clone()?;
    let result: serde_json::Value = serde_json::from_str(&message.text()[payload]).ok()?;
    if message.inbound.kind != InboundKind::Result || result["isError"] == true {
        return None;
    }
    let content = result["content"].as_array()?;
    let text: String = content.iter().filter_map(|part| part["text"].as_str()).collect();
    match (text.is_empty(), result.get("structuredContent")) {
        (true, Some(given)) => Some(Secret::new(given.to_string())),
        _ => Some(Secret::new(text)),
    }
}

/// A fault for somebody who can be shown a page, where it is a login that is needed.
pub(super) fn shown(mut fault: Fault, can: bool) -> Fault {
    if let Kind::NeedsLogin { asked, .. } = &mut fault.kind {
        *asked = can;
    }
    fault
}

/// Whether the client has asked its user to log in already: `Some(false)` when the user did not
/// want to.
pub(super) fn was_asked(posted: &Posted) -> Option<bool> {
    let text = posted.raw(Field::InputResponses)?;
    let answers: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(answers.get(LOGIN_KEY)?["action"] == "accept")
}
