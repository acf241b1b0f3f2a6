//! Errors as clients of an OAuth server expect them (RFC 6749, sections 4.1.2.1 and 5.2; RFC 7591,
//! section 3.2.2; RFC 8707, section 2).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use super::form::Twice;
use super::page::Whole;
use crate::telemetry::metrics::OAuthAnswer;

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {words}")]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    /// The word of the standard.
    pub(super) code: &'static str,
    /// For whoever looks for the cause.
    pub(super) words: String,
    /// After how many seconds it is worth to try again.
    pub(super) wait: Option<u64>,
}

impl OAuthError {
    pub(super) fn new(code: &'static str, words: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, words: words.into(), wait: None }
    }

    pub(super) fn request(words: impl Into<String>) -> Self {
        Self::new("invalid_request", words)
    }

    /// A code or a refresh token that is not good, for whatever reason.
    pub(super) fn grant() -> Self {
        Self::new(
            "invalid_grant",
            "the code or refresh token is not good, or not for this client; begin again with the authorization",
        )
    }

    /// A client that is not known, or does not prove who it is: it has to register again.
    pub(super) fn client() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            ..Self::new(
                "invalid_client",
                "this client is not known here, or did not prove who it is; register again",
            )
        }
    }

    pub(super) fn too_many(wait: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            wait: Some(wait),
            ..Self::new("temporarily_unavailable", "too many requests from this address; wait")
        }
    }

    pub(super) fn unavailable() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            wait: Some(5),
            ..Self::new("temporarily_unavailable", "the store does not answer; try again soon")
        }
    }

    /// As it is counted.
    pub(super) fn counted(&self) -> OAuthAnswer {
        match (self.status, self.code) {
            (StatusCode::TOO_MANY_REQUESTS, _) => OAuthAnswer::Limited,
            (StatusCode::SERVICE_UNAVAILABLE, _) => OAuthAnswer::Failed,
            (_, "invalid_client") => OAuthAnswer::InvalidClient,
            (_, "invalid_grant") => OAuthAnswer::InvalidGrant,
            _ => OAuthAnswer::Refused,
        }
    }

    /// The answer of an endpoint.
    pub(super) fn reply(&self) -> Whole {
        let body = json!({ "error": self.code, "error_description": self.words });
        let mut response = reply(self.status, &body);
        let headers = response.headers_mut();
        if let Some(wait) = self.wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        response
    }
}

impl From<Twice> for OAuthError {
    fn from(Twice(name): Twice) -> Self {
        Self::request(format!("`{name}` came more than once"))
    }
}

/// An answer in JSON that is not to be kept.
pub(super) fn reply(status: StatusCode, body: &serde_json::Value) -> Whole {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    super::page::private(headers);
    response
}
