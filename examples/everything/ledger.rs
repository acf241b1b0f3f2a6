//! A file with a line for each call that was executed, which outlives a killed server.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use rmcp::model::CallToolRequestParams;
use serde_json::Value;

/// The file; several servers may write into one.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<File>);

impl Ledger {
    pub(crate) fn open(place: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(OpenOptions::new().create(true).append(true).open(place)?)))
    }

    /// Notes a call that is about to run, when it says which one it is.
    pub(crate) fn note(&self, request: &CallToolRequestParams) -> io::Result<()> {
        let call = request.arguments.as_ref().and_then(|arguments| arguments.get("call"));
        let Some(call) = call.and_then(Value::as_str) else { return Ok(()) };
        // One write: lines of several servers do not mix, and a kill leaves a whole line or none.
        (&*self.0).write_all(format!("{call} {}\n", std::process::id()).as_bytes())
    }
}
