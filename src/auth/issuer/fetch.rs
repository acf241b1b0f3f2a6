//! Fetches a document of an issuer. What the file names is trusted; what a document names may only
//! lead to the public internet.

use bytes::Bytes;
use url::Url;

use crate::egress::{Egress, Trust};

/// Fetches documents.
#[derive(Default)]
pub(super) struct Fetcher(Egress);

impl Fetcher {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The document at a URL.
    pub(super) async fn fetch(&self, url: &Url, trust: Trust) -> Result<Bytes, String> {
        let fetched = self.0.get(url, trust).await.map_err(|error| match trust {
            Trust::Operator => format!("{url}: {error}"),
            // What somebody else's document names is nobody's business.
            _ => format!("the issuer's document names a place that is not asked: {error}"),
        })?;
        if fetched.status != http::StatusCode::OK {
            return Err(format!("{url} answered {}", fetched.status));
        }
        Ok(fetched.body)
    }
}
