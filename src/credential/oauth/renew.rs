//! Renewing a login: one at a time in this process, one at a time among processes on the same
//! store, and never more than one try a second while the authorization server is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::challenge::Challenge;
use super::client;
use super::discover::{self, discover};
use super::error::OAuthError;
use super::logins::{Logins, Turn};
use super::record::{Known, Record};
use super::target::Target;
use super::token::{Asked, Given, ask};
use crate::base::{Refusal, now, unix_seconds};
use crate::config::Grant;
use crate::credential::Armed;
use crate::telemetry::meters;
use crate::telemetry::metrics::LoginRenewal;

/// Seconds after which another process may take over what one has begun.
const LEASE: u64 = 30;
/// Longest wait for another process.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(50);
/// Between two tries of one login.
const REST: Duration = Duration::from_secs(1);
/// How often more scopes are asked for though all that were wanted are granted.
const DENIALS: u8 = 2;

impl Logins {
    /// Makes sure that the tenant's token is good, as far as that can be done without a person.
    /// What was begun is brought to its end, also when nobody waits for it any more: a refresh
    /// token that was used and whose successor is lost would end the login.
    pub(in crate::credential) async fn renew(&self, armed: &Armed) -> Result<(), OAuthError> {
        let target = Target::of(armed)?;
        let place = self.place(target.tenant.id(), target.name());
        let turn = place.turn.clone().lock_owned().await;
        if place.bearer.is_fresh(unix_seconds()) {
            return Ok(());
        }
        let logins = self.clone();
        let running = self.0.tasks.spawn("login renewal", async move {
            Box::pin(logins.renew_in_turn(&target, turn)).await
        });
        let stopped = |_| OAuthError::Setup("the proxy is being stopped".to_owned());
        running.await.map_err(stopped)?
    }

    async fn renew_in_turn(
        &self,
        target: &Target,
        mut turn: OwnedMutexGuard<Turn>,
    ) -> Result<(), OAuthError> {
        let place = self.place(target.tenant.id(), target.name());
        let recent = turn.failed.as_ref().filter(|(at, _)| now() - *at < REST);
        if let Some((_, error)) = recent {
            return Err(error.clone());
        }
        self.load(target).await?;
        if place.bearer.is_fresh(unix_seconds()) {
            return Ok(());
        }
        if !self.can_try(target) {
            return Err(OAuthError::InvalidGrant);
        }
        if !self.has_lease(target).await? {
            return Ok(());
        }
        // It may have been renewed before the lease was ours.
        let done = match self.load(target).await {
            Ok(()) if place.bearer.is_fresh(unix_seconds()) => Ok(()),
            Ok(()) => self.renew_once(target).await,
            Err(error) => Err(error),
        };
        let (tenant, upstream) = (target.tenant.name(), target.name());
        meters().upstream(upstream).login_renewal(match &done {
            Ok(()) => LoginRenewal::Renewed,
            Err(error) if error.is_passing() => LoginRenewal::Failed,
            Err(_) => LoginRenewal::Ended,
        });
        match done {
            Ok(()) => {
                turn.failed = None;
                self.0.store.end_lease(target.tenant.id(), upstream, self.0.holder).await?;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                // The lease stays for as long as nobody shall try.
                let rest = unix_seconds() + REST.as_secs();
                let (id, holder) = (target.tenant.id(), self.0.holder);
                self.0.store.take_lease(id, upstream, holder, unix_seconds(), rest).await?;
                turn.failed = Some((now(), error.clone()));
                tracing::warn!(%tenant, %upstream, %error, "a login was not renewed");
                let (_, record) = place.known();
                let good = record.filter(|record| record.is_good(unix_seconds()));
                match good.and_then(|record| record.access_token.clone()) {
                    Some(token) if place.bearer.last_refusal().is_none() => {
                        place.bearer.hold(&token, rest);
                        Ok(())
                    }
                    _ => Err(error),
                }
            }
            Err(error) => {
                self.0.store.end_lease(target.tenant.id(), upstream, self.0.holder).await?;
                tracing::info!(%tenant, %upstream, reason = %error, "upstream needs a login");
                Err(error)
            }
        }
    }

    /// Whether anything can be done without a person.
    fn can_try(&self, target: &Target) -> bool {
        let (_, record) = self.place(target.tenant.id(), target.name()).known();
        target.oauth.grant == Grant::ClientCredentials
            || record.is_some_and(|it| it.access_token.is_some() || it.refresh_token.is_some())
    }

    /// True when it is ours to renew; false when somebody else has done it meanwhile.
    async fn has_lease(&self, target: &Target) -> Result<bool, OAuthError> {
        let (tenant, holder) = (target.tenant.id(), self.0.holder);
        let bearer = &target.bearer;
        let until = now() + PATIENCE;
        loop {
            let at = unix_seconds();
            let taken =
                self.0.store.take_lease(tenant, target.name(), holder, at, at + LEASE).await?;
            if taken {
                return Ok(true);
            }
            tokio::time::sleep(GLANCE).await;
            self.load(target).await?;
            if bearer.is_fresh(unix_seconds()) {
                return Ok(false);
            }
            if now() >= until {
                return Err(OAuthError::Status("renewal by another process", 408));
            }
        }
    }

    async fn renew_once(&self, target: &Target) -> Result<(), OAuthError> {
        let (generation, record) = self.place(target.tenant.id(), target.name()).known();
        let refusal = target.bearer.last_refusal();
        if target.oauth.grant == Grant::ClientCredentials {
            return self.credentials(target, record.as_deref(), refusal.as_ref()).await;
        }
        let Some(record) = record else { return Err(OAuthError::InvalidGrant) };
        if let Some(more) = refusal.as_ref().and_then(more_scopes) {
            return self.step_up(target, generation, &record, more).await;
        }
        if refusal.is_some() && self.has_moved(target, &record).await {
            let gone = Record { client: None, ..record.logged_out() };
            self.save(target, gone, Some(generation)).await?;
            return Err(OAuthError::InvalidGrant);
        }
        let known = record.client.as_ref().zip(record.refresh_token.as_ref());
        let known = known.filter(|(client, _)| {
            client.known != Known::File || Some(&client.id) == target.client_id.as_ref()
        });
        let Some((client, refresh)) = known else {
            if record.access_token.is_some() {
                self.save(target, record.logged_out(), Some(generation)).await?;
            }
            return Err(OAuthError::InvalidGrant);
        };
        let at = (record.token_endpoint.as_str(), record.issuer.as_str());
        let resource = record.resource.as_deref();
        let asked = Asked::Refresh(refresh);
        match ask(&self.0.egress, target, at, client, resource, asked).await {
            Ok(given) => {
                let fresh = taken_over(&record, given);
                // Who has logged in anew meanwhile has the better one.
                self.save(target, fresh, Some(generation)).await?;
                let (tenant, upstream) = (target.tenant.name(), target.name());
                tracing::debug!(%tenant, %upstream, "login renewed");
                Ok(())
            }
            Err(error @ (OAuthError::InvalidGrant | OAuthError::InvalidClient)) => {
                let mut gone = record.logged_out();
                if matches!(error, OAuthError::InvalidClient) {
                    // A registration that was forgotten there is made anew by the next login.
                    gone.client = gone.client.filter(|client| client.known != Known::Registered);
                }
                self.save(target, gone, Some(generation)).await?;
                Err(OAuthError::InvalidGrant)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the upstream names another authorization server by now. Nothing that one has given
    /// goes to the other.
    async fn has_moved(&self, target: &Target, record: &Record) -> bool {
        let named = discover::issuer(&self.0.egress, target).await;
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        matches!(named, Ok(Some(named)) if bare(&named) != bare(&record.issuer))
    }

    /// The upstream wants more than was granted: a person has to agree.
    async fn step_up(
        &self,
        target: &Target,
        generation: u64,
        record: &Arc<Record>,
        more: Vec<String>,
    ) -> Result<(), OAuthError> {
        let granted = more.iter().all(|scope| record.scopes.contains(scope));
        if granted && record.denied >= DENIALS {
            return Err(OAuthError::Setup(
                "it refuses although all that it asks for was granted; ask who runs it".to_owned(),
            ));
        }
        let mut next = Record::clone(record);
        next.wanted = union(&next.wanted, &more);
        next.denied = if granted { next.denied + 1 } else { next.denied };
        self.save(target, next, Some(generation)).await?;
        Err(OAuthError::InvalidGrant)
    }

    async fn credentials(
        &self,
        target: &Target,
        before: Option<&Record>,
        refusal: Option<&Refusal>,
    ) -> Result<(), OAuthError> {
        let found = discover(&self.0.egress, target).await?;
        let server = &found.server;
        let who = client::of_file(target, server, "").ok_or(OAuthError::NoClient)?;
        self.bound(target, before, &server.issuer)?;
        let mut scopes = chosen(target, &found);
        let more = refusal.and_then(more_scopes);
        if let Some(more) = &more {
            scopes = union(
                &union(&scopes, &before.map(|it| it.wanted.clone()).unwrap_or_default()),
                more,
            );
        }
        let denied = before.map_or(0, |it| it.denied);
        if more.is_some() && denied >= DENIALS {
            return Err(OAuthError::Refused("access_denied"));
        }
        let endpoint = server.token.to_string();
        let at = (endpoint.as_str(), server.issuer.as_str());
        let resource = found.resource.as_deref();
        let asked = Asked::Client(&scopes);
        let given = ask(&self.0.egress, target, at, &who, resource, asked).await?;
        let record = Record {
            issuer: server.issuer.clone(),
            token_endpoint: endpoint.clone(),
            revocation_endpoint: server.revoke.as_ref().map(ToString::to_string),
            resource: found.resource.clone(),
            client: Some(who),
            access_token: None,
            refresh_token: None,
            scopes: scopes.clone(),
            obtained_at: unix_seconds(),
            expires_at: None,
            wanted: more.unwrap_or_default(),
            denied: if refusal.and_then(more_scopes).is_some() { denied + 1 } else { 0 },
        };
        let record = Record { refresh_token: None, ..taken_over(&record, given) };
        self.save(target, record, None).await?;
        Ok(())
    }

    /// A client of the file belongs to the authorization server that it was first used at, or to
    /// the one that the file names.
    pub(super) fn bound(
        &self,
        target: &Target,
        before: Option<&Record>,
        issuer: &str,
    ) -> Result<(), OAuthError> {
        let keyed = target.client_secret.is_some() || target.private_key.is_some();
        let other = before
            .filter(|record| record.client.as_ref().is_some_and(|it| it.known == Known::File))
            .is_some_and(|record| record.issuer != issuer);
        if keyed && other && target.oauth.issuer.is_none() {
            return Err(OAuthError::Setup(
                "it names another authorization server than before, and the client of the file is \
                 not shown to that one; if that is right, write `issuer` into oauth = { … }"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// What is asked for: as the file says, as the upstream has just said, or as it describes itself.
pub(super) fn chosen(target: &Target, found: &discover::Found) -> Vec<String> {
    if !target.oauth.scopes.is_empty() {
        return target.oauth.scopes.clone();
    }
    let said = found.challenge.scopes();
    if said.is_empty() { found.scopes.clone().unwrap_or_default() } else { said }
}

pub(super) fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut all = one.to_vec();
    all.extend(other.iter().filter(|scope| !one.contains(scope)).cloned());
    all
}

/// The scopes that a refusal asks for (RFC 6750, section 3.1).
fn more_scopes(refusal: &Refusal) -> Option<Vec<String>> {
    let found = Challenge::read(refusal.challenges.iter().map(String::as_str))?;
    let wanted = found.error.as_deref() == Some("insufficient_scope");
    (refusal.status == 403 && wanted).then(|| found.scopes())
}

/// The login with what was given; what was not given again stays.
pub(super) fn taken_over(record: &Record, given: Given) -> Record {
    let now = unix_seconds();
    Record {
        access_token: Some(given.access),
        refresh_token: given.refresh.or_else(|| record.refresh_token.clone()),
        scopes: given.scopes.unwrap_or_else(|| record.scopes.clone()),
        obtained_at: now,
        expires_at: given.lifetime.map(|life| now.saturating_add(life)),
        ..record.clone()
    }
}
