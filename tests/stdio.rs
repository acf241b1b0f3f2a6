//! Children as links: what a caller of one sees, with well-behaved and hostile servers.

mod stdio {
    mod bed;
    mod calls;
    mod start;
    mod tree;
}
