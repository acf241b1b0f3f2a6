//! Numbered migrations, one transaction each; a store that is newer than the program stays
//! untouched.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;

/// Marks the file as ours ("mcpp").
const APPLICATION: i64 = 0x6d63_7070;

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_session.sql"),
    include_str!("migrations/0004_roles.sql"),
    include_str!("migrations/0005_repeat.sql"),
];

/// The schema that this program writes.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the schema up to date.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    loop {
        // The version is read again inside each transaction: another process may be migrating.
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name| step.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (found, application) = (number("user_version")?, number("application_id")?);
        let objects: i64 =
            step.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if application != APPLICATION && (objects > 0 || found != 0 || application != 0) {
            return Err(StoreError::Foreign(path.to_owned()));
        }
        if found > KNOWN {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: KNOWN });
        }
        let Some(sql) = usize::try_from(found).ok().and_then(|at| MIGRATIONS.get(at)) else {
            return Ok(());
        };
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION)?;
        step.pragma_update(None, "user_version", found + 1)?;
        step.commit()?;
        tracing::info!(schema = found + 1, "store migrated");
    }
}
