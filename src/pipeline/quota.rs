//! Quotas outlive the process: what was used of a day and a month is counted on after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use crate::base::unix_seconds;
use crate::store::{QuotaRow, Quotas, StoreError};

/// How often counts that have changed are written: so much a kill gives back.
const EVERY: Duration = Duration::from_secs(2);
/// Longest wait for the store.
const PATIENCE: Duration = Duration::from_secs(5);

fn today() -> u64 {
    unix_seconds() / 86_400
}

impl Line {
    /// Takes over what was used before, and keeps what is used from now on. To be called before
    /// anything is served.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn keep_quotas(self: &Arc<Self>, store: Arc<dyn Quotas>) -> Result<(), StoreError> {
        self.limiter.restore(&store.used(today()).await?);
        let (line, stop) = (self.clone(), self.tasks.stop().clone());
        self.tasks.spawn("quotas", async move {
            let mut unwritten = BTreeMap::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(EVERY) => {}
                }
                line.write_quotas(&*store, &mut unwritten).await;
            }
            line.write_quotas(&*store, &mut unwritten).await;
        });
        Ok(())
    }

    /// What cannot be written now is tried again with what comes.
    async fn write_quotas(&self, store: &dyn Quotas, unwritten: &mut BTreeMap<String, QuotaRow>) {
        unwritten.extend(self.limiter.news().into_iter().map(|used| (used.place.clone(), used)));
        if unwritten.is_empty() {
            return;
        }
        let writing = store.keep(unwritten.values().cloned().collect(), today());
        match tokio::time::timeout(PATIENCE, writing).await.unwrap_or(Err(StoreError::Busy)) {
            Ok(()) => unwritten.clear(),
            Err(error) => tracing::warn!(%error, "what was used of quotas is not written yet"),
        }
    }
}
