//! What requests and results hold on their way through the running proxy: content for older
//! clients, apps, skills, `_meta`, and peers with quirks. Each against scripted upstreams.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod apps;
mod content;
mod meta;
mod peer;
mod quirks;
mod skills;
mod upstream;
