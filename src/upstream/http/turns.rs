//! Connecting in turns: a burst of calls must not become a burst of connections that the
//! upstream's queue for new ones drops. Who waits here takes a pooled connection as soon as one
//! is free.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Authority;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Connections to one host that are being made at a time.
const AT_ONCE: usize = 64;

/// A connector whose connections to one host are made in turns. Hosts do not wait for each other.
#[derive(Clone, Debug)]
pub(super) struct Turns<C> {
    connector: C,
    hosts: Arc<Mutex<HashMap<Option<Authority>, Arc<Semaphore>>>>,
}

impl<C> Turns<C> {
    pub(super) fn new(connector: C) -> Self {
        Self { connector, hosts: Arc::default() }
    }

    fn of(&self, uri: &Uri) -> Arc<Semaphore> {
        // As many entries as the file names hosts.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .entry(uri.authority().cloned())
            .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)))
            .clone()
    }
}

impl<C> Service<Uri> for Turns<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Future: Send,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (turns, mut connector) = (self.of(&uri), self.connector.clone());
        Box::pin(async move {
            // The semaphore is never closed; each connection has a time limit of its own.
            let _turn = turns.acquire().await;
            connector.call(uri).await
        })
    }
}
