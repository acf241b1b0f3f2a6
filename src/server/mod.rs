//! The doors for clients: listener, guard, routes and replies. Knows no tenant: it asks who is
//! there, hands over what was posted, and words what comes back.

mod batch;
mod body;
mod connection;
mod connector;
mod conversation;
mod door;
mod entrance;
mod listen;
mod local;
mod media;
mod message;
mod pipe;
mod probe;
mod reply;
mod sse;
mod tls;
mod wake;

pub use connection::Grace;
pub use door::Doors;
pub use entrance::{Entrance, Mount, MountBody};
pub use listen::listen;
pub use local::listen_local;
pub use pipe::{Ended, pipe};
pub use probe::Readiness;
pub use tls::{Acceptor, TlsAcceptor, TlsError, acceptor};
