//! The API for whoever looks after tenants, from outside: who may do what (`table`), what the
//! routes do (`flows`, `writes`), what is written down of it (`audited`), what is told of it as it happens (`events`), whose handles are whose (`handles`), and that the OpenAPI
//! document tells the truth (`openapi`).

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod audited;
mod events;
mod flows;
mod handles;
mod openapi;
mod table;
mod world;
mod writes;
