//! What commands on the store itself need: the file, the key file, the store.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use crate::app::Foundation;
use crate::audit::AuditReader;
use crate::base::{Name, Secret, Tasks};
use crate::config::{Config, SecretSource};
use crate::credential::Vault;
use crate::seal::Ring;
use crate::store::{AuditFile, Stores, TenantRecord};

/// Finds the value of a source that the file names.
pub type Resolve = Box<dyn Fn(&SecretSource) -> Result<Secret, String> + Send + Sync>;

/// The file's configuration with its store and keys opened.
pub struct Opened {
    /// The configuration.
    pub config: Config,
    /// The store.
    pub stores: Stores,
    /// The ring of the root key.
    pub ring: Arc<Ring>,
    /// The sealed secrets.
    pub vault: Vault,
    /// Values of the file's sources.
    pub resolve: Resolve,
    tasks: Tasks,
}

impl Opened {
    /// Opens the key file and the store that `config` names, made where both are missing, and
    /// gives the file's tenants their ids.
    ///
    /// # Errors
    /// With the line that says what to do, when either is unsafe, missing beside the other, or
    /// does not belong to it.
    pub async fn open(config: Config, resolve: Resolve, tasks: &Tasks) -> anyhow::Result<Self> {
        let Foundation { stores, ring, vault, .. } = Foundation::open(&config, tasks).await?;
        Ok(Self { config, stores, ring, vault, resolve, tasks: tasks.clone() })
    }

    /// The audit beside the store.
    pub(super) fn audit(&self) -> anyhow::Result<AuditReader> {
        let path = AuditFile::beside(&self.config.store.path);
        if !path.exists() {
            bail!("there is no audit yet: {} is made when the proxy first serves", path.display());
        }
        Ok(AuditReader::new(AuditFile::open(&path, &self.tasks)?, &self.ring))
    }

    /// The tenant of that name.
    pub(super) async fn tenant(&self, name: &str) -> anyhow::Result<TenantRecord> {
        let name = Name::new(name)?;
        if let Some(found) = self.stores.tenants.find(&name).await? {
            return Ok(found);
        }
        let all = self.stores.tenants.list().await?;
        let names = listed(all.iter().map(|tenant| tenant.name.as_str()));
        Err(anyhow!(
            "there is no tenant `{name}` ({names}); make it with `mcp-proxy tenant create {name}`"
        ))
    }

    /// What the API is built over.
    pub(super) fn parts(self) -> (Foundation, Config, Resolve) {
        let Self { config, stores, ring, vault, resolve, .. } = self;
        (Foundation { stores, ring, vault, new_key_file: false }, config, resolve)
    }
}

/// `there are: a, b`, or `there are none`.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    }
}

/// A moment that the command line gives, in milliseconds since the Unix epoch: a length of time
/// before now, a date, or a date with a time.
pub(super) fn moment(text: &str) -> anyhow::Result<u64> {
    if let Some(time) = crate::base::parse_duration(text) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        return Ok(crate::base::unix_millis().saturating_sub(time));
    }
    let seconds = crate::base::parse_time(text).with_context(|| {
        format!("`{text}` is no moment; write it as 24h (before now), 2026-11-21 or 2026-11-21T07:00:00Z")
    })?;
    Ok(seconds * 1_000)
}

/// A length of time that the command line gives, in seconds.
pub(super) fn seconds(text: &str) -> anyhow::Result<u64> {
    let time = crate::base::parse_duration(text)
        .with_context(|| format!("`{text}` is no length of time; write it as 30m, 12h or 90d"))?;
    Ok(time.as_secs())
}
