//! The API without a listener, over a store that no proxy serves: commands speak to it as to a
//! running proxy, so that both ways do the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected, Full};

use super::build::{Core, Resolve, api};
use super::error::StartError;
use super::foundation::Foundation;
use crate::admin::{Api, Side};
use crate::audit::Audit;
use crate::base::Tasks;
use crate::config::{Config, KeyDeclaration};
use crate::upstream::Pool;
use crate::upstream::stdio::Launcher;

/// How long upstreams may take to end, and then everything else in the background.
const UPSTREAMS: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(5);

/// The API of a proxy that does not run.
pub struct Desk {
    api: Arc<Api>,
    pool: Arc<Pool>,
    audit: Option<Audit>,
    tasks: Tasks,
    /// Keys of the file that it does not know, and why.
    pub left_out: Vec<String>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// Opens it. Keys of the file whose value cannot be found are left out: whoever types a
    /// command need not have the environment of the proxy.
    ///
    /// # Errors
    /// When the proxy could not be built from the file either.
    pub async fn open(
        mut config: Config,
        foundation: &Foundation,
        resolve: &Resolve,
        launcher: Launcher,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let left_out = leave_out(&mut config, resolve);
        let config = Arc::new(config);
        let core = Core::new(config, foundation, resolve, launcher, None, tasks).await?;
        let api = api(foundation, &core, (None, None), tasks);
        let Core { pool, audit, .. } = core;
        Ok(Self { api, pool, audit, tasks: tasks.clone(), left_out })
    }

    /// Answers one request as the listener of the operator would.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let here = ([127, 0, 0, 1], 0).into();
        let served = self.api.clone().serve(request, here, Side::Operator).await;
        let (head, body) = served.into_parts();
        // It ends: nothing that goes on is asked for here.
        let body = body.collect().await.map_or_else(|never| match never {}, Collected::to_bytes);
        Response::from_parts(head, body)
    }

    /// Ends what was started for the answers.
    pub async fn close(self) {
        self.pool.close_all(UPSTREAMS).await;
        self.tasks.finish(REST).await;
        if let Some(audit) = &self.audit {
            let lost = audit.close(REST).await;
            if lost > 0 {
                tracing::error!(lost, "what was done is not in the audit: it could not be written");
            }
        }
    }
}

fn leave_out(config: &mut Config, resolve: &Resolve) -> Vec<String> {
    let mut left_out = Vec::new();
    let mut sift = |owner: &str, keys: &mut Vec<KeyDeclaration>| {
        keys.retain(|key| match resolve(&key.source) {
            Ok(_) => true,
            Err(reason) => {
                left_out
                    .push(format!("the key `{}` of {owner} has no value here: {reason}", key.name));
                false
            }
        });
    };
    for (name, tenant) in &mut config.tenants {
        sift(&format!("the tenant `{name}`"), &mut tenant.keys);
    }
    sift("the operator", &mut config.admin.keys);
    left_out
}
