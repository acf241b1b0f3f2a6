//! Upstreams that are killed, hang, stop or never start: what their callers and everybody else
//! notice. Needs `/proc`.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

#[cfg(target_os = "linux")]
mod failures {
    mod kills;
    mod load;
    mod single;
    mod world;
}
