//! Upstreams that are killed, hang, stop or never start: what their callers and everybody else
//! notice. Needs `/proc`.

mod kills;
mod load;
mod single;
mod world;
