//! Spans as OTLP/JSON (OpenTelemetry protocol 1.x, `ExportTraceServiceRequest`), with the
//! attributes of the semantic conventions for MCP.

use std::time::Duration;

use serde_json::{Value, json};

use super::context::written;
use super::span::{Ended, Trace};

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// The body of an export.
pub(super) fn encode(service: &str, instance: &str, spans: &[Value]) -> String {
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", service),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", instance),
        ]},
        "scopeSpans": [{
            "scope": {"name": "mcp-proxy", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]})
    .to_string()
}

/// The spans of one request: its own, and when it went to an upstream the one of that.
pub(super) fn spans(trace: &Trace, ended: &Ended) -> Vec<Value> {
    let parent = trace.incoming.as_ref().map(|incoming| incoming.parent.span);
    let own = span(trace, (trace.own, parent), SERVER, Duration::ZERO, ended);
    let Some(sent) = trace.sent.get() else { return vec![own] };
    vec![own, span(trace, (trace.onward, Some(trace.own)), CLIENT, *sent, ended)]
}

fn span(
    trace: &Trace,
    (id, parent): ([u8; 8], Option<[u8; 8]>),
    kind: u8,
    after: Duration,
    ended: &Ended,
) -> Value {
    let target = ended.tool.as_deref().or(ended.prompt.as_deref());
    let mut attributes = vec![
        text("mcp.method.name", &ended.method),
        text("mcp_proxy.tenant", ended.tenant.as_str()),
        text("mcp_proxy.outcome", ended.outcome),
    ];
    if let Some(upstream) = &ended.upstream {
        attributes.push(text("mcp_proxy.upstream", upstream.as_str()));
    }
    if let Some(tool) = &ended.tool {
        attributes.push(text("gen_ai.operation.name", "execute_tool"));
        attributes.push(text("gen_ai.tool.name", tool));
    }
    if let Some(prompt) = &ended.prompt {
        attributes.push(text("gen_ai.prompt.name", prompt));
    }
    let time = |after: Duration| {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        trace.began.saturating_add(nanos).to_string()
    };
    let mut span = json!({
        "traceId": written(&trace.trace),
        "spanId": written(&id),
        "name": target.map_or_else(|| ended.method.to_string(), |name| format!("{} {name}", ended.method)),
        "kind": kind,
        "startTimeUnixNano": time(after),
        "endTimeUnixNano": time(ended.took.max(after)),
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(written(&parent));
    }
    if let Some(state) = trace.state() {
        span["traceState"] = json!(state);
    }
    if ended.failed {
        let tool = ended.tool.is_some() && ended.outcome == "error";
        attributes.push(text("error.type", if tool { "tool_error" } else { ended.outcome }));
        span["status"] = json!({"code": ERROR});
    }
    span["attributes"] = json!(attributes);
    span
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::base::Name;
    use crate::telemetry::trace::{Context, Incoming};

    fn trace(sent: Option<Duration>) -> Trace {
        let parent = Context { trace: [1; 16], span: [2; 8], sampled: true };
        let slot = OnceLock::new();
        if let Some(sent) = sent {
            slot.set(sent).unwrap();
        }
        Trace {
            trace: [1; 16],
            incoming: Some(Incoming { parent, state: Some("a=b".into()) }),
            own: [3; 8],
            onward: [4; 8],
            sampled: true,
            began: 1_000,
            sent: slot,
        }
    }

    fn ended(outcome: &'static str, failed: bool) -> Ended {
        Ended {
            method: "tools/call".into(),
            tenant: Name::new("acme").unwrap(),
            upstream: Name::new("gh").ok(),
            tool: Some("create".into()),
            prompt: None,
            outcome,
            failed,
            took: Duration::from_nanos(50),
        }
    }

    fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
        let list = span["attributes"].as_array().unwrap();
        list.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str()
    }

    #[test]
    fn the_upstream_s_span_is_within_the_proxy_s_and_that_within_the_client_s() {
        let spans = spans(&trace(Some(Duration::from_nanos(20))), &ended("error", true));
        let [own, onward] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(own["traceId"], "01".repeat(16));
        assert_eq!(
            (&own["spanId"], &own["parentSpanId"]),
            (&json!("03".repeat(8)), &json!("02".repeat(8)))
        );
        assert_eq!(
            (&onward["spanId"], &onward["parentSpanId"]),
            (&json!("04".repeat(8)), &own["spanId"])
        );
        assert_eq!(
            (&own["startTimeUnixNano"], &onward["startTimeUnixNano"]),
            (&json!("1000"), &json!("1020"))
        );
        assert_eq!(
            (&own["endTimeUnixNano"], &onward["endTimeUnixNano"]),
            (&json!("1050"), &json!("1050"))
        );
        assert_eq!((&own["kind"], &onward["kind"]), (&json!(2), &json!(3)));
        assert_eq!(own["name"], "tools/call create");
        assert_eq!(own["traceState"], "a=b");
        assert_eq!(attribute(own, "error.type"), Some("tool_error"));
        assert_eq!(attribute(onward, "mcp_proxy.upstream"), Some("gh"));
        assert_eq!(own["status"]["code"], 2);
    }

    #[test]
    fn what_went_nowhere_has_one_span() {
        let spans = spans(&trace(None), &ended("limited", true));
        assert_eq!(spans.len(), 1);
        assert_eq!(attribute(&spans[0], "error.type"), Some("limited"));
    }
}
