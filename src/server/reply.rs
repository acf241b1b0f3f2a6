//! The one place where a fault becomes codes, statuses and sentences (protocol.md 1.3, and the
//! table of answers to bad input).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ReplyBody;
use crate::base::{Fault, Kind};
use crate::pipeline::{Answer, Body, LOGIN_KEY, Outcome};
use crate::wire::header::SESSION;
use crate::wire::json::quote;
use crate::wire::{Era, IdText, Revision};

/// Words an outcome.
pub(super) fn reply(outcome: Outcome) -> Response<ReplyBody> {
    let Outcome { id, era, tool, answer } = outcome;
    match answer {
        Ok(answer) => good(answer, id, era, tool),
        Err(fault) => {
            log(&fault);
            let (status, _) = codes(&fault.kind, era);
            let status =
                if is_tool_result(tool, era, &fault.kind) { StatusCode::OK } else { status };
            let mut response = json(status, Bytes::from(fault_message(&id, era, tool, &fault)));
            finish(&mut response, &fault.kind);
            response
        }
    }
}

/// Words a fault of a request whose body was not read: there is no id.
pub(super) fn refusal(fault: &Fault) -> Response<ReplyBody> {
    log(fault);
    let (status, _) = codes(&fault.kind, Era::Legacy);
    let text = if fault.kind == Kind::Unauthenticated {
        format!("{{\"error\":\"unauthorized\",\"message\":{}}}", quote(&fault.public))
    } else {
        fault_message("null", Era::Legacy, false, fault)
    };
    let mut response = json(status, Bytes::from(text));
    finish(&mut response, &fault.kind);
    response
}

fn good(answer: Answer, id: IdText, era: Era, tool: bool) -> Response<ReplyBody> {
    let mut response = match answer.body {
        Body::Empty => Response::new(ReplyBody::whole(Bytes::new())),
        Body::Json(bytes) => json(StatusCode::OK, bytes),
        Body::Pieces(pieces) => typed(ReplyBody::pieces(pieces), "application/json"),
        Body::Passing(passing) => typed(ReplyBody::passing(*passing), "application/json"),
        Body::Events(feed) => {
            let mut response = typed(ReplyBody::events(feed, id, era, tool), "text/event-stream");
            let headers = response.headers_mut();
            headers
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
            // Proxies that buffer must not (protocol.md 1.1).
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            response
        }
    };
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    if let Some(session) = answer.session.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(SESSION, session);
    }
    response
}

fn json(status: StatusCode, bytes: Bytes) -> Response<ReplyBody> {
    let mut response = typed(ReplyBody::whole(bytes), "application/json");
    *response.status_mut() = status;
    response
}

fn typed(body: ReplyBody, content_type: &'static str) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Headers that belong to a refusal.
fn finish(response: &mut Response<ReplyBody>, kind: &Kind) {
    let headers = response.headers_mut();
    match kind {
        // Without OAuth metadata: clients that find some ignore the key in their header.
        Kind::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Kind::Forbidden(scope) => {
            // RFC 6750, section 3.1. A scope has neither quote nor backslash in it.
            let scope = scope.as_ref().map_or_else(String::new, |s| format!(", scope=\"{s}\""));
            let challenge = format!("Bearer error=\"insufficient_scope\"{scope}");
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
        }
        Kind::HttpMethod(allowed) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        Kind::Busy => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Kind::Limited { wait, .. } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*wait));
        }
        // The rest of the body is not read.
        Kind::HeadTooLarge | Kind::TooLarge | Kind::BodyTimeout => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
}

fn log(fault: &Fault) {
    if fault.kind == Kind::Internal {
        tracing::error!(reason = fault.private.as_deref(), "internal fault");
    } else {
        tracing::debug!(kind = ?fault.kind, reason = %fault.public, detail = fault.private.as_deref(), "refused");
    }
}

/// HTTP status and JSON-RPC code of a fault.
fn codes(kind: &Kind, era: Era) -> (StatusCode, i32) {
    let modern = era == Era::Modern;
    match kind {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, -32600),
        Kind::ForeignOrigin | Kind::Forbidden(_) => (StatusCode::FORBIDDEN, -32600),
        Kind::NoSuchDoor => (StatusCode::NOT_FOUND, -32600),
        Kind::HttpMethod(_) => (StatusCode::METHOD_NOT_ALLOWED, -32600),
        Kind::NotJson => (StatusCode::BAD_REQUEST, -32700),
        Kind::NotMessage | Kind::NoSession | Kind::Tenant => (StatusCode::BAD_REQUEST, -32600),
        Kind::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, -32600),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, -32600),
        Kind::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, -32600),
        Kind::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, -32600),
        Kind::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, -32600),
        Kind::UnknownMethod if modern => (StatusCode::NOT_FOUND, -32601),
        Kind::UnknownMethod => (StatusCode::OK, -32601),
        Kind::InvalidParams | Kind::UnknownName => (StatusCode::OK, -32602),
        Kind::MissingMeta => (StatusCode::BAD_REQUEST, -32602),
        Kind::HeaderMismatch => (StatusCode::BAD_REQUEST, -32020),
        Kind::UnsupportedVersion(_) => (StatusCode::BAD_REQUEST, -32022),
        Kind::UnknownSession => (StatusCode::NOT_FOUND, -32600),
        Kind::UnknownResource(_) if modern => (StatusCode::OK, -32602),
        Kind::UnknownResource(_) => (StatusCode::OK, -32002),
        Kind::Undeclared(_) if modern => (StatusCode::BAD_REQUEST, -32021),
        Kind::NeedsLogin { asked: true, .. } => (StatusCode::OK, -32042),
        Kind::Upstream
        | Kind::UpstreamTimeout
        | Kind::NeedsSetup
        | Kind::NeedsLogin { .. }
        | Kind::Undeclared(_) => (StatusCode::OK, -32603),
        // Outside what JSON-RPC and MCP keep for themselves (R22).
        Kind::Limited { .. } => (StatusCode::TOO_MANY_REQUESTS, -31_429),
        Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, -32603),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, -32603),
    }
}

/// A tool whose upstream failed has a result that says so: the model can read it and go on.
fn is_tool_result(tool: bool, era: Era, kind: &Kind) -> bool {
    let result = match kind {
        Kind::Upstream | Kind::UpstreamTimeout | Kind::NeedsSetup => true,
        Kind::NeedsLogin { asked, .. } => !asked,
        Kind::Undeclared(_) => era == Era::Legacy,
        _ => false,
    };
    tool && result
}

/// A fault as a JSON-RPC message.
pub(super) fn fault_message(id: &str, era: Era, tool: bool, fault: &Fault) -> String {
    let text = quote(&fault.public);
    if let (Era::Modern, Kind::NeedsLogin { at, asked: true }) = (era, &fault.kind) {
        let link = quote(&at.link);
        return format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"input_required\",\
             \"inputRequests\":{{\"{LOGIN_KEY}\":{{\"method\":\"elicitation/create\",\"params\":\
             {{\"mode\":\"url\",\"message\":{text},\"url\":{link}}}}}}}}}}}"
        );
    }
    if is_tool_result(tool, era, &fault.kind) {
        let complete = if era == Era::Modern { "\"resultType\":\"complete\"," } else { "" };
        return format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{complete}\"content\":[{{\"type\":\"text\",\
             \"text\":{text}}}],\"isError\":true}}}}"
        );
    }
    let (_, code) = codes(&fault.kind, era);
    let data = match &fault.kind {
        Kind::UnsupportedVersion(requested) => format!(
            ",\"data\":{{\"supported\":[\"{}\"],\"requested\":{}}}",
            Revision::LATEST_MODERN.as_str(),
            quote(requested)
        ),
        Kind::Undeclared(required) if era == Era::Modern => {
            format!(",\"data\":{{\"requiredCapabilities\":{required}}}")
        }
        Kind::Limited { limit, wait } => {
            format!(",\"data\":{{\"limit\":\"{limit}\",\"retryAfter\":{wait}}}")
        }
        Kind::NeedsLogin { at, asked: true } => {
            // Whoever waits for its end asks again: there is no word of it (protocol.md 5.3).
            format!(
                ",\"data\":{{\"elicitations\":[{{\"mode\":\"url\",\"elicitationId\":{},\"url\":{},\"message\":{}}}]}}",
                quote(&format!("login-{}", at.upstream)),
                quote(&at.link),
                text
            )
        }
        Kind::UnknownResource(uri) => format!(",\"data\":{{\"uri\":{}}}", quote(uri)),
        _ => String::new(),
    };
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":{text}{data}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_may_read_never_reaches_the_client() {
        let fault = Fault::internal("secret detail");
        for tool in [true, false] {
            let text = fault_message("1", Era::Modern, tool, &fault);
            assert!(!text.contains("secret detail"), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn an_unknown_version_is_told_which_are_spoken() {
        let fault = Fault::client(Kind::UnsupportedVersion("1900-01-01".into()), "no");
        let value: serde_json::Value =
            serde_json::from_str(&fault_message("\"x\"", Era::Modern, false, &fault)).unwrap();
        assert_eq!(value["error"]["code"], -32022);
        assert_eq!(value["error"]["data"]["requested"], "1900-01-01");
        assert_eq!(value["id"], "x");
    }
}
