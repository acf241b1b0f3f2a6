//! Out: links to upstream servers, over pipes and over HTTP.

mod breaker;
mod handshake;
mod http;
mod link;
mod pool;
mod question;
pub mod stdio;

pub use breaker::Breaker;
pub use handshake::{
    Verdict, discover, initialize, initialized, judge_discover, judge_initialize, own_request,
};
pub use http::{Arriving, HttpClient, HttpTarget, MESSAGE_LIMIT, open as open_http};
pub use link::{
    Cause, Event, Exchange, Facts, Holder, Interest, Link, LinkError, LinkKey, Message, Outgoing,
    Pending, Ran, Reply, Sink,
};
pub use pool::{Lease, LinkChange, LinkNews, LinkState, Pool};
pub use question::{Asker, need, refusal};
