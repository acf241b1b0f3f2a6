//! The one place where the API's answers and problems become HTTP.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::answer::Reply;
use super::problem::Problem;
use super::reload;

/// An answer.
pub(super) fn reply(reply: Reply) -> Response<Bytes> {
    let body = reply.body.map(|body| Bytes::from(body.to_string()));
    let mut response = Response::new(body.unwrap_or_default());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if reply.status != 204 {
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
pub(super) fn not_modified(etag: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    guarded(response)
}

/// A problem as a document (RFC 9457). Its `type` is a name and leads nowhere.
pub(super) fn refusal(problem: &Problem) -> Response<Bytes> {
    if let Problem::Internal(reason) = problem {
        tracing::error!(%reason, "the API failed");
    }
    let (status, name, title) = class(problem);
    let mut body = json!({
        "type": format!("urn:mcp-proxy:problem:{name}"),
        "title": title,
        "status": status.as_u16(),
        "detail": problem.to_string(),
    });
    if let Problem::File(refusal) = problem {
        body["problems"] = json!(reload::problems(refusal));
    }
    let mut response = Response::new(Bytes::from(body.to_string()));
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
        _ => {}
    }
    guarded(response)
}

/// What every answer says: nobody between us keeps it, and no page takes it for something else.
fn guarded(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Status, name and title of each kind of problem.
fn class(problem: &Problem) -> (StatusCode, &'static str, &'static str) {
    match problem {
        Problem::Foreign(_) => (StatusCode::FORBIDDEN, "foreign-origin", "Host or Origin refused"),
        Problem::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key"),
        Problem::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Problem::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
        Problem::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed"),
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
        Problem::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal failure"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_may_read_is_in_no_problem() {
        let response = refusal(&Problem::Internal("secret detail".to_owned()));
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(!text.contains("secret detail"), "{text}");
    }
}
