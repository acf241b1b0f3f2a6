//! The doors for clients: listener, guard, routes and replies. Knows no tenant: it asks who is
//! there, hands over what was posted, and words what comes back.

mod body;
mod connection;
mod door;
mod guard;
mod listen;
mod probe;
mod reply;
mod tls;

pub use connection::Grace;
pub use door::Doors;
pub use guard::Guard;
pub use listen::listen;
pub use probe::Readiness;
pub use tls::{TlsAcceptor, TlsError, acceptor};
