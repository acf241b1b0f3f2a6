//! Links over streamable HTTP, for both eras.
//!
//! `client` connects and keeps connections, `connection` carries one request at a time, `head` and
//! `framing` know HTTP/1.1; `target` says where to and with which headers, `answer` judges what
//! comes back, `events` reads streams, `ladder` finds out the era, `core` keeps the session,
//! `conversation` follows one request, `desk` and `attended` bring questions to it, `listen` keeps
//! the link's own stream, `sse` is the older transport, `link` is the whole.

mod alarm;
mod answer;
mod attended;
mod client;
mod connection;
mod conversation;
mod core;
mod desk;
mod events;
mod framing;
mod head;
mod ladder;
mod link;
mod listen;
mod overlap;
mod sse;
mod target;

pub use answer::MESSAGE_LIMIT;
pub use client::HttpClient;
pub use connection::Arriving;
pub use link::open;
pub use target::HttpTarget;
