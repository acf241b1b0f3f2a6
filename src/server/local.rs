//! The listener for commands on the same machine: a socket in the file system.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::connection::Grace;
use super::entrance::Entrance;
use super::listen::talk;
use crate::base::Tasks;

/// Most connections at a time.
const MOST: usize = 64;
/// After a failed accept it is tried again this much later.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Where its clients are, for what is logged about them.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Takes connections until the drain begins.
pub async fn listen_local(listener: UnixListener, entrance: Entrance, tasks: Tasks, grace: Grace) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = grace.begun() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no local connection could be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(MOST, "too many local connections; one was refused");
            continue;
        };
        let (entrance, grace, owner) = (entrance.clone(), grace.clone(), tasks.clone());
        tasks.spawn("local connection", async move {
            talk(TokioIo::new(stream), false, PEER, entrance, owner, grace).await;
            drop(place);
        });
    }
}
