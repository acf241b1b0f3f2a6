//! Event streams (`text/event-stream`), read and written as the WHATWG HTML standard, section
//! 9.2, says. No I/O: bytes in, events out.

mod decoder;
mod encode;

pub use decoder::{Decoder, EVENT_LIMIT, Event, SseError};
pub use encode::{COMMENT, encode};

#[cfg(test)]
mod tests;
