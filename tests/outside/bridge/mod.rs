//! Questions of upstreams and the answers of clients, in every pair of eras, through the running
//! proxy.

mod crossing;
mod pairs;
mod parked;
mod rounds;
mod sdk;
pub(crate) mod speaker;
mod states;
mod undeclared;
mod wording;
