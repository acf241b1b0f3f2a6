//! Event streams (text/event-stream).
