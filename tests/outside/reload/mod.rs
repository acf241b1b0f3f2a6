//! The file changes while the proxy serves: what it does not touch goes on, what it touches is
//! another from then on, and a file that is wrong changes nothing.

mod keys;
mod load;
mod refused;
mod rest;
mod rules;
mod upstreams;
mod world;
