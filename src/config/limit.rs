//! `[limits]`: how much of it at a time, and in all.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::{Glob, Name};

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls under way in the whole proxy (default 16,384). Beyond, tenants take turns.
    pub calls: usize,
    /// Of each key.
    pub key: Limit,
    /// Of each tenant.
    pub tenant: Limit,
    /// Of each tenant at each upstream.
    pub upstream: Limit,
    /// Of each tenant at each tool.
    pub tool: Limit,
    /// Instead of `tenant`, for these.
    pub tenants: BTreeMap<Name, Limit>,
    /// Instead of `upstream`, for these.
    pub upstreams: BTreeMap<Name, Limit>,
    /// Instead of `tool`, for the tools of these upstreams: the first pattern of the original name
    /// that fits.
    pub tools: BTreeMap<Name, Vec<(Glob, Limit)>>,
}

impl Limits {
    /// True when they limit something besides the calls of the whole proxy.
    #[must_use]
    pub fn any(&self) -> bool {
        let fixed = [self.key, self.tenant, self.upstream, self.tool];
        fixed.iter().any(|limit| !limit.is_none())
            || !(self.tenants.is_empty() && self.upstreams.is_empty() && self.tools.is_empty())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 16_384,
            key: Limit::default(),
            tenant: Limit::default(),
            upstream: Limit::default(),
            tool: Limit::default(),
            tenants: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            tools: BTreeMap::new(),
        }
    }
}

/// One set of limits; what is `None` has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// Requests in a time.
    pub rate: Option<Rate>,
    /// Calls under way.
    pub concurrent: Option<NonZeroU32>,
    /// Calls in a day (UTC).
    pub per_day: Option<u64>,
    /// Calls in a calendar month (UTC).
    pub per_month: Option<u64>,
    /// Bytes in a day (UTC), of requests and answers together.
    pub bytes_per_day: Option<u64>,
}

impl Limit {
    /// True when it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// `rate = "20/s"` with `burst = 40`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many…
    pub count: NonZeroU32,
    /// …in this time.
    pub per: Duration,
    /// So many at once after a pause (default: as many as `count`).
    pub burst: NonZeroU32,
}
