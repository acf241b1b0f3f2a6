//! `/metrics`: what the process counts, for a Prometheus.
//!
//! Who reads it is the file's word. Without one it takes a key of the operator, which every
//! Prometheus can send (`authorization` in its `scrape_configs`): the page names upstreams and says
//! how busy they are, and a peer on this machine is no evidence, since behind a reverse proxy
//! everybody is one. With a listener of the operator's own it is there and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::problem::Problem;
use super::router::Who;
use super::serve::Api;
use super::stream::{ApiBody, whole};
use crate::config::Readers;
use crate::telemetry::metrics::{Form, Kind, Page};

/// The page, for whoever may read it.
pub(super) async fn show(
    api: &Arc<Api>,
    headers: &HeaderMap,
) -> Result<Response<ApiBody>, Problem> {
    if api.config().telemetry.metrics == Readers::Operator {
        let caller = api.auth.identify(headers).await;
        Who::Operator.admits(&caller.map_err(|denied| api.denied(denied))?)?;
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let form = Form::wanted(accept);
    let store = api.auth.store_answers();
    let line = api.line.clone();
    // It reads the process table.
    let written = api.tasks.spawn_blocking("metrics", move || {
        let mut page = Page::new(form);
        line.write_metrics(&mut page);
        let help = "Whether the store gave an answer when it was last asked.";
        page.single("mcp_proxy_store_up", Kind::Gauge, help, u8::from(store));
        page.finish()
    });
    let text = written.await.map_err(|error| Problem::Internal(error.to_string()))?;
    let mut response = Response::new(whole(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
