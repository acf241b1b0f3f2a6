//! What the running proxy counts and traces: `/metrics` agrees with what was done and is what a
//! Prometheus reads, traces join the client with the upstream and reach a collector, and without
//! one what a client says of traces passes as it was written.

pub(crate) mod access;
mod counts;
pub(crate) mod page;
mod real;
mod recorder;
mod traces;
