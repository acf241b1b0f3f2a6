//! The API for whoever looks after tenants, from outside: who may do what there (`table`) and at the
//! doors of MCP (`doors`), what the routes do (`flows`, `writes`, `upstreams`, `profiles`, `picks`, `seal`), what is written down
//! of it (`audited`, `bodies`) and told as it happens (`events`), whose handles are whose (`handles`,
//! `foreign`), and that the OpenAPI document tells the truth (`openapi`).

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

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
mod world;
mod writes;
