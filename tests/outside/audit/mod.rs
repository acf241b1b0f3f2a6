//! The audit of the running proxy: each request leaves one record that says what came of it, also
//! when its client or its upstream has gone, when the process is killed, and when the disk takes
//! nothing; and nothing of what was said is in it.

mod command;
mod kills;
mod outcomes;
mod store;
mod upstream;
