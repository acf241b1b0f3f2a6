//! The audit as somebody who watches follows it: what was written after a place, then what is
//! being written. It holds on to one batch at most, which all who watch share.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;

use crate::audit::{AuditError, AuditReader, Filter, News, Written};
use crate::base::TenantId;
use crate::store::AuditHead;

/// Records that are read from the store at a time, and told at a time.
const PAGE: usize = 100;
const PIECE: usize = 64;

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// Behind this place so many records were passed over, since they came too fast.
    Missed(u64, u64),
    /// A record, with its place.
    Record(u64, Box<Written>),
    /// The last link of a chain.
    Head(AuditHead),
}

/// Where somebody is in the audit of his tenant, or of everybody.
#[derive(Debug)]
pub(super) struct Trail {
    reader: AuditReader,
    filter: Filter,
    /// The last record that was told or is no concern of his: a `seq` of a tenant, an `id` of all.
    place: u64,
    /// There may be more in the store.
    behind: bool,
    /// Some batches were lost.
    gap: bool,
    batch: Option<(Arc<News>, usize)>,
}

impl Trail {
    /// Behind `place`; behind what is there now without one. Subscribe before.
    pub(super) async fn new(
        reader: AuditReader,
        filter: Filter,
        place: Option<u64>,
    ) -> Result<Self, AuditError> {
        let behind = place.is_some();
        let place = match (place, filter.tenant) {
            (Some(place), _) => place,
            (None, Some(tenant)) => {
                let heads = reader.heads().await?;
                heads.iter().find(|head| head.tenant == tenant).map_or(0, |head| head.last)
            }
            (None, None) => {
                let last = Filter { backwards: true, ..Filter::default() };
                let last = reader.page(&last, None, 1).await?;
                last.records.first().map_or(0, |record| record.id)
            }
        };
        Ok(Self { reader, filter, place, behind, gap: false, batch: None })
    }

    /// The place from which to go on later.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Takes a batch of what was just written.
    pub(super) fn hear(&mut self, news: Arc<News>) {
        self.batch = Some((news, 0));
    }

    /// Some batches were lost.
    pub(super) fn lost(&mut self) {
        self.gap = true;
    }

    fn owns(&self, tenant: TenantId) -> bool {
        self.filter.tenant.is_none_or(|own| own == tenant)
    }

    fn place_of(&self, record: &Written) -> u64 {
        if self.filter.tenant.is_some() { record.seq } else { record.id }
    }

    /// Some of what can be told now; nothing when there is news to wait for.
    pub(super) async fn steps(
        &mut self,
        news: &mut Receiver<Arc<News>>,
    ) -> Result<Option<Vec<Step>>, AuditError> {
        if self.behind {
            // What is written from here on comes as news as well, and is told apart by its place.
            *news = news.resubscribe();
            return self.catch_up().await.map(Some);
        }
        Ok(self.batch.take().map(|(news, from)| self.piece(news, from)))
    }

    async fn catch_up(&mut self) -> Result<Vec<Step>, AuditError> {
        let page = self.reader.page(&self.filter, Some(self.place), PAGE).await?;
        let last = page.records.last().map(|record| self.place_of(record));
        self.behind = page.next.is_some();
        self.place = page.next.or(last).unwrap_or(self.place);
        let steps = page.records.into_iter();
        Ok(steps.map(|record| Step::Record(self.place_of(&record), Box::new(record))).collect())
    }

    fn piece(&mut self, news: Arc<News>, from: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let end = news.records.len().min(from + PIECE);
        for record in &news.records[from..end] {
            let place = self.place_of(record);
            if !self.owns(record.tenant) || place <= self.place {
                continue;
            }
            if std::mem::take(&mut self.gap) && place > self.place + 1 {
                steps.push(Step::Missed(self.place, place - self.place - 1));
            }
            self.place = place;
            if self.filter.takes(&record.record) {
                steps.push(Step::Record(place, Box::new(record.clone())));
            }
        }
        if end < news.records.len() {
            self.batch = Some((news, end));
        } else {
            let own = news.heads.iter().filter(|head| self.owns(head.tenant));
            steps.extend(own.cloned().map(Step::Head));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::{Audit, Event};
    use crate::base::{Name, Tasks};
    use crate::config::{self, Durable};
    use crate::seal::{Ring, RootKey};
    use crate::store::AuditFile;

    const ACME: TenantId = TenantId::from_bytes([1; 16]);
    const GLOBEX: TenantId = TenantId::from_bytes([2; 16]);

    /// Writes so many records of each of the two, and waits until they are there.
    async fn write(audit: &Audit, count: u64) {
        for _ in 0..count {
            for (tenant, name) in [(ACME, "acme"), (GLOBEX, "globex")] {
                let name = Name::new(name).unwrap();
                let kept = audit.record(Box::new(Event::new(1, tenant, name, None))).unwrap();
                kept.wait().await.unwrap();
            }
        }
    }

    /// What can be told, in words.
    async fn told(trail: &mut Trail, news: &mut Receiver<Arc<News>>) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            if let Some(steps) = trail.steps(news).await.unwrap() {
                all.extend(steps.iter().filter_map(|step| match step {
                    Step::Missed(after, count) => Some(format!("{count} after {after}")),
                    Step::Record(place, record) => {
                        assert!(trail.filter.tenant.is_none_or(|own| own == record.tenant));
                        Some(place.to_string())
                    }
                    Step::Head(_) => None,
                }));
                continue;
            }
            match news.try_recv() {
                Ok(batch) => trail.hear(batch),
                Err(_) => return all,
            }
        }
    }

    #[tokio::test]
    async fn each_record_is_told_once_and_what_is_lost_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let file = AuditFile::open(&folder.path().join("x.audit.db"), &tasks).unwrap();
        let ring = Ring::new(&RootKey::for_test(1));
        let settings =
            config::Audit { retention: None, durable: Durable::Call, ..Default::default() };
        let audit = Audit::start(file, &ring, settings, &tasks);
        write(&audit, 3).await;
        let acme = || Filter { tenant: Some(ACME), ..Filter::default() };

        // From now on; from a place of before; everybody's.
        let mut news = audit.subscribe();
        let mut live = Trail::new(audit.reader(), acme(), None).await.unwrap();
        assert_eq!(live.place(), 3);
        assert!(told(&mut live, &mut news).await.is_empty());
        let mut other = audit.subscribe();
        let mut back = Trail::new(audit.reader(), acme(), Some(1)).await.unwrap();
        let mut whole = audit.subscribe();
        let mut all = Trail::new(audit.reader(), Filter::default(), None).await.unwrap();
        write(&audit, 2).await;
        assert_eq!(told(&mut live, &mut news).await, ["4", "5"]);
        assert_eq!(told(&mut back, &mut other).await, ["2", "3", "4", "5"]);
        assert_eq!(told(&mut all, &mut whole).await, ["7", "8", "9", "10"]);

        // Batches are lost, of others too: only its own count.
        write(&audit, 4).await;
        news = audit.subscribe();
        live.lost();
        write(&audit, 1).await;
        assert_eq!(told(&mut live, &mut news).await, ["4 after 5", "10"]);
        assert_eq!(audit.close(Duration::from_secs(20)).await, 0);
    }
}
