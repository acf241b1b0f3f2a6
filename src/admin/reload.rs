//! `POST /api/v1/reload`

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::base::{Name, rfc3339};
use crate::config::{self, Applied, Attempt, Difference, Refusal, Trigger};

pub(super) fn create(api: Arc<Api>, _call: Call) -> Answering {
    Box::pin(async move {
        let reload = api.reload.clone().ok_or_else(|| {
            Problem::Conflict(
                "the proxy runs without a file; write one with `mcp-proxy init` and start it with that"
                    .to_owned(),
            )
        })?;
        let attempt = reload.reload(Trigger::Operator).await;
        match &attempt.outcome {
            Ok(applied) => Ok(Reply::ok(value(&attempt, applied))),
            Err(refusal) => Err(Problem::File(refusal.clone())),
        }
    })
}

fn names(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

pub(super) fn value(attempt: &Attempt, applied: &Applied) -> Value {
    let Applied { difference, secrets, warnings } = applied;
    // Without `..`, so that a difference which is added is shown, too.
    let Difference {
        added,
        changed,
        relinked,
        removed,
        moved: _,
        profiles,
        tenants,
        // A reload is about the file.
        picks: _,
        settings,
        restart,
        views: _,
    } = difference;
    let secrets = secrets.iter().map(
        |(tenant, upstream)| json!({ "tenant": tenant.as_str(), "upstream": upstream.as_str() }),
    );
    json!({
        "at": rfc3339(attempt.at),
        "changed": !difference.is_empty() || !applied.secrets.is_empty(),
        "upstreams": {
            "added": names(added),
            "changed": names(changed),
            "restarted": names(relinked),
            "removed": names(removed),
        },
        "profiles": names(profiles),
        "tenants": names(tenants),
        "settings": settings,
        "needs_restart": restart,
        "secrets": secrets.collect::<Vec<_>>(),
        "warnings": warnings.iter().map(|warning| about(&warning.0)).collect::<Vec<_>>(),
    })
}

/// What is wrong with a file that is refused, one by one; none when it is something that the file
/// names.
pub(super) fn problems(refusal: &Refusal) -> Vec<Value> {
    match refusal {
        Refusal::Problems(problems) => problems.iter().map(about).collect(),
        Refusal::Unusable(_) => Vec::new(),
    }
}

pub(super) fn about(problem: &config::Problem) -> Value {
    let mut value = json!({ "file": &*problem.file, "message": problem.message });
    let mut tell = |name: &str, found: Option<Value>| {
        if let Some(found) = found {
            value[name] = found;
        }
    };
    tell("line", (problem.line > 0).then(|| json!(problem.line)));
    tell("column", (problem.column > 0).then(|| json!(problem.column)));
    tell("key", (!problem.key.is_empty()).then(|| json!(problem.key)));
    tell("value", problem.value.as_ref().map(|value| json!(value)));
    tell("hint", problem.hint.as_ref().map(|hint| json!(hint)));
    value
}
