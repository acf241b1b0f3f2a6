//! `mcp-proxy doctor`: looks at the file, the machine, the upstreams and the public URL, and says
//! what is wrong, why, and what to do. `--as CLIENT` does what that client does.

mod command;
mod file;
mod finding;
mod layer;
mod limit;
mod login;
mod machine;
mod page;
mod public;
mod recorded;
mod replay;
mod stream;
mod talk;
mod upstreams;
mod wire;

pub(super) use command::DoctorCommand;
