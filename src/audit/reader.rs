//! Reading the audit: pages, usage, heads.

use std::sync::Arc;

use super::body::{self, Body};
use super::chain::Chain;
use super::error::AuditError;
use super::event::Outcome;
use super::record::{Record, Written};
use super::sink::BODIES;
use crate::base::{KeyId, TenantId, unix_millis};
use crate::seal::{Handles, Ring};
use crate::store::{
    AuditHead, AuditQuery, AuditRow, AuditStore, BodyQuery, BodyRow, UsageQuery, UsageRow,
};

/// Rows that are read at a time, and for one page.
const STEP: usize = 500;
const MOST_READ: usize = 50_000;

/// The audit for reading; also while a proxy writes it, in this process or another.
#[derive(Clone)]
pub struct AuditReader {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) chain: Arc<Chain>,
    pub(super) seals: Arc<Handles>,
}

impl std::fmt::Debug for AuditReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditReader").finish_non_exhaustive()
    }
}

/// Which records are asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// One tenant's; everybody's without.
    pub tenant: Option<TenantId>,
    /// Written at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Written before this time.
    pub until: Option<u64>,
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this method.
    pub method: Option<String>,
    /// Of this upstream.
    pub upstream: Option<String>,
    /// Of this tool, prompt or resource, as client or upstream name it.
    pub target: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// The last ones first.
    pub backwards: bool,
}

impl Filter {
    /// Whether it asks for this record, whosever and however old it is.
    #[must_use]
    pub fn takes(&self, record: &Record) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        (self.key.is_none() || self.key == record.key)
            && same(&self.method, &record.method)
            && same(&self.upstream, &record.upstream)
            && (same(&self.target, &record.target) || same(&self.target, &record.original))
            && self.outcome.is_none_or(|outcome| outcome == record.outcome)
    }
}

/// Which bodies are asked for.
#[derive(Debug, Clone, Default)]
pub struct BodyFilter {
    /// One tenant's; everybody's without.
    pub tenant: Option<TenantId>,
    /// To this upstream.
    pub upstream: Option<String>,
    /// Of this tool, prompt or resource, as the upstream names it.
    pub name: Option<String>,
    /// Of calls that came at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Of calls that came before this time.
    pub until: Option<u64>,
}

/// Some records.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The records, in the order that was asked for.
    pub records: Vec<Written>,
    /// Where the next page begins; none when there is no more. A page may be short all the same.
    pub next: Option<u64>,
    /// Rows that are no records of this program.
    pub unreadable: usize,
}

impl AuditReader {
    /// Over a store, with the keys of the ring that wrote it.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, ring: &Ring) -> Self {
        let seals = Arc::new(ring.handles(BODIES));
        Self { store, chain: Arc::new(Chain::new(ring)), seals }
    }

    /// At most `limit` records behind the place `after`, which is the `next` of the page before:
    /// a `seq` of one tenant, an `id` of everybody's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        filter: &Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, AuditError> {
        let mut page = Page::default();
        let mut query = AuditQuery {
            tenant: filter.tenant,
            after,
            since: filter.since,
            until: filter.until,
            backwards: filter.backwards,
            limit: STEP.max(limit.min(STEP * 4)),
        };
        let place = |row: &AuditRow| if filter.tenant.is_some() { row.seq } else { row.id };
        let mut read = 0;
        loop {
            let rows = self.store.page(query).await?;
            let more = rows.len() == query.limit;
            for row in rows {
                let at = place(&row);
                if page.records.len() == limit {
                    page.next = query.after;
                    return Ok(page);
                }
                query.after = Some(at);
                read += 1;
                match Record::decode(&row.record) {
                    Some(record) if filter.takes(&record) => page.records.push(Written {
                        id: row.id,
                        tenant: row.tenant,
                        seq: row.seq,
                        at: row.at,
                        record,
                    }),
                    Some(_) => {}
                    None => page.unreadable += 1,
                }
            }
            if !more {
                return Ok(page);
            }
            if read >= MOST_READ || page.records.len() >= limit {
                page.next = query.after;
                return Ok(page);
            }
        }
    }

    /// What is known of at most `limit` bodies before the place `before` (a `seq` of one tenant, an
    /// `id` of everybody's), the newest first; nothing is opened.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bodies(
        &self,
        filter: BodyFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<BodyRow>, AuditError> {
        let BodyFilter { tenant, upstream, name, since, until } = filter;
        let now = unix_millis();
        let query =
            BodyQuery { tenant, before, now, upstream, name, since, until, opened: false, limit };
        Ok(self.store.bodies(query).await?)
    }

    /// The body of the call whose record is at this place of a tenant's chain; `None` when it is
    /// not there, any more or at all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn body(&self, tenant: TenantId, seq: u64) -> Result<Option<Body>, AuditError> {
        let query = BodyQuery {
            tenant: Some(tenant),
            before: Some(seq.saturating_add(1)),
            now: unix_millis(),
            opened: true,
            limit: 1,
            ..BodyQuery::default()
        };
        let found = self.store.bodies(query).await?.pop().filter(|row| row.seq == seq);
        Ok(found.and_then(|row| body::open(&self.seals, row)))
    }

    /// The usage.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, AuditError> {
        Ok(self.store.usage(query).await?)
    }

    /// Where each chain begins and ends, in the order in which they were begun; also of tenants
    /// that are gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn heads(&self) -> Result<Vec<AuditHead>, AuditError> {
        Ok(self.store.state().await?.heads)
    }
}
