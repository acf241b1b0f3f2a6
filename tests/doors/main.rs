//! The doors that are not plain streamable HTTP: batches, HTTP+SSE of 2024-11-05, and pipes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod batch;
mod pipe;
mod sdk;
mod sse;
mod stream;
mod upstream;
