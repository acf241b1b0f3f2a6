//! `/api/v1/seal`: the generations of the sealing key, and sealing anew. No key is ever shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::input::read;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use super::tenants;
use crate::base::{TenantId, rfc3339};
use crate::credential::{Resealed, Rotated};
use crate::store::GenerationRecord;

/// What is to be sealed anew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateInput {
    /// Every tenant gets another data key, too, and its values are sealed anew by it.
    #[serde(default)]
    data_keys: bool,
}

/// No keys: the body is empty.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoInput {}

fn generation(record: &GenerationRecord, newest: u64) -> Value {
    let number = record.generation.number;
    json!({
        "generation": number,
        "id": record.generation.tag.to_string(),
        "current": number == newest,
        "made_at": rfc3339(record.made_at),
        "data_keys": record.data_keys,
    })
}

pub(super) fn show(api: Arc<Api>, _call: Call) -> Answering {
    Box::pin(async move {
        let all = api.vault.generations().await?;
        let newest = all.last().map_or(0, |record| record.generation.number);
        let older = all.iter().filter(|record| record.generation.number != newest);
        let older: u64 = older.map(|record| record.data_keys).sum();
        let mut secrets = 0;
        for tenant in api.stores.tenants.list().await? {
            secrets += api.stores.secrets.list(tenant.id).await?.len();
        }
        let newest_first = all.iter().rev().map(|record| generation(record, newest));
        Ok(Reply::ok(json!({
            "generation": newest,
            "root": api.ring.tag().to_string(),
            "generations": newest_first.collect::<Vec<_>>(),
            "older_data_keys": older,
            "secrets": secrets,
        })))
    })
}

pub(super) fn rotate(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let RotateInput { data_keys: too } = read(&call.body)?;
        let tenants = api.stores.tenants.list().await?;
        let names: BTreeMap<TenantId, String> =
            tenants.iter().map(|tenant| (tenant.id, tenant.name.to_string())).collect();
        let Rotated { generation, data_keys, left, dropped } = api.vault.rotate().await?;
        let named = |id: &TenantId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let (mut tenants, mut secrets, mut failed) = (0, 0, Vec::new());
        for id in names.keys().filter(|_| too) {
            match api.vault.reseal(*id).await {
                Ok(Resealed { secrets: Some(count) }) => {
                    (tenants, secrets) = (tenants + 1, secrets + count);
                }
                Ok(Resealed { secrets: None }) => {}
                Err(error) => {
                    tracing::error!(tenant = named(id), %error, "its secrets were not sealed anew");
                    failed.push(named(id));
                }
            }
        }
        failed.extend(left.iter().filter(|id| !too || !names.contains_key(*id)).map(named));
        Ok(Reply::ok(json!({
            "generation": generation,
            "data_keys": data_keys,
            "dropped": dropped,
            "resealed": { "tenants": tenants, "secrets": secrets },
            "failed": failed,
        })))
    })
}

pub(super) fn rotate_tenant(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let NoInput {} = read(&call.body)?;
        let tenant = tenants::find(&api, &call).await?;
        let Resealed { secrets } = api.vault.reseal(tenant.id).await.map_err(|error| {
            tracing::error!(tenant = %tenant.name, %error, "its secrets were not sealed anew");
            let what = "one of its secrets does not open, so nothing was sealed anew; the log says \
                        why, and whoever sets the secret again or deletes it mends it";
            match Problem::from(error) {
                Problem::Internal(_) => Problem::Conflict(what.to_owned()),
                other => other,
            }
        })?;
        Ok(Reply::ok(json!({ "tenant": tenant.name.as_str(), "secrets": secrets.unwrap_or(0) })))
    })
}
