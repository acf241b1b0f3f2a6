//! What was used of days and months, in a form that outlives the process.

use std::sync::Arc;

use super::bucket::Bucket;
use super::limiter::{Limiter, Place, lock};
use crate::base::Name;
use crate::config::Limit;
use crate::store::QuotaRow;

impl Place {
    /// Neither ids nor names hold a space, and a tool stands at the end.
    fn text(&self) -> String {
        match self {
            Self::Key(tenant, key) => format!("key {tenant} {key}"),
            Self::Tenant(tenant) => format!("tenant {tenant}"),
            Self::Upstream(tenant, upstream) => format!("upstream {tenant} {upstream}"),
            Self::Tool(tenant, upstream, tool) => format!("tool {tenant} {upstream} {tool}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let (kind, tenant) = (parts.next()?, parts.next()?.parse().ok()?);
        Some(match kind {
            "key" => Self::Key(tenant, parts.next()?.parse().ok()?),
            "tenant" => Self::Tenant(tenant),
            "upstream" => Self::Upstream(tenant, Name::new(parts.next()?).ok()?),
            "tool" => Self::Tool(tenant, Name::new(parts.next()?).ok()?, parts.next()?.into()),
            _ => return None,
        })
    }
}

impl Limiter {
    /// What was used by scopes that have used something since this was last asked.
    #[must_use]
    pub fn news(&self) -> Vec<QuotaRow> {
        let mut news = Vec::new();
        for shard in self.shards() {
            for (place, bucket) in lock(shard).iter() {
                if let Some(spent) = bucket.news() {
                    let (place, day, calls) = (place.text(), spent.day, spent.calls);
                    let (bytes, month_calls) = (spent.bytes, spent.month_calls);
                    news.push(QuotaRow { place, day, calls, bytes, month_calls });
                }
            }
        }
        news
    }

    /// Counts on from what was used before. To be called before anything is.
    pub fn restore(&self, used: &[QuotaRow]) {
        for used in used {
            let Some(place) = Place::read(&used.place) else {
                tracing::warn!(place = used.place, "a count of a quota is not understood");
                continue;
            };
            let bucket = Bucket::new(Limit::default());
            bucket.restore(used);
            lock(self.shard(&place)).insert(place, Arc::new(bucket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Whose;
    use super::super::limiter::sweep;
    use super::*;
    use crate::base::TenantId;
    use crate::config::Limits;

    #[test]
    fn what_was_used_is_counted_on_by_the_next_process() {
        let (acme, crm) = (Name::new("acme").unwrap(), Name::new("crm").unwrap());
        let whose = Whose {
            tenant: TenantId::from_bytes([7; 16]),
            name: &acme,
            key: "aaaaaaaaaa".parse().unwrap(),
        };
        let limit = Limit { per_day: Some(3), per_month: Some(9), ..Limit::default() };
        let limits = || Limits {
            key: limit,
            tenant: limit,
            upstream: limit,
            tool: limit,
            ..Limits::default()
        };
        let first = Limiter::new(limits());
        for _ in 0..2 {
            drop(first.call(whose, &crm, Some("a tool")).unwrap());
        }
        let used = first.news();
        assert_eq!(used.len(), 4, "{used:?}");
        assert!(used.iter().all(|used| (used.calls, used.month_calls) == (2, 2)));
        assert!(first.news().is_empty(), "nothing since");

        let next = Limiter::new(limits());
        next.restore(&used);
        next.shards().iter().for_each(sweep);
        assert!(next.news().is_empty(), "what was kept already is no news");
        drop(next.call(whose, &crm, Some("a tool")).unwrap());
        assert!(next.call(whose, &crm, Some("a tool")).is_err());
        // Of a day that is over only the month counts, and of a month that is over nothing.
        let old = |days: u64| -> Vec<QuotaRow> {
            used.iter()
                .map(|used| QuotaRow { day: used.day - days, calls: 99, ..used.clone() })
                .collect()
        };
        let later = Limiter::new(limits());
        later.restore(&old(40));
        later.shards().iter().for_each(sweep);
        assert!(later.shards().iter().all(|shard| lock(shard).is_empty()));
        later.restore(&[QuotaRow { place: "nonsense".to_owned(), ..used[0].clone() }]);
        drop(later.call(whose, &crm, Some("a tool")).unwrap());
    }
}
