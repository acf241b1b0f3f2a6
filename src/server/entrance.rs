//! What stands behind a listener: the doors, or something else that answers plain HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::body::ReplyBody;
use super::connection::Activity;
use super::door::Doors;

/// Most connections at a time to a listener with nothing but what is mounted.
const MOUNTED: usize = 256;

/// The body of an answer of something mounted.
pub type MountBody = UnsyncBoxBody<Bytes, Infallible>;

/// Something that answers plain HTTP. It judges Host, Origin and key itself, before it reads a
/// body.
pub type Mount = Arc<
    dyn Fn(
            Request<Incoming>,
            SocketAddr,
        ) -> Pin<Box<dyn Future<Output = Response<MountBody>> + Send>>
        + Send
        + Sync,
>;

/// The paths of the main listener that belong to what is mounted.
pub(super) fn is_mounted(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || matches!(path, "/health" | "/metrics")
}

/// What stands behind a listener. Clones are cheap.
#[derive(Clone)]
pub enum Entrance {
    /// The doors.
    Doors(Arc<Doors>),
    /// Nothing but this.
    Mount(Mount),
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Doors(_) => "Doors",
            Self::Mount(_) => "Mount",
        })
    }
}

impl Entrance {
    /// Most connections at a time.
    pub(super) fn max_connections(&self) -> usize {
        match self {
            Self::Doors(doors) => doors.max_connections(),
            Self::Mount(_) => MOUNTED,
        }
    }

    /// Serves one request. It never fails: whatever happens has a reply.
    pub(super) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        activity: &Arc<Activity>,
    ) -> Result<Response<ReplyBody>, Infallible> {
        match self {
            Self::Doors(doors) => doors.serve(request, peer, activity).await,
            Self::Mount(mount) => {
                let active = activity.begin();
                let response = mount(request, peer).await;
                Ok(response.map(|body| ReplyBody::mounted(body).holding(active)))
            }
        }
    }
}
