//! The API for whoever looks after tenants, from outside: who may do what there (`table`) and at the
//! doors of MCP (`doors`), what the routes do (`flows`, `writes`, `upstreams`, `profiles`, `picks`,
//! `seal`), what is written down of it (`audited`, `bodies`) and told as it happens (`events`),
//! whose handles are whose (`handles`,
//! `foreign`), and that the OpenAPI document tells the truth (`openapi`).

mod audited;
mod bodies;
mod doors;
mod events;
mod flows;
mod foreign;
mod handles;
mod openapi;
mod picks;
mod profiles;
mod seal;
mod table;
mod upstreams;
pub(crate) mod world;
mod writes;
