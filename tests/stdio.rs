//! Children as links: what a caller of one sees, with well-behaved and hostile servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod stdio {
    mod bed;
    mod calls;
    mod questions;
    mod start;
    mod tree;
}
