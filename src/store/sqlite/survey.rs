//! Looks at a store file without changing it, for whoever wants to know how it is.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::schema::{STORE, Schema};
use crate::base::Tasks;

/// How a store file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its schema's number.
    pub schema: i64,
    /// The newest that this program knows.
    pub known: i64,
    /// The first thing that is wrong with its pages.
    pub damage: Option<String>,
}

/// Opens it for reading, alone or beside a proxy that serves it.
///
/// # Errors
/// When it is no store of ours or cannot be read.
pub async fn survey(path: &Path, tasks: &Tasks) -> Result<Survey, StoreError> {
    let path = path.to_owned();
    let work = move || -> Result<Survey, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let Schema { application, migrations } = STORE;
        if number("application_id")? != application {
            return Err(StoreError::Foreign(path.clone()));
        }
        let check: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        Ok(Survey {
            schema: number("user_version")?,
            known: i64::try_from(migrations.len()).unwrap_or(i64::MAX),
            damage: (check != "ok").then_some(check),
        })
    };
    tasks.spawn_blocking("survey of the store", work).await.unwrap_or(Err(StoreError::Busy))
}
