//! Making chains longer and shorter, within one transaction. What was changed from outside is not
//! made good: the chain goes on behind a link that fits nothing.

use rusqlite::{Row, Transaction, params};

use super::super::{
    AuditBatch, AuditBook, AuditHead, AuditRow, GAP_LINK, Links, NO_LINK, StoreError, UsageRow,
};
use super::records::{self, NewRecord};
use super::{bodies, row};
use crate::base::{Map, TenantId};

/// Heads that are kept.
const HEADS: usize = 20_000;

/// What this process knows of the chains besides what the database says.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last record of each tenant that this process has seen.
    last: Map<TenantId, u64>,
    /// The book as it was noted elsewhere.
    pub(super) witness: Option<AuditBook>,
    known: Known,
    /// Counts what was done to chains, so that nobody puts back what is no longer so.
    turn: u64,
}

/// The heads as this process has left them, which nobody has changed since: then they need not be
/// read and looked over again.
#[derive(Debug, Default)]
pub(super) struct Known {
    heads: Map<TenantId, AuditHead>,
    /// The state of the database that they are of, as its only writing connection sees it.
    version: i64,
    turn: u64,
}

impl Memory {
    /// What is known while the database is of this version; for one change of the chains.
    pub(super) fn take_known(&mut self, version: i64) -> Known {
        let mut known = std::mem::take(&mut self.known);
        if known.version != version || known.heads.len() > HEADS {
            known.heads.clear();
        }
        self.turn += 1;
        Known { version, turn: self.turn, ..known }
    }

    /// The change is on disk: this is how chains end now.
    pub(super) fn learn(&mut self, heads: &[AuditHead], mut known: Known) {
        for head in heads {
            self.last.insert(head.tenant, head.last);
        }
        if known.turn == self.turn {
            known.heads.extend(heads.iter().map(|head| (head.tenant, head.clone())));
            self.known = known;
        }
    }

    /// Chains are changed otherwise than at their ends.
    pub(super) fn forget_heads(&mut self) {
        self.known = Known::default();
        self.turn += 1;
    }
}

/// Moves when another connection, of whichever process, has written.
pub(super) fn version(step: &Transaction<'_>) -> Result<i64, StoreError> {
    Ok(step.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?)
}

pub(super) fn head(row: &Row<'_>) -> Result<AuditHead, StoreError> {
    Ok(AuditHead {
        chain: row::number(row, "number")?,
        tenant: row::tenant(row, "tenant_id")?,
        name: row.get("name")?,
        first: row::number(row, "first_seq")?,
        before: row::digest(row, "before")?,
        last: row::number(row, "last_seq")?,
        at: row::number(row, "last_at")?,
        mac: row::digest(row, "last_mac")?,
        seal: row::digest(row, "seal")?,
    })
}

pub(super) fn heads(step: &Transaction<'_>) -> Result<Vec<AuditHead>, StoreError> {
    let mut query = step.prepare_cached("SELECT * FROM audit_chain ORDER BY number")?;
    row::all(query.query(())?, head)
}

pub(super) fn book(step: &Transaction<'_>) -> Result<Option<AuditBook>, StoreError> {
    let mut query = step.prepare_cached("SELECT chains, last_id, breaks, seal FROM audit_book")?;
    let read = |row: &Row<'_>| {
        Ok(AuditBook {
            chains: row::number(row, "chains")?,
            last_id: row::number(row, "last_id")?,
            breaks: row::number(row, "breaks")?,
            seal: row::digest(row, "seal")?,
        })
    };
    Ok(row::all(query.query(())?, read)?.pop())
}

/// One number, 0 where there is none.
fn number(
    step: &Transaction<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<u64, StoreError> {
    let found: Option<i64> = step.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(found.and_then(|found| u64::try_from(found).ok()).unwrap_or(0))
}

/// The book as it should be. One that is not as it was left is made anew and says so for ever.
fn sound_book(
    step: &Transaction<'_>,
    links: &dyn Links,
    memory: &Memory,
) -> Result<AuditBook, StoreError> {
    let found = book(step)?;
    let witness = memory.witness.filter(|witness| links.bind(witness) == witness.seal);
    let last = number(step, "SELECT max(id) FROM audit_record", ())?;
    let chains = number(step, "SELECT max(number) FROM audit_chain", ())?;
    let fresh = AuditBook { chains: 0, last_id: 0, breaks: 0, seal: NO_LINK };
    let mut book = found.unwrap_or(fresh);
    let sound = match found {
        Some(book) => {
            links.bind(&book) == book.seal && last <= book.last_id && chains <= book.chains
        }
        None => last == 0 && chains == 0,
    };
    let rolled_back = witness.is_some_and(|witness| witness.last_id > book.last_id);
    if !sound || rolled_back {
        tracing::error!("the audit is not as it was left; `mcp-proxy audit verify` says where");
        let noted = witness.unwrap_or(fresh);
        book.last_id = book.last_id.max(last).max(noted.last_id);
        book.chains = book.chains.max(chains).max(noted.chains);
        book.breaks = book.breaks.max(noted.breaks) + 1;
    }
    Ok(book)
}

/// The head of a tenant's chain; a new one where it has none.
fn sound_head(
    step: &Transaction<'_>,
    links: &dyn Links,
    tenant: TenantId,
    memory: &Memory,
    book: &mut AuditBook,
) -> Result<AuditHead, StoreError> {
    let mut query = step.prepare_cached("SELECT * FROM audit_chain WHERE tenant_id = ?1")?;
    let found = row::all(query.query([tenant.as_bytes()])?, head)?.pop();
    let seen = memory.last.get(&tenant).copied().unwrap_or(0);
    let Some(mut head) = found else {
        book.chains += 1;
        let gone = seen > 0;
        if gone {
            tracing::error!(%tenant, "the audit of a tenant is gone; a new one begins behind a gap");
        }
        return Ok(AuditHead {
            chain: book.chains,
            tenant,
            name: String::new(),
            first: seen + 1,
            before: if gone { GAP_LINK } else { NO_LINK },
            last: seen,
            at: 0,
            mac: if gone { GAP_LINK } else { NO_LINK },
            seal: NO_LINK,
        });
    };
    let last = number(
        step,
        "SELECT max(seq) FROM audit_record WHERE chain = ?1",
        [row::signed(head.chain)],
    )?;
    let whole = last == head.last || (last == 0 && head.last + 1 == head.first);
    if links.seal(&head) != head.seal || !whole || seen > head.last {
        tracing::error!(%tenant, "the audit of a tenant is not as it was left; it goes on behind a gap");
        head.last = head.last.max(last).max(seen);
        head.mac = GAP_LINK;
    }
    Ok(head)
}

/// Writes a batch; gives the heads of its chains and the book.
pub(super) fn append(
    step: &Transaction<'_>,
    batch: &AuditBatch,
    links: &dyn Links,
    memory: &Memory,
    known: &Known,
) -> Result<(Vec<AuditHead>, AuditBook), StoreError> {
    let mut book = sound_book(step, links, memory)?;
    let mut heads: Vec<AuditHead> = Vec::new();
    let mut rows = Vec::with_capacity(batch.entries.len());
    let mut places: Map<TenantId, usize> = Map::default();
    let mut bodies = batch.bodies.iter().peekable();
    for (at, entry) in batch.entries.iter().enumerate() {
        let place = match places.get(&entry.tenant) {
            Some(place) => *place,
            None => {
                heads.push(match known.heads.get(&entry.tenant) {
                    Some(head) => head.clone(),
                    None => sound_head(step, links, entry.tenant, memory, &mut book)?,
                });
                places.insert(entry.tenant, heads.len() - 1);
                heads.len() - 1
            }
        };
        let head = &mut heads[place];
        book.last_id += 1;
        let row = AuditRow {
            id: book.last_id,
            tenant: entry.tenant,
            seq: head.last + 1,
            at: batch.at.max(head.at),
            record: Vec::new(),
            mac: NO_LINK,
        };
        let mac = links.link(&row, &entry.record, &head.mac);
        rows.push(NewRecord {
            id: row.id,
            chain: head.chain,
            seq: row.seq,
            at: row.at,
            record: &entry.record,
            mac,
        });
        (head.last, head.at, head.mac) = (row.seq, row.at, mac);
        if let Some(body) = bodies.next_if(|body| body.entry == at) {
            bodies::add(step, entry.tenant, row.seq, body)?;
        }
    }
    records::insert(step, &rows)?;
    for (tenant, name) in &batch.names {
        if let Some(head) = places.get(tenant).map(|place| &mut heads[*place])
            && *head.name != **name
        {
            head.name = name.to_string();
        }
    }
    for head in &mut heads {
        let known = known.heads.get(&head.tenant).is_some_and(|known| known.name == head.name);
        if !(known && move_head(step, head, links)?) {
            write_head(step, head, links)?;
        }
    }
    write_book(step, &mut book, links)?;
    count(step, &batch.usage)?;
    if !batch.bodies.is_empty() {
        bodies::shrink(step, batch.bodies_most)?;
    }
    Ok((heads, book))
}

/// Moves the end of a chain that is there; false when it is not.
fn move_head(
    step: &Transaction<'_>,
    head: &mut AuditHead,
    links: &dyn Links,
) -> Result<bool, StoreError> {
    head.seal = links.seal(head);
    let mut update = step.prepare_cached(
        "UPDATE audit_chain SET last_seq = ?2, last_at = ?3, last_mac = ?4, seal = ?5
         WHERE number = ?1",
    )?;
    let moved = update.execute(params![
        row::signed(head.chain),
        row::signed(head.last),
        row::signed(head.at),
        head.mac,
        head.seal,
    ])?;
    Ok(moved == 1)
}

fn write_head(
    step: &Transaction<'_>,
    head: &mut AuditHead,
    links: &dyn Links,
) -> Result<(), StoreError> {
    head.seal = links.seal(head);
    step.prepare_cached(
        "INSERT INTO audit_chain
             (number, tenant_id, name, first_seq, before, last_seq, last_at, last_mac, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (tenant_id) DO UPDATE SET
             name = excluded.name, first_seq = excluded.first_seq, before = excluded.before,
             last_seq = excluded.last_seq, last_at = excluded.last_at,
             last_mac = excluded.last_mac, seal = excluded.seal",
    )?
    .execute(params![
        row::signed(head.chain),
        head.tenant.as_bytes(),
        head.name,
        row::signed(head.first),
        head.before,
        row::signed(head.last),
        row::signed(head.at),
        head.mac,
        head.seal,
    ])?;
    Ok(())
}

fn write_book(
    step: &Transaction<'_>,
    book: &mut AuditBook,
    links: &dyn Links,
) -> Result<(), StoreError> {
    book.seal = links.bind(book);
    step.prepare_cached(
        "INSERT INTO audit_book (one, chains, last_id, breaks, seal) VALUES (1, ?1, ?2, ?3, ?4)
         ON CONFLICT (one) DO UPDATE SET chains = excluded.chains, last_id = excluded.last_id,
             breaks = excluded.breaks, seal = excluded.seal",
    )?
    .execute(params![
        row::signed(book.chains),
        row::signed(book.last_id),
        row::signed(book.breaks),
        book.seal
    ])?;
    Ok(())
}

fn count(step: &Transaction<'_>, usage: &[UsageRow]) -> Result<(), StoreError> {
    let mut add = step.prepare_cached(
        "INSERT INTO usage (tenant_id, day, key_id, upstream, method, tool,
                            calls, errors, bytes_in, bytes_out, ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (tenant_id, day, key_id, upstream, method, tool) DO UPDATE SET
             calls = calls + excluded.calls, errors = errors + excluded.errors,
             bytes_in = bytes_in + excluded.bytes_in, bytes_out = bytes_out + excluded.bytes_out,
             ms = ms + excluded.ms",
    )?;
    for used in usage {
        add.execute(params![
            used.tenant.as_bytes(),
            row::signed(used.day),
            used.key,
            used.upstream,
            used.method,
            used.tool,
            row::signed(used.sum.calls),
            row::signed(used.sum.errors),
            row::signed(used.sum.bytes_in),
            row::signed(used.sum.bytes_out),
            row::signed(used.sum.ms),
        ])?;
    }
    Ok(())
}

/// The first record of a chain that was written at `at` or later, among `first..=last`; one
/// behind `last` when there is none. The times of a chain never fall.
pub(super) fn first_since(
    step: &Transaction<'_>,
    chain: u64,
    (first, last): (u64, u64),
    at: u64,
) -> Result<u64, StoreError> {
    let mut look = step.prepare_cached(
        "SELECT at FROM audit_record WHERE chain = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
    )?;
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut rows = look.query(params![row::signed(chain), row::signed(middle)])?;
        let found = rows.next()?.map(|row| row::number(row, "at")).transpose()?;
        if found.is_some_and(|found| found < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Takes what was written before `at` from the beginning of each chain.
pub(super) fn prune(
    step: &Transaction<'_>,
    at: u64,
    most: u64,
    links: &dyn Links,
) -> Result<u64, StoreError> {
    let mut gone = 0;
    for mut head in heads(step)? {
        if links.seal(&head) != head.seal {
            // What was changed is kept as it is: it is evidence.
            tracing::warn!(tenant = %head.tenant, "the audit of a tenant is not as it was left; nothing is pruned");
            continue;
        }
        let keep = first_since(step, head.chain, (head.first, head.last), at)?;
        let keep = keep.min(head.first.saturating_add(most));
        if keep <= head.first {
            continue;
        }
        let sql = "SELECT mac FROM audit_record WHERE chain = ?1 AND seq = ?2";
        let last_gone = params![row::signed(head.chain), row::signed(keep - 1)];
        let mut query = step.prepare_cached(sql)?;
        let Some(mac) = row::all(query.query(last_gone)?, |row| row::digest(row, "mac"))?.pop()
        else {
            continue;
        };
        let removed = step.execute(
            "DELETE FROM audit_record WHERE chain = ?1 AND seq < ?2",
            params![row::signed(head.chain), row::signed(keep)],
        )?;
        gone += removed as u64;
        (head.first, head.before) = (keep, mac);
        write_head(step, &mut head, links)?;
    }
    Ok(gone)
}
