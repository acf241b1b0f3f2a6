//! Every bucket of the process, and who goes into which.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::bucket::{Bucket, Exceeded};
use crate::base::{KeyId, Map, Name, TenantId};
use crate::config::{Limit, Limits};

/// Parts of the table, so that calls of different scopes do not wait for each other.
const SHARDS: usize = 64;

/// Which limit was reached, as the file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `key`
    Key,
    /// `tenant`
    Tenant,
    /// `upstream`
    Upstream,
    /// `tool`
    Tool,
}

impl Scope {
    /// Its key in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
        }
    }
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name, by which the file may have limits of its own for it.
    pub name: &'a Name,
    /// The key.
    pub key: KeyId,
}

/// Who shares a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Key(TenantId, KeyId),
    Tenant(TenantId),
    Upstream(TenantId, Name),
    Tool(TenantId, Name, Box<str>),
}

pub(super) type Shard = Mutex<Map<Place, Arc<Bucket>>>;

/// The limits of the file, and what was used of them. State is of this process: replicas each
/// have their own.
#[derive(Debug)]
pub struct Limiter {
    limits: ArcSwap<Limits>,
    /// The file limits something besides the calls of the whole proxy.
    any: AtomicBool,
    shards: [Shard; SHARDS],
    /// Which of them is looked over next.
    turn: AtomicUsize,
}

impl Limiter {
    /// Nothing used so far.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            any: AtomicBool::new(limits.any()),
            limits: ArcSwap::from_pointee(limits),
            shards: std::array::from_fn(|_| Shard::default()),
            turn: AtomicUsize::new(0),
        }
    }

    /// From now on these are the limits. What was used of a day and a month counts on; calls
    /// under way do not count against a number at a time that has changed.
    pub fn set(&self, limits: Limits) {
        self.any.store(limits.any(), Ordering::Relaxed);
        self.limits.store(Arc::new(limits));
    }

    /// One request, of whatever kind.
    ///
    /// # Errors
    /// With the limit that was reached.
    pub fn request(&self, whose: Whose<'_>) -> Result<(), (Scope, Exceeded)> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limits = self.limits.load();
        let key = limits.key;
        if key.rate.is_some() {
            let bucket = self.bucket(Place::Key(whose.tenant, whose.key), key);
            bucket.pass().map_err(|exceeded| (Scope::Key, exceeded))?;
        }
        let tenant = of_tenant(&limits, whose.name);
        if tenant.rate.is_some() {
            let bucket = self.bucket(Place::Tenant(whose.tenant), tenant);
            bucket.pass().map_err(|exceeded| (Scope::Tenant, exceeded))?;
        }
        Ok(())
    }

    /// One call that is about to go to an upstream; `tool` is the original name where it is one.
    /// The permit counts as long as it lives.
    ///
    /// # Errors
    /// With the limit that was reached; nothing was used then.
    pub fn call(
        &self,
        whose: Whose<'_>,
        upstream: &Name,
        tool: Option<&str>,
    ) -> Result<Permit, (Scope, Exceeded)> {
        let mut permit = Permit::default();
        if !self.any.load(Ordering::Relaxed) {
            return Ok(permit);
        }
        let limits = self.limits.load();
        let (key, tenant) = (limits.key, of_tenant(&limits, whose.name));
        permit.enter(Scope::Key, key, || self.bucket(Place::Key(whose.tenant, whose.key), key))?;
        permit.enter(Scope::Tenant, tenant, || self.bucket(Place::Tenant(whose.tenant), tenant))?;
        let there = *limits.upstreams.get(upstream).unwrap_or(&limits.upstream);
        let place = || Place::Upstream(whose.tenant, upstream.clone());
        let bucket = (!there.is_none()).then(|| self.bucket(place(), there));
        permit.enter_and_pass(Scope::Upstream, bucket)?;
        if let Some(tool) = tool {
            let limit = of_tool(&limits, upstream, tool);
            let place = || Place::Tool(whose.tenant, upstream.clone(), tool.into());
            let bucket = (!limit.is_none()).then(|| self.bucket(place(), limit));
            permit.enter_and_pass(Scope::Tool, bucket)?;
        }
        permit.begun = true;
        Ok(permit)
    }

    /// Forgets a part of what nobody has used for long enough, each time another. To be called
    /// now and then.
    pub fn sweep_next(&self) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        sweep(&self.shards[turn % SHARDS]);
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Ids of tenants are random, so a byte of one does for a hash. The scopes of one tenant lie
    /// apart.
    pub(super) fn shard(&self, place: &Place) -> &Shard {
        let (tenant, scope) = match place {
            Place::Key(tenant, _) => (tenant, 0),
            Place::Tenant(tenant) => (tenant, 1),
            Place::Upstream(tenant, _) => (tenant, 2),
            Place::Tool(tenant, ..) => (tenant, 3),
        };
        let [.., byte] = *tenant.as_bytes();
        &self.shards[(usize::from(byte) * 4 + scope) % SHARDS]
    }

    fn bucket(&self, place: Place, limit: Limit) -> Arc<Bucket> {
        let mut shard = lock(self.shard(&place));
        let bucket = shard.entry(place).or_insert_with(|| Arc::new(Bucket::new(limit)));
        if *bucket.limit() != limit {
            *bucket = Arc::new(bucket.under(limit));
        }
        bucket.clone()
    }
}

pub(super) fn sweep(shard: &Shard) {
    // Whoever holds a bucket took it under this lock.
    lock(shard).retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_idle());
}

fn of_tenant(limits: &Limits, name: &Name) -> Limit {
    let own = if limits.tenants.is_empty() { None } else { limits.tenants.get(name) };
    *own.unwrap_or(&limits.tenant)
}

fn of_tool(limits: &Limits, upstream: &Name, tool: &str) -> Limit {
    let own = limits.tools.get(upstream).into_iter().flatten();
    own.filter(|(pattern, _)| pattern.fits(tool))
        .map(|(_, limit)| *limit)
        .next()
        .unwrap_or(limits.tool)
}

pub(super) fn lock(shard: &Shard) -> MutexGuard<'_, Map<Place, Arc<Bucket>>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that was let in. Dropping it ends the call.
#[derive(Debug, Default)]
pub struct Permit {
    buckets: Vec<Arc<Bucket>>,
    begun: bool,
}

impl Permit {
    fn enter(
        &mut self,
        scope: Scope,
        limit: Limit,
        bucket: impl FnOnce() -> Arc<Bucket>,
    ) -> Result<(), (Scope, Exceeded)> {
        // Its rate was asked when the request came.
        if (Limit { rate: None, ..limit }).is_none() {
            return Ok(());
        }
        let bucket = bucket();
        bucket.enter().map_err(|exceeded| (scope, exceeded))?;
        self.buckets.push(bucket);
        Ok(())
    }

    fn enter_and_pass(
        &mut self,
        scope: Scope,
        bucket: Option<Arc<Bucket>>,
    ) -> Result<(), (Scope, Exceeded)> {
        let Some(bucket) = bucket else { return Ok(()) };
        bucket.enter().map_err(|exceeded| (scope, exceeded))?;
        let passed = bucket.pass();
        self.buckets.push(bucket);
        passed.map_err(|exceeded| (scope, exceeded))
    }

    /// Bytes that the call has moved, both ways.
    pub fn spend(&self, bytes: u64) {
        for bucket in &self.buckets {
            bucket.spend(bytes);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for bucket in &self.buckets {
            if self.begun {
                bucket.leave();
            } else {
                bucket.take_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::Measure;
    use super::*;
    use crate::base::Glob;
    use crate::config::Rate;

    fn whose(name: &Name, tenant: u8) -> Whose<'_> {
        Whose {
            tenant: TenantId::from_bytes([tenant; 16]),
            name,
            key: "aaaaaaaaaa".parse().unwrap(),
        }
    }

    fn at_once(number: u32) -> Limit {
        Limit { concurrent: NonZeroU32::new(number), ..Limit::default() }
    }

    #[test]
    fn each_scope_is_counted_apart_and_refusals_use_nothing() {
        let (acme, crm) = (Name::new("acme").unwrap(), Name::new("crm").unwrap());
        let limits = Limits {
            key: at_once(2),
            tools: [(crm.clone(), vec![(Glob::new("del*"), at_once(1))])].into(),
            ..Limits::default()
        };
        let limiter = Limiter::new(limits);
        let one = limiter.call(whose(&acme, 1), &crm, Some("delete")).unwrap();
        let (scope, exceeded) = limiter.call(whose(&acme, 1), &crm, Some("delete")).unwrap_err();
        assert_eq!((scope, exceeded.measure), (Scope::Tool, Measure::Concurrent));
        // The refused one did not keep a place of its key.
        let two = limiter.call(whose(&acme, 1), &crm, Some("read")).unwrap();
        let (scope, _) = limiter.call(whose(&acme, 1), &crm, None).unwrap_err();
        assert_eq!(scope, Scope::Key);
        // Another tenant has a place of its own, also with the same id of a key.
        drop(limiter.call(whose(&acme, 2), &crm, Some("delete")).unwrap());
        drop((one, two));
        limiter.shards.iter().for_each(sweep);
        assert!(limiter.shards.iter().all(|shard| lock(shard).is_empty()));
    }

    #[test]
    fn a_tenant_may_have_limits_of_its_own() {
        let (acme, other) = (Name::new("acme").unwrap(), Name::new("other").unwrap());
        let rate = |count| {
            let count = NonZeroU32::new(count).unwrap();
            let rate = Rate { count, per: Duration::from_secs(3_600), burst: count };
            Limit { rate: Some(rate), ..Limit::default() }
        };
        let limits = Limits {
            tenant: rate(1),
            tenants: [(acme.clone(), rate(3))].into(),
            ..Limits::default()
        };
        let limiter = Limiter::new(limits);
        for _ in 0..3 {
            limiter.request(whose(&acme, 1)).unwrap();
        }
        assert_eq!(limiter.request(whose(&acme, 1)).unwrap_err().0, Scope::Tenant);
        limiter.request(whose(&other, 2)).unwrap();
        assert!(limiter.request(whose(&other, 2)).is_err());
    }

    #[test]
    fn to_look_for_what_is_idle_uses_nothing_up() {
        let acme = Name::new("acme").unwrap();
        let count = NonZeroU32::new(2).unwrap();
        let rate = Rate { count, per: Duration::from_secs(3_600), burst: count };
        let both = Limit { rate: Some(rate), per_day: Some(9), ..Limit::default() };
        let limiter = Limiter::new(Limits { tenant: both, ..Limits::default() });
        let crm = Name::new("crm").unwrap();
        drop(limiter.call(whose(&acme, 1), &crm, None).unwrap());
        limiter.shards.iter().for_each(sweep);
        limiter.request(whose(&acme, 1)).unwrap();
        limiter.request(whose(&acme, 1)).unwrap();
        assert!(limiter.request(whose(&acme, 1)).is_err());
    }

    #[test]
    fn other_limits_hold_at_once_and_forget_nothing_of_the_day() {
        let (acme, up) = (Name::new("acme").unwrap(), Name::new("up").unwrap());
        let per_day = |number| {
            let key = Limit { per_day: Some(number), ..Limit::default() };
            Limits { key, ..Limits::default() }
        };
        let limiter = Limiter::new(per_day(2));
        for _ in 0..2 {
            drop(limiter.call(whose(&acme, 1), &up, None).unwrap());
        }
        assert!(limiter.call(whose(&acme, 1), &up, None).is_err());
        limiter.set(per_day(3));
        let third = limiter.call(whose(&acme, 1), &up, None).unwrap();
        assert!(limiter.call(whose(&acme, 1), &up, None).is_err(), "two were used before");
        limiter.set(Limits::default());
        drop(limiter.call(whose(&acme, 1), &up, None).unwrap());
        drop(third);
    }
}
