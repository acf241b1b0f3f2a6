//! Arming: opened credentials are kept per tenant and upstream, read again after a change, and
//! forgotten when nobody uses them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;

use super::armed::Armed;
use super::declared::DeclaredSecrets;
use super::error::CredentialError;
use super::oauth::{Logins, OAuthError, login_slot};
use super::vault::Vault;
use crate::auth::{Principal, TenantInfo};
use crate::base::Map;
use crate::base::{Name, Secret, Slot, Tasks, TenantId, unix_seconds};
use crate::config::Upstream;
use crate::policy::Permit;
use crate::seal::{Ring, SealError};
use crate::store::{self, Secrets, StoreError};

/// Most (tenant, upstream) pairs kept open.
const KEPT: usize = 20_000;
/// Seconds without a use after which opened credentials are forgotten.
const IDLE: u64 = 600;
const SWEEP: Duration = Duration::from_secs(60);
/// The longest that a call waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds for which known credentials serve on before a failing store is asked again.
const RETRY: u64 = 1;
/// The longest that a call waits for a login to be renewed.
const RENEWAL: Duration = Duration::from_secs(25);
/// Seconds for which the page that a call has led to knows who was sent there.
const ASKED: u64 = 3_600;
/// Reads of different upstreams that run side by side; of the same one only one runs.
const LANES: usize = 64;

type Place = (TenantId, Name);

struct Entry {
    upstream: Arc<Upstream>,
    verdict: Result<Arc<Armed>, CredentialError>,
    /// The highest generation seen of each slot: an older one is a roll-back, even one that put
    /// the counter back too.
    seen: BTreeMap<Slot, u64>,
    /// The change of the store or the file that this was read after.
    epoch: u64,
    used_at: AtomicU64,
    /// Until then a failing store is not asked again.
    retry_at: AtomicU64,
}

/// Arms upstreams for tenants. Clones share everything.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    vault: Vault,
    ring: Arc<Ring>,
    declared: ArcSwap<DeclaredSecrets>,
    logins: Logins,
    /// How often the file's values were put in place, or a login was written.
    declarations: Arc<AtomicU64>,
    changed: watch::Receiver<u64>,
    kept: RwLock<Map<Place, Arc<Entry>>>,
    lanes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Credentials {
    /// `changed` is [`crate::auth::Auth::changed`]: it moves when the store was written. `tasks` own
    /// renewals of logins.
    #[must_use]
    pub fn new(
        (secrets, logins): (Arc<dyn Secrets>, Arc<dyn store::Logins>),
        ring: Arc<Ring>,
        declared: DeclaredSecrets,
        changed: watch::Receiver<u64>,
        tasks: &Tasks,
    ) -> Self {
        let declarations = Arc::new(AtomicU64::new(0));
        let vault = Vault::new(secrets, ring.clone());
        let logins = Logins::new(vault.clone(), logins, &ring, tasks, declarations.clone());
        Self(Arc::new(Inner {
            vault,
            ring,
            logins,
            declared: ArcSwap::from_pointee(declared),
            declarations,
            changed,
            kept: RwLock::default(),
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }))
    }

    /// Puts other values of the file in place; the next call reads anew. Gives for which tenants
    /// and upstreams they are others.
    pub fn declare(&self, declared: DeclaredSecrets) -> Vec<(Name, Name)> {
        let declared = Arc::new(declared);
        let old = self.0.declared.swap(declared.clone());
        self.0.declarations.fetch_add(1, Ordering::Release);
        declared.changed(&old)
    }

    /// Moves with every change of the store or the file: what could not be armed is worth another
    /// look.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch()
    }

    /// What is armed already and still holds, without waiting.
    #[must_use]
    pub fn armed_cached(&self, tenant: TenantId, permit: Permit<'_>) -> Option<Arc<Armed>> {
        let upstream = permit.upstream();
        let armed = self.0.kept(&(tenant, upstream.name.clone()), upstream)?.ok()?;
        armed.is_ready().then_some(armed)
    }

    /// The logins at upstreams.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.0.logins
    }

    /// What was armed last, also when the store was written since: the link that was made with it
    /// is there until other credentials are armed.
    #[must_use]
    pub fn armed_last(&self, tenant: TenantId, permit: Permit<'_>) -> Option<Arc<Armed>> {
        self.0.entry(&(tenant, permit.upstream().name.clone()))?.verdict.clone().ok()
    }

    /// Arms a permitted upstream with the caller's tenant's own credentials. Waits at most a few
    /// seconds.
    ///
    /// # Errors
    /// When a secret is missing, does not open, or cannot stand where the file puts it; other
    /// upstreams and tenants are not touched by it.
    pub async fn arm(
        &self,
        principal: &Principal,
        permit: Permit<'_>,
    ) -> Result<Arc<Armed>, CredentialError> {
        let armed = self.arm_to_log_in(principal, permit).await?;
        if armed.is_ready() {
            return Ok(armed);
        }
        let renewed = tokio::time::timeout(RENEWAL, Box::pin(self.0.logins.renew(&armed))).await;
        let slow = OAuthError::Status("renewal", 408);
        renewed
            .unwrap_or(Err(slow))
            .map_err(|error| self.0.not_logged_in(principal, &armed, &error))?;
        if armed.has_its_token() {
            return Ok(armed);
        }
        self.arm_to_log_in(principal, permit).await
    }

    /// The same whether the tenant is logged in or not: for whoever logs it in or out.
    ///
    /// # Errors
    /// As [`Credentials::arm`], but for those of a login.
    pub async fn arm_to_log_in(
        &self,
        principal: &Principal,
        permit: Permit<'_>,
    ) -> Result<Arc<Armed>, CredentialError> {
        self.arm_for(principal.tenant(), permit).await
    }

    /// Renews a tenant's login whose token is used up, where that needs nobody. False when there
    /// was nothing to do.
    ///
    /// # Errors
    /// When the tenant's credentials cannot be read, or the login is not renewed.
    pub async fn renew_unused(
        &self,
        tenant: &Arc<TenantInfo>,
        permit: Permit<'_>,
    ) -> Result<bool, OAuthError> {
        let armed = self.arm_for(tenant, permit).await;
        let armed = armed.map_err(|error| OAuthError::Setup(error.to_string()))?;
        if !armed.asks_a_person() || !self.0.logins.is_due(&armed) {
            return Ok(false);
        }
        Box::pin(self.0.logins.renew(&armed)).await.map(|()| true)
    }

    async fn arm_for(
        &self,
        tenant: &Arc<TenantInfo>,
        permit: Permit<'_>,
    ) -> Result<Arc<Armed>, CredentialError> {
        let upstream = permit.upstream();
        let place = (tenant.id(), upstream.name.clone());
        if let Some(verdict) = self.0.kept(&place, upstream) {
            return verdict;
        }
        let reading = tokio::time::timeout(PATIENCE, self.0.read(&place, tenant, upstream)).await;
        reading.unwrap_or_else(|_| self.0.unavailable(&place, upstream, &StoreError::Busy))
    }

    /// Whether a page of ours was opened by whom a call has sent there: `asked` is what the link
    /// carries. An old link says nothing about it.
    #[must_use]
    pub fn was_sent(&self, principal: &Principal, upstream: &Name, asked: &str) -> bool {
        let about = upstream.as_str().as_bytes();
        let Ok(text) = self.0.ring.open_handle("login ask", about, asked) else { return false };
        let Some((until, who)) = text.split_first_chunk::<8>() else { return false };
        unix_seconds() < u64::from_le_bytes(*until) && who == asker(principal)
    }

    /// Starts the task that forgets what nobody uses; it ends with `tasks`.
    pub fn tend(&self, tasks: &Tasks) {
        let (credentials, stop) = (self.clone(), tasks.stop().clone());
        tasks.spawn("credential sweep", async move {
            let mut ticks = tokio::time::interval(SWEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => credentials.0.forget_idle(unix_seconds()),
                }
            }
        });
    }
}

impl Inner {
    /// See [`Credentials::epoch`]: both parts only grow.
    fn epoch(&self) -> u64 {
        self.changed.borrow().wrapping_add(self.declarations.load(Ordering::Acquire))
    }

    fn entry(&self, place: &Place) -> Option<Arc<Entry>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// The verdict that holds now, if one does.
    fn kept(
        &self,
        place: &Place,
        upstream: &Arc<Upstream>,
    ) -> Option<Result<Arc<Armed>, CredentialError>> {
        let entry = self.entry(place)?;
        let now = unix_seconds();
        let current = entry.epoch == self.epoch() || entry.retry_at.load(Ordering::Relaxed) > now;
        if !current || !Arc::ptr_eq(&entry.upstream, upstream) {
            return None;
        }
        if entry.used_at.load(Ordering::Relaxed) < now {
            entry.used_at.store(now, Ordering::Relaxed);
        }
        Some(entry.verdict.clone())
    }

    async fn read(
        &self,
        place: &Place,
        tenant: &Arc<TenantInfo>,
        upstream: &Arc<Upstream>,
    ) -> Result<Arc<Armed>, CredentialError> {
        let lane = usize::try_from(self.hasher.hash_one(place)).unwrap_or_default() % LANES;
        let _turn = self.lanes[lane].lock().await;
        if let Some(verdict) = self.kept(place, upstream) {
            return verdict;
        }
        // Before the read: what is written during it makes the next call read again.
        let epoch = self.epoch();
        let before = self.entry(place);
        let mut seen = before.as_ref().map(|entry| entry.seen.clone()).unwrap_or_default();
        let verdict = match self.secrets(tenant, upstream, &mut seen).await {
            Ok(Ok(secrets)) => {
                let login = upstream.oauth.is_some();
                let bearer = login.then(|| self.logins.bearer(place.0, &place.1));
                Armed::new(tenant, upstream, secrets, bearer, &self.ring).map(Arc::new)
            }
            Ok(Err(error)) => Err(error),
            Err(error) => return self.unavailable(place, upstream, &error),
        };
        let verdict =
            match (before.map(|entry| (entry.upstream.clone(), entry.verdict.clone())), verdict) {
                // The same credentials for the same entry: whoever holds them holds the current ones.
                (Some((same, Ok(old))), Ok(new))
                    if Arc::ptr_eq(&same, upstream)
                        && old.revision() == new.revision()
                        && old.has_its_token() =>
                {
                    Ok(old)
                }
                (_, new) => new,
            };
        if let Err(error) = &verdict {
            log(tenant, upstream, error);
        }
        self.keep(
            place.clone(),
            Entry {
                upstream: upstream.clone(),
                verdict: verdict.clone(),
                seen,
                epoch,
                used_at: AtomicU64::new(unix_seconds()),
                retry_at: AtomicU64::new(0),
            },
        );
        verdict
    }

    /// Every slot of an upstream: the file's value first, the store's otherwise. Where all secrets
    /// are put into calls, whatever else there is, too.
    async fn secrets(
        &self,
        tenant: &Arc<TenantInfo>,
        upstream: &Arc<Upstream>,
        seen: &mut BTreeMap<Slot, u64>,
    ) -> Result<Result<BTreeMap<Slot, Secret>, CredentialError>, StoreError> {
        let names = || (tenant.name().clone(), upstream.name.clone());
        let (mut values, mut wanted) = (BTreeMap::new(), Vec::new());
        let declared = self.declared.load_full();
        let (all, mut slots) = (upstream.all_arguments, Cow::Borrowed(&upstream.slots));
        if all {
            slots.to_mut().extend(declared.slots(tenant.name(), &upstream.name).cloned());
        }
        for slot in &*slots {
            match declared.get(tenant.name(), &upstream.name, slot) {
                None => wanted.push(slot),
                Some(Ok(value)) => drop(values.insert(slot.clone(), value.clone())),
                Some(Err(reason)) => {
                    let ((tenant, upstream), slot) = (names(), slot.clone());
                    let reason = reason.clone();
                    return Ok(Err(CredentialError::Unreadable { tenant, upstream, slot, reason }));
                }
            }
        }
        let mut opened = BTreeMap::new();
        let (login, slot) = (upstream.oauth.is_some(), login_slot());
        if all || !wanted.is_empty() || login {
            let mut asked = wanted.clone();
            asked.extend(login.then_some(&slot));
            let asked = (!all).then_some(&*asked);
            opened = self.vault.open(tenant.id(), &upstream.name, asked).await?;
        }
        // It goes into no value by itself.
        let found = opened.remove(&slot).map(|found| (found.generation, found.value));
        if login {
            self.logins.adopt(tenant.id(), &upstream.name, found);
        }
        let others: Vec<Slot> =
            opened.keys().filter(|slot| !slots.contains(*slot)).cloned().collect();
        wanted.extend(&others);
        let mut missing = Vec::new();
        for slot in wanted {
            let Some(found) = opened.remove(slot) else {
                missing.push(slot.clone());
                continue;
            };
            let highest = seen.entry(slot.clone()).or_default();
            let fresh = if found.generation < *highest { Err(SealError::Broken) } else { Ok(()) };
            match fresh.and(found.value) {
                Ok(value) => {
                    *highest = found.generation;
                    values.insert(slot.clone(), value);
                }
                Err(reason) => {
                    let ((tenant, upstream), slot) = (names(), slot.clone());
                    return Ok(Err(CredentialError::Sealed { tenant, upstream, slot, reason }));
                }
            }
        }
        if missing.is_empty() {
            return Ok(Ok(values));
        }
        let (tenant, upstream) = names();
        Ok(Err(CredentialError::Missing { tenant, upstream, slots: missing }))
    }

    /// What a caller is told who waits for a login.
    fn not_logged_in(
        &self,
        principal: &Principal,
        armed: &Armed,
        error: &OAuthError,
    ) -> CredentialError {
        let (tenant, upstream) = (armed.tenant().name().clone(), armed.upstream().name.clone());
        let reason = error.to_string();
        match error {
            OAuthError::InvalidGrant if armed.asks_a_person() => {
                let until = unix_seconds().saturating_add(ASKED).to_le_bytes();
                let text = [until.as_slice(), &asker(principal)].concat();
                let about = upstream.as_str().as_bytes();
                let asked = self.ring.seal_handle("login ask", about, &text).unwrap_or_default();
                let link =
                    self.logins.link(&format!("/connect/upstreams/{upstream}?asked={asked}"));
                CredentialError::Login { tenant, upstream, link }
            }
            error if error.is_passing() => CredentialError::Waiting { upstream, reason },
            _ => CredentialError::NoLogin { tenant, upstream, reason },
        }
    }

    /// The store gives no answer: known credentials serve on, others have to wait.
    fn unavailable(
        &self,
        place: &Place,
        upstream: &Arc<Upstream>,
        error: &StoreError,
    ) -> Result<Arc<Armed>, CredentialError> {
        tracing::warn!(upstream = %upstream.name, %error, "the store does not give credentials");
        let known = self.entry(place).filter(|entry| Arc::ptr_eq(&entry.upstream, upstream));
        if let Some(entry) = known
            && let Ok(armed) = &entry.verdict
        {
            entry.retry_at.store(unix_seconds() + RETRY, Ordering::Relaxed);
            return Ok(armed.clone());
        }
        let (upstream, reason) = (upstream.name.clone(), error.to_string());
        Err(CredentialError::Unavailable { upstream, reason })
    }

    fn keep(&self, place: Place, entry: Entry) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&place) {
            let mut ages: Vec<_> =
                kept.values().map(|entry| entry.used_at.load(Ordering::Relaxed)).collect();
            let (_, oldest, _) = ages.select_nth_unstable(KEPT / 10);
            let oldest = *oldest;
            kept.retain(|_, entry| entry.used_at.load(Ordering::Relaxed) > oldest);
        }
        kept.insert(place, Arc::new(entry));
    }

    fn forget_idle(&self, now: u64) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(tenant, _), entry| {
            let used = entry.used_at.load(Ordering::Relaxed) + IDLE > now;
            if !used {
                self.ring.forget(*tenant);
            }
            used
        });
    }
}

/// Who asks, as a link remembers it.
fn asker(principal: &Principal) -> Vec<u8> {
    let tenant = principal.tenant().id();
    [tenant.as_bytes().as_slice(), principal.holder().as_str().as_bytes()].concat()
}

fn log(tenant: &TenantInfo, upstream: &Upstream, error: &CredentialError) {
    let (tenant, upstream) = (tenant.name(), &upstream.name);
    match error {
        CredentialError::Missing { .. } => {
            tracing::info!(%tenant, %upstream, %error, "upstream needs setup");
        }
        CredentialError::Sealed { slot, reason, .. } => {
            tracing::error!(%tenant, %upstream, %slot, %reason, "a sealed secret is refused");
        }
        CredentialError::Unreadable { slot, reason, .. } => {
            tracing::error!(%tenant, %upstream, %slot, %reason, "a secret of the file is missing");
        }
        CredentialError::Value { .. }
        | CredentialError::Login { .. }
        | CredentialError::NoLogin { .. }
        | CredentialError::Waiting { .. }
        | CredentialError::Unavailable { .. } => {
            tracing::warn!(%tenant, %upstream, %error, "upstream cannot be armed");
        }
    }
}
