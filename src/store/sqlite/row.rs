//! Columns to values and the database's errors to ours. What a column holds was written by us or
//! by somebody with the file in hand, so everything is checked.

use rusqlite::{ErrorCode, Row};

use super::super::StoreError;
use crate::base::{KeyId, Name, Role, Scopes, Slot, TenantId};
use crate::seal::Digest;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        match &error {
            rusqlite::Error::SqliteFailure(code, _) => match code.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::ReadOnly => Self::ReadOnly,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    Self::Damaged(error.to_string())
                }
                ErrorCode::ConstraintViolation => constraint(code.extended_code),
                _ => Self::Failed(error.to_string()),
            },
            FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn constraint(code: i32) -> StoreError {
    use rusqlite::ffi::{
        SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE,
    };
    match code {
        SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Unknown("this tenant".to_owned()),
        SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE => {
            StoreError::Taken("this name or id".to_owned())
        }
        _ => StoreError::Damaged("a value breaks the rules of its table".to_owned()),
    }
}

fn damaged(column: &str) -> StoreError {
    StoreError::Damaged(format!("the column `{column}` holds something else"))
}

pub(super) fn tenant(row: &Row<'_>, column: &str) -> Result<TenantId, StoreError> {
    Ok(TenantId::from_bytes(row.get(column)?))
}

pub(super) fn name(row: &Row<'_>, column: &str) -> Result<Name, StoreError> {
    Name::new(&row.get::<_, String>(column)?).map_err(|_| damaged(column))
}

pub(super) fn slot(row: &Row<'_>, column: &str) -> Result<Slot, StoreError> {
    Slot::new(&row.get::<_, String>(column)?).map_err(|_| damaged(column))
}

pub(super) fn key_id(row: &Row<'_>, column: &str) -> Result<KeyId, StoreError> {
    row.get::<_, String>(column)?.parse().map_err(|_| damaged(column))
}

pub(super) fn maybe_key_id(row: &Row<'_>, column: &str) -> Result<Option<KeyId>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse()).transpose().map_err(|_| damaged(column))
}

pub(super) fn role(row: &Row<'_>, column: &str) -> Result<Role, StoreError> {
    row.get::<_, String>(column)?.parse().map_err(|_| damaged(column))
}

pub(super) fn scopes(row: &Row<'_>, column: &str) -> Result<Scopes, StoreError> {
    let text: String = row.get(column)?;
    Scopes::read(text.split_ascii_whitespace()).map_err(|_| damaged(column))
}

pub(super) fn digest(row: &Row<'_>, column: &str) -> Result<Digest, StoreError> {
    Ok(row.get(column)?)
}

pub(super) fn number(row: &Row<'_>, column: &str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged(column))
}

pub(super) fn maybe_number(row: &Row<'_>, column: &str) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.get(column)?;
    value.map(u64::try_from).transpose().map_err(|_| damaged(column))
}

/// SQLite's integers are signed; a time or counter beyond is capped, not wrapped.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads all rows of a query.
pub(super) fn all<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}
