//! The harness of the tests from outside: the built program, real peers, hostile bytes.
//!
//! Nothing in here sleeps: what has to happen is waited for, with a deadline.

mod canary;
mod cli;
mod mcp;
mod peers;
mod process;
mod program;
mod proxy;
mod raw;
mod scene;
mod stream;
mod swarm;

pub(crate) use canary::Canary;
pub(crate) use mcp::{Client, Era, sentence, text};
pub(crate) use peers::{Peer, Peers, found, install, say};
pub(crate) use process::{Process, until};
pub(crate) use program::{address_in, asker, everything, serve_everything, serve_tasker, tasker};
pub(crate) use proxy::{Proxy, Setup};
pub(crate) use raw::{ABSENT, Answer, Raw, post};
pub(crate) use scene::{DOOR, MAX_BODY, Scene, body, call, good, nested};
pub(crate) use stream::{Event, Stream};
pub(crate) use swarm::{Swarm, raise_open_files};

pub(crate) use program::{canned, exact};
