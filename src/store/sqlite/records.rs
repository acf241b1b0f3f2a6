//! New records of the audit, many with one statement: to begin and end a statement costs as much
//! as a row.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Transaction};

use super::super::StoreError;
use super::row;
use crate::seal::Digest;

/// Rows of one statement.
const TOGETHER: usize = 32;
const COLUMNS: usize = 6;

static MANY: LazyLock<String> = LazyLock::new(|| sql(TOGETHER));
static ONE: LazyLock<String> = LazyLock::new(|| sql(1));

fn sql(rows: usize) -> String {
    let rows = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO audit_record (id, chain, seq, at, record, mac) VALUES {rows}")
}

/// A record on its way into the file.
pub(super) struct NewRecord<'a> {
    pub(super) id: u64,
    pub(super) chain: u64,
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) record: &'a [u8],
    pub(super) mac: Digest,
}

impl NewRecord<'_> {
    fn bind(&self, to: &mut CachedStatement<'_>, row: usize) -> rusqlite::Result<()> {
        let first = row * COLUMNS + 1;
        for (at, number) in (first..).zip([self.id, self.chain, self.seq, self.at]) {
            to.raw_bind_parameter(at, row::signed(number))?;
        }
        to.raw_bind_parameter(first + 4, self.record)?;
        to.raw_bind_parameter(first + 5, self.mac)
    }
}

/// Puts them in.
pub(super) fn insert(step: &Transaction<'_>, rows: &[NewRecord<'_>]) -> Result<(), StoreError> {
    let (many, rest) = rows.as_chunks::<TOGETHER>();
    if !many.is_empty() {
        let mut statement = step.prepare_cached(&MANY)?;
        for rows in many {
            for (place, row) in rows.iter().enumerate() {
                row.bind(&mut statement, place)?;
            }
            statement.raw_execute()?;
        }
    }
    if !rest.is_empty() {
        let mut statement = step.prepare_cached(&ONE)?;
        for row in rest {
            row.bind(&mut statement, 0)?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}
