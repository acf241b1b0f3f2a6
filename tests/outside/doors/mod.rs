//! The doors that are not plain streamable HTTP: batches, HTTP+SSE of 2024-11-05, and pipes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod batch;
mod pipe;
mod sdk;
mod sse;
mod stream;
mod upstream;
