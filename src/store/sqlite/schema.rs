//! Numbered migrations, one transaction each; a store that is newer than the program stays
//! untouched.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_session.sql"),
    include_str!("migrations/0004_roles.sql"),
    include_str!("migrations/0005_repeat.sql"),
    include_str!("migrations/0006_upstream.sql"),
    include_str!("migrations/0009_seal_profile_pick.sql"),
    include_str!("migrations/0010_connector.sql"),
    include_str!("migrations/0011_login.sql"),
    include_str!("migrations/0012_assertion.sql"),
];

/// The schema of one kind of file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    /// Marks the file as one of ours.
    pub(super) application: i64,
    pub(super) migrations: &'static [&'static str],
}

/// Of the store ("mcpp").
pub(super) const STORE: Schema = Schema { application: 0x6d63_7070, migrations: MIGRATIONS };

/// Of the audit ("mcpa").
pub(super) const AUDIT: Schema = Schema {
    application: 0x6d63_7061,
    migrations: &[
        include_str!("migrations/audit/0001_audit.sql"),
        include_str!("migrations/audit/0002_quota.sql"),
        include_str!("migrations/audit/0003_body.sql"),
    ],
};

/// Brings the schema up to date.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    schema: Schema,
) -> Result<(), StoreError> {
    let Schema { application: ours, migrations } = schema;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    loop {
        // The version is read again inside each transaction: another process may be migrating.
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name| step.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (found, application) = (number("user_version")?, number("application_id")?);
        let objects: i64 =
            step.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if application != ours && (objects > 0 || found != 0 || application != 0) {
            return Err(StoreError::Foreign(path.to_owned()));
        }
        if found > known {
            return Err(StoreError::Newer { path: path.to_owned(), found, known });
        }
        let Some(sql) = usize::try_from(found).ok().and_then(|at| migrations.get(at)) else {
            return Ok(());
        };
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", ours)?;
        step.pragma_update(None, "user_version", found + 1)?;
        step.commit()?;
        tracing::info!(schema = found + 1, "store migrated");
    }
}
