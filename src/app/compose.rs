//! What runs: the file as it was read last, and beside it what the store has.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::base::Tasks;
use crate::config::{
    Config, Difference, MadeProfile, MadeUpstream, Recompose, Recomposing, Standing, Stored, join,
    succeed,
};
use crate::pipeline::Line;
use crate::store::{ProfileRecord, StoreError, Stores, UpstreamRecord};

/// Puts the two together. One for the process.
pub(super) struct Composer {
    stores: Stores,
    /// The file alone.
    file: ArcSwap<Config>,
    line: OnceLock<Arc<Line>>,
    tasks: Tasks,
    /// One change of the configuration at a time, whoever wants it.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Composer {
    /// Over this file.
    pub(super) fn new(stores: &Stores, file: Arc<Config>, tasks: &Tasks) -> Arc<Self> {
        Arc::new(Self {
            stores: stores.clone(),
            file: ArcSwap::from(file),
            line: OnceLock::new(),
            tasks: tasks.clone(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// What the store has.
    pub(super) async fn stored(&self) -> Result<Stored, StoreError> {
        let upstreams = self.stores.upstreams.list().await?.into_iter().map(|record| {
            let UpstreamRecord { name, document, enabled, .. } = record;
            MadeUpstream { name, document, enabled }
        });
        let profiles = self.stores.profiles.list().await?.into_iter();
        let profiles =
            profiles.map(|ProfileRecord { name, document, .. }| MadeProfile { name, document });
        let mut stored = Stored {
            upstreams: upstreams.collect(),
            profiles: profiles.collect(),
            ..Stored::default()
        };
        for (tenant, upstream) in self.stores.picks.all().await? {
            stored.off.entry(tenant).or_default().insert(upstream);
        }
        Ok(stored)
    }

    /// The file with this beside it.
    pub(super) fn compose(&self, stored: &Stored) -> Config {
        let composed = join((**self.file.load()).clone(), stored);
        let upstreams = composed.made.standing.iter().map(|entry| ("upstream", entry));
        let profiles = composed.made.profiles.iter().map(|entry| ("profile", entry));
        for (kind, (name, standing)) in upstreams.chain(profiles) {
            match standing {
                Standing::Broken(problems) => {
                    tracing::warn!(kind, %name, "it was made over the API and does not run: {problems}");
                }
                Standing::Declared => {
                    tracing::warn!(kind, %name, "it was made over the API, and now the file declares one of that name, which runs");
                }
                Standing::Runs | Standing::Disabled => {}
            }
        }
        composed
    }

    /// The file is another one from now on.
    pub(super) fn set_file(&self, file: Config) {
        self.file.store(Arc::new(file));
    }

    /// What runs the composition.
    pub(super) fn serve(&self, line: &Arc<Line>) {
        let _ = self.line.set(line.clone());
    }

    async fn run(&self) -> Result<Difference, String> {
        let _turn = self.turn.lock().await;
        let Some(line) = self.line.get() else { return Ok(Difference::default()) };
        let stored = self.stored().await.map_err(|error| error.to_string())?;
        let old = line.config().clone();
        let (config, difference) = succeed(&old, self.compose(&stored));
        line.reconfigure(Arc::new(config), &difference, &[]).await;
        tracing::info!("what runs was changed over the API: {difference}");
        Ok(difference)
    }
}

impl Recompose for Composer {
    fn recompose(self: Arc<Self>) -> Recomposing {
        let (composer, tasks) = (self.clone(), self.tasks.clone());
        let work = tasks.spawn("upstreams", async move { composer.run().await });
        Box::pin(
            async move { work.await.unwrap_or_else(|_| Err("the proxy is stopping".to_owned())) },
        )
    }
}
