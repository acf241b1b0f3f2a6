//! Upstreams that are child processes: started, spoken to over pipes, and ended with their whole
//! tree.
//!
//! A child is never started directly. Between the proxy and the program stands a *guardian*: the
//! proxy's own binary with the hidden subcommand `child` ([`child`]), one per link. It is the
//! sub-reaper of everything that the program starts, so also what hides behind `setsid` or a
//! double fork comes back to it, and it ends only when nothing of the tree is left. It needs no
//! extra descriptor to learn that the proxy is gone: it keeps the read end of the program's
//! standard input without ever reading it, and when the last write end closes, because the proxy
//! closed it or died by any signal, the kernel says so (`EPOLLHUP`). A parent-death signal would
//! not do here, since it fires when the spawning *thread* ends.
//!
//! The other way round, a guardian that is killed takes the program with it (parent-death signal
//! set between fork and exec), and the proxy then ends what carries the tree's mark in its
//! environment ([`MARK`]).

mod call;
mod dispatch;
mod frame;
mod guardian;
mod history;
mod launch;
mod link;
mod listen;
mod logs;
mod open;
mod output;
mod owner;
mod shared;
mod spec;
mod stderr;
mod table;
mod writer;

pub(in crate::upstream) use call::{Arrival, Call, PipeExchange};
pub use guardian::child;
pub use history::{EVERY, HistoryReport, KEPT, ProcessReport, Usage};
pub use link::StdioLink;
pub use logs::{Log, Logs};
pub use open::open;
pub(in crate::upstream) use shared::{End, Shared, Ways};
pub use spec::{ChildSpec, EraMemory, Launcher, MARK, Redact, passes};
pub(in crate::upstream) use writer::Item;
