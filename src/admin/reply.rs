//! The one place where the API's answers and problems become HTTP.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::answer::{Content, Reply};
use super::problem::{Problem, UpstreamError};
use super::reload;
use super::stream::{ApiBody, whole};
use crate::base::{Fault, Kind, Retry};

/// An answer.
pub(super) fn reply(reply: Reply) -> Response<ApiBody> {
    let streams = matches!(reply.body, Some(Content::Events(_)));
    let body = match reply.body {
        None => whole(Bytes::new()),
        Some(Content::Value(value)) => whole(Bytes::from(value.to_string())),
        Some(Content::Text(text)) => whole(text),
        Some(Content::Events(events)) => events,
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if streams {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // Proxies that buffer must not.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    } else if reply.status != 204 {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in [(header::ETAG, reply.etag), (header::LOCATION, reply.location)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    if reply.repeated {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    guarded(response)
}

/// A reader has it already.
pub(super) fn not_modified(etag: &str) -> Response<ApiBody> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    guarded(response)
}

/// A problem as an answer.
pub(super) fn refusal(problem: &Problem) -> Response<ApiBody> {
    let (status, ..) = class(problem);
    let mut response = Response::new(whole(Bytes::from(document(problem))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match problem {
        Problem::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Problem::Method(allowed) => {
            if let Ok(allowed) = HeaderValue::from_str(allowed) {
                headers.insert(header::ALLOW, allowed);
            }
        }
        Problem::Unavailable(_) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        // The rest of the body is not read.
        Problem::TooLarge(_) | Problem::TooSlow => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Problem::Changed(etag) if etag.starts_with('"') => {
            if let Ok(etag) = HeaderValue::from_str(etag) {
                headers.insert(header::ETAG, etag);
            }
        }
        Problem::Fault(fault) => {
            if let Some(wait) = wait(&fault.kind) {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
        }
        _ => {}
    }
    guarded(response)
}

/// A problem as a document (RFC 9457). Its `type` is a name and leads nowhere.
pub(super) fn document(problem: &Problem) -> String {
    match problem {
        Problem::Internal(reason) => tracing::error!(%reason, "the API failed"),
        Problem::Fault(fault) if fault.kind == Kind::Internal => {
            tracing::error!(reason = fault.private.as_deref(), "the API failed");
        }
        Problem::Fault(fault) => {
            tracing::debug!(kind = ?fault.kind, detail = fault.private.as_deref(), "refused");
        }
        _ => {}
    }
    let (status, name, title) = class(problem);
    let mut body = json!({
        "type": format!("urn:mcp-proxy:problem:{name}"),
        "title": title,
        "status": status.as_u16(),
        "detail": problem.to_string(),
    });
    match problem {
        Problem::File(refusal) => {
            body["problems"] = json!(reload::problems(refusal));
            body.to_string()
        }
        Problem::Document(problems) => {
            body["problems"] = json!(problems.iter().map(reload::about).collect::<Vec<_>>());
            body.to_string()
        }
        Problem::Fault(fault) => {
            body["retry"] = json!(retry(fault));
            if let Kind::Limited { limit, wait } = &fault.kind {
                body["limit"] = json!(limit);
                body["retryAfter"] = json!(wait);
            }
            body.to_string()
        }
        Problem::Answered(error) => {
            body["retry"] = json!(if status == StatusCode::BAD_GATEWAY { MAYBE } else { "never" });
            let text = body.to_string();
            // As it came: what stands in it may be more than our values can hold.
            format!("{},\"error\":{}}}", text.strip_suffix('}').unwrap_or_default(), error.text)
        }
        _ => body.to_string(),
    }
}

/// What every answer says: nobody between us keeps it, and no page takes it for something else.
fn guarded(mut response: Response<ApiBody>) -> Response<ApiBody> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const MAYBE: &str = "may_have_run";

/// Whether the same call may be made again, as one word.
fn retry(fault: &Fault) -> &'static str {
    match (fault.retry, &fault.kind) {
        (Retry::MayHaveRun, _) => MAYBE,
        // Later it is another matter.
        (Retry::Safe, _) | (_, Kind::Limited { .. } | Kind::Busy) => "safe",
        (Retry::Never, _) => "never",
    }
}

/// After how many seconds it is worth to come back.
fn wait(kind: &Kind) -> Option<u64> {
    match kind {
        Kind::Limited { wait, .. } => Some(*wait),
        Kind::Busy => Some(5),
        _ => None,
    }
}

/// Status, name and title of a kind of problem.
type Class = (StatusCode, &'static str, &'static str);

fn class(problem: &Problem) -> Class {
    match problem {
        Problem::Foreign(_) => (StatusCode::FORBIDDEN, "foreign-origin", "Host or Origin refused"),
        Problem::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key"),
        Problem::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Problem::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
        Problem::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed"),
        Problem::Document(_) => (StatusCode::BAD_REQUEST, "upstream", "Not a good upstream"),
        Problem::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid", "Wrong request"),
        Problem::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large"),
        Problem::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "Body too slow"),
        Problem::MediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Wrong Content-Type")
        }
        Problem::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Conflict"),
        Problem::Declared { .. } => (StatusCode::CONFLICT, "declared", "Declared in the file"),
        Problem::File(_) => (StatusCode::UNPROCESSABLE_ENTITY, "file", "The file is refused"),
        Problem::Changed(_) => (StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile"),
        Problem::MustMatch(_) => {
            (StatusCode::PRECONDITION_REQUIRED, "must-match", "If-Match needed")
        }
        Problem::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now")
        }
        Problem::Fault(fault) => class_of_fault(&fault.kind),
        Problem::Answered(error) => class_of_error(error),
        Problem::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal failure"),
    }
}

const INVALID: Class = (StatusCode::BAD_REQUEST, "invalid", "Wrong request");
const NOT_FOUND: Class = (StatusCode::NOT_FOUND, "not-found", "Not found");
const NEEDS_ANSWER: Class =
    (StatusCode::UNPROCESSABLE_ENTITY, "needs-answer", "The tool asks for what cannot be asked");

fn class_of_fault(kind: &Kind) -> Class {
    match kind {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key"),
        Kind::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Kind::UnknownName | Kind::NoSuchDoor | Kind::UnknownResource(_) => NOT_FOUND,
        Kind::Limited { .. } => (StatusCode::TOO_MANY_REQUESTS, "limited", "A limit is reached"),
        Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        Kind::NeedsSetup => (StatusCode::CONFLICT, "needs-setup", "Secrets are missing"),
        Kind::NeedsLogin { .. } => (StatusCode::CONFLICT, "needs-login", "Somebody has to log in"),
        Kind::Undeclared(_) => NEEDS_ANSWER,
        Kind::Upstream => (StatusCode::BAD_GATEWAY, "upstream", "The upstream failed"),
        Kind::UpstreamTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, "upstream-timeout", "The upstream is too slow")
        }
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal failure"),
        _ => INVALID,
    }
}

/// What the code of an upstream says about whose fault it is.
fn class_of_error(error: &UpstreamError) -> Class {
    match error.code {
        -32602 => INVALID,
        -32021 => NEEDS_ANSWER,
        _ => (StatusCode::BAD_GATEWAY, "upstream", "The upstream refused"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_the_log_may_read_is_in_no_problem() {
        let internal = Problem::Internal("secret detail".to_owned());
        let fault = Fault::upstream(Retry::Safe, "it failed").because("secret detail");
        for problem in [internal, Fault::internal("secret detail").into(), fault.into()] {
            let text = document(&problem);
            assert!(!text.contains("secret detail"), "{text}");
        }
    }

    #[test]
    fn an_error_of_an_upstream_stays_as_it_came() {
        let error = r#"{"code":-32602,"message":"no","data":{"n":1.10}}"#;
        let problem = Problem::Answered(Box::new(UpstreamError::read(error)));
        let text = document(&problem);
        assert!(text.ends_with(&format!(",\"error\":{error}}}")), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["status"], &value["retry"]), (&json!(400), &json!("never")));
    }
}
