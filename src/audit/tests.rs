//! What was written is found as it was, whatever was done to the database is found too, and
//! nothing is lost while it cannot be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::chain::Chain;
use super::*;
use crate::base::{Name, Tasks, TenantId};
use crate::config::{self, Durable, WhenFull};
use crate::seal::{Ring, RootKey};
use crate::store::{
    AuditBatch, AuditFile, AuditHead, AuditQuery, AuditRow, AuditState, AuditStore, BodyQuery,
    BodyRow, Links, Pending, StoreError, UsageQuery, UsageRow, by_hand,
};

pub(super) const ACME: TenantId = TenantId::from_bytes([1; 16]);
pub(super) const GLOBEX: TenantId = TenantId::from_bytes([2; 16]);
pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn ring() -> Ring {
    Ring::new(&RootKey::for_test(1))
}

pub(super) fn event(tenant: TenantId, number: u64) -> Box<Event> {
    let name = Name::new(if tenant == ACME { "acme" } else { "globex" }).unwrap();
    let mut event = Event::new(1_700_000_000_000 + number, tenant, name, "abcdefghij".parse().ok());
    event.method = "tools/call".into();
    event.upstream = Name::new("gh").ok();
    event.original = Some("create_issue".into());
    event.is_tool = true;
    (event.bytes_in, event.bytes_out, event.ms) = (number, 10 * number, 1);
    if number.is_multiple_of(5) {
        event.outcome = Outcome::Refused;
    }
    Box::new(event)
}

/// Twenty records of each tenant, in several batches, and everything closed.
async fn written(folder: &Path) -> PathBuf {
    let path = folder.join("x.audit.db");
    write(&path, 1..=20).await;
    path
}

async fn write(path: &Path, numbers: std::ops::RangeInclusive<u64>) {
    let tasks = Tasks::default();
    let file = AuditFile::open(path, &tasks).unwrap();
    let settings = config::Audit { retention: None, durable: Durable::Call, ..Default::default() };
    let audit = Audit::start(file, &ring(), settings, &tasks);
    for number in numbers {
        let first = audit.record(event(ACME, number)).unwrap();
        let second = audit.record(event(GLOBEX, number)).unwrap();
        if number % 3 == 0 {
            first.wait().await.unwrap();
            second.wait().await.unwrap();
        }
    }
    assert_eq!(audit.close(LIMIT).await, 0);
}

fn reader(path: &Path) -> AuditReader {
    AuditReader::new(AuditFile::open(path, &Tasks::default()).unwrap(), &ring())
}

/// The whole, acme's chain, globex's chain: first bad place and words of each.
async fn verdicts(path: &Path) -> Vec<(Option<u64>, String)> {
    let verdicts = reader(path).verify(None, None).await.unwrap();
    let first = |verdict: &Verdict| {
        let finding = verdict.findings.first();
        finding.map_or((None, String::new()), |found| (found.seq, found.what.clone()))
    };
    verdicts.iter().map(first).collect()
}

#[tokio::test]
async fn whatever_is_done_to_a_chain_is_found_where_it_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    let saved = fs::read(&path).unwrap();
    let good = vec![(None, String::new()); 3];
    assert_eq!(verdicts(&path).await, good);
    let shift = "UPDATE audit_record SET seq = seq + 1000 WHERE chain = 1 AND seq >= 7;
                 UPDATE audit_record SET seq = seq - 999 WHERE chain = 1 AND seq >= 1007;";
    let forged = "INSERT INTO audit_record (id, chain, seq, at, record, mac)
                  SELECT 900, 1, 7, at, record, mac FROM audit_record WHERE chain = 1 AND seq = 6;";
    let inserted = format!("{shift}{forged}");
    let cases: [(&str, Option<u64>, &str); 16] = [
        ("UPDATE audit_record SET record = zeroblob(length(record)) WHERE chain = 1 AND seq = 7", Some(7), "changed"),
        ("UPDATE audit_record SET mac = zeroblob(32) WHERE chain = 1 AND seq = 9", Some(9), "changed"),
        ("UPDATE audit_record SET at = at + 1 WHERE chain = 1 AND seq = 1", Some(1), "changed"),
        ("UPDATE audit_record SET id = 950 WHERE chain = 1 AND seq = 4", Some(4), "changed"),
        ("UPDATE audit_record SET seq = 900 WHERE chain = 1 AND seq = 20", Some(20), "the end is missing"),
        ("DELETE FROM audit_record WHERE chain = 1 AND seq = 7", Some(7), "record 7 is gone"),
        ("DELETE FROM audit_record WHERE chain = 1 AND seq <= 3", Some(1), "1 to 3 are gone"),
        ("DELETE FROM audit_record WHERE chain = 1 AND seq > 15", Some(16), "16 to 20 are gone"),
        ("DELETE FROM audit_record WHERE chain = 1 AND seq > 15; UPDATE audit_chain SET last_seq = 15,
          last_mac = (SELECT mac FROM audit_record WHERE chain = 1 AND seq = 15) WHERE number = 1",
         Some(15), "begins and ends was changed"),
        (&inserted, Some(7), "put in"),
        ("INSERT INTO audit_record SELECT 900, 1, 21, at, record, mac FROM audit_record WHERE id = 1", Some(21),
         "behind the end"),
        ("UPDATE audit_record SET (record, mac) = (SELECT o.record, o.mac FROM audit_record o
          WHERE o.chain = 1 AND o.seq = 14 - audit_record.seq) WHERE chain = 1 AND seq IN (5, 9)",
         Some(5), "exchanged"),
        ("UPDATE audit_chain SET name = 'other' WHERE number = 1", Some(20), "begins and ends was changed"),
        ("UPDATE audit_chain SET first_seq = 6, before = (SELECT mac FROM audit_record WHERE chain = 1 AND
          seq = 5) WHERE number = 1; DELETE FROM audit_record WHERE chain = 1 AND seq <= 5", Some(20),
         "begins and ends was changed"),
        ("UPDATE audit_record SET chain = 1, seq = 21 WHERE chain = 2 AND seq = 20", Some(21), "behind the end"),
        ("UPDATE audit_record SET record = CAST(substr(record, 1, length(record) - 1) AS BLOB)
          WHERE chain = 1 AND seq = 20", Some(20), "changed"),
    ];
    for (sql, seq, words) in cases {
        by_hand(&path, sql);
        let found = verdicts(&path).await;
        assert_eq!(found[1].0, seq, "{sql}: {found:?}");
        assert!(found[1].1.contains(words), "{sql}: {found:?}");
        if !sql.contains("chain = 2") {
            assert_eq!(found[2], good[2], "{sql}: another tenant's chain is judged by itself");
        }
        fs::write(&path, &saved).unwrap();
    }
    for (sql, words) in [
        (
            "DELETE FROM audit_record WHERE chain = 1; DELETE FROM audit_chain WHERE number = 1",
            "chain 1 is gone",
        ),
        ("DELETE FROM audit_book", "is gone"),
        ("UPDATE audit_book SET chains = 1", "was changed"),
        ("UPDATE audit_record SET chain = 7 WHERE id = 40", "belong to no chain"),
    ] {
        by_hand(&path, sql);
        let found = reader(&path).verify(None, None).await.unwrap();
        let said = format!("{:?}", found[0].findings);
        assert!(said.contains(words), "{sql}: {said}");
        fs::write(&path, &saved).unwrap();
    }
    assert_eq!(verdicts(&path).await, good);
}

/// Everything that the audit says, as one text; none where it cannot be read.
async fn all(path: &Path) -> Option<String> {
    let file = AuditFile::open(path, &Tasks::default()).ok()?;
    let query = AuditQuery { limit: usize::MAX >> 1, ..AuditQuery::default() };
    let state = file.state().await.ok()?;
    Some(format!("{:?}{:?}{:?}", file.page(query).await.ok()?, state.heads, state.book))
}

async fn is_good(path: &Path) -> bool {
    let Ok(file) = AuditFile::open(path, &Tasks::default()) else { return false };
    let verdicts = AuditReader::new(file, &ring()).verify(None, None).await;
    verdicts.is_ok_and(|verdicts| verdicts.iter().all(Verdict::is_good))
}

#[tokio::test]
async fn one_byte_changed_anywhere_is_found_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    write(&path, 21..=80).await;
    let (saved, before) = (fs::read(&path).unwrap(), all(&path).await);
    let (mut found, mut harmless) = (0, 0);
    // Every place of the file would take minutes; a prime step meets each kind of page.
    for at in (0..saved.len()).step_by(151) {
        let mut changed = saved.clone();
        changed[at] ^= 0x21;
        fs::write(&path, &changed).unwrap();
        if is_good(&path).await {
            assert_eq!(all(&path).await, before, "the byte at {at} is not found");
            harmless += 1;
        } else {
            found += 1;
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
    assert!(found > 100, "{found} found, {harmless} without effect");
}

/// One byte of a blob, changed into another.
fn flip(table: &str, column: &str, at: usize, place: &str) -> String {
    format!(
        "UPDATE {table} SET {column} = CAST(substr({column}, 1, {at}) ||
         CASE substr({column}, {at} + 1, 1) WHEN x'5A' THEN x'A5' ELSE x'5A' END ||
         substr({column}, {at} + 2) AS BLOB) WHERE {place}"
    )
}

#[tokio::test]
async fn one_byte_changed_is_found_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    let saved = fs::read(&path).unwrap();
    let file = AuditFile::open(&path, &Tasks::default()).unwrap();
    let query =
        AuditQuery { tenant: Some(ACME), after: Some(6), limit: 1, ..AuditQuery::default() };
    let length = file.page(query).await.unwrap()[0].record.len();
    drop(file);
    // Bytes of record 7 and of its link, of acme's head, and of the book: (the change, in which
    // verdict it is found, at which record).
    let mut changes = Vec::new();
    let record = "chain = 1 AND seq = 7";
    let head = "number = 1";
    changes.extend((0..length).map(|at| (flip("audit_record", "record", at, record), 1, Some(7))));
    changes.extend((0..32).map(|at| (flip("audit_record", "mac", at, record), 1, Some(7))));
    for column in ["before", "last_mac", "seal"] {
        let flips = (0..32).step_by(5).map(|at| flip("audit_chain", column, at, head));
        let first = if column == "before" { Some(20) } else { None };
        changes.extend(flips.map(|sql| (sql, 1, first)));
    }
    changes.extend((0..16).map(|at| (flip("audit_chain", "tenant_id", at, head), 1, None)));
    changes.extend((0..32).map(|at| (flip("audit_book", "seal", at, "one = 1"), 0, None)));
    for (table, columns, place, verdict) in [
        ("audit_record", &["id", "at"][..], record, 1),
        ("audit_chain", &["first_seq", "last_seq", "last_at"][..], head, 1),
        ("audit_book", &["chains", "last_id", "breaks"][..], "one = 1", 0),
    ] {
        for (column, byte) in columns.iter().flat_map(|column| (0..7).map(move |b| (column, b))) {
            // A bit by which no id becomes another one's.
            let bit = 1_u64 << (8 * byte + 6);
            let sql = format!(
                "UPDATE {table} SET {column} = ({column} | {bit}) - ({column} & {bit}) WHERE {place}"
            );
            changes.push((sql, verdict, if table == "audit_record" { Some(7) } else { None }));
        }
    }
    for (sql, verdict, seq) in changes {
        by_hand(&path, &sql);
        let found = reader(&path).verify(None, None).await.unwrap();
        let first = found[verdict].findings.first();
        let first = first.unwrap_or_else(|| panic!("not found: {sql}: {found:?}"));
        assert!(seq.is_none() || first.seq == seq, "{sql}: {found:?}");
        fs::write(&path, &saved).unwrap();
    }
    // What is noted beside the database.
    let noted = folder.path().join("x.audit.db-head");
    let saved = fs::read(&noted).unwrap();
    for at in 0..saved.len() {
        let mut changed = saved.clone();
        changed[at] ^= 0x21;
        fs::write(&noted, &changed).unwrap();
        let found = verdicts(&path).await;
        assert!(found[0].1.contains("noted beside"), "byte {at}: {found:?}");
        fs::write(&noted, &saved[..at]).unwrap();
        assert!(verdicts(&path).await[0].1.contains("is gone"), "cut at {at}");
    }
    fs::write(&noted, &saved).unwrap();
    assert_eq!(verdicts(&path).await, vec![(None, String::new()); 3]);
}

#[tokio::test]
async fn what_was_changed_still_shows_when_the_proxy_has_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    by_hand(
        &path,
        "DELETE FROM audit_record WHERE chain = 1 AND seq > 15; UPDATE audit_chain SET last_seq = 15,
         last_mac = (SELECT mac FROM audit_record WHERE chain = 1 AND seq = 15) WHERE number = 1",
    );
    write(&path, 21..=24).await;
    let found = verdicts(&path).await;
    assert_eq!(found[1].0, Some(16), "{found:?}");
    assert!(found[1].1.contains("wrote on behind it"), "{found:?}");
    assert_eq!(found[2].1, "", "{found:?}");
}

#[tokio::test]
async fn an_older_copy_in_its_place_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    let (older, head) = (fs::read(&path).unwrap(), reader(&path).heads().await.unwrap()[0].clone());
    write(&path, 21..=24).await;
    let (newer, kept) = (fs::read(&path).unwrap(), reader(&path).heads().await.unwrap()[0].clone());
    assert_eq!((head.last, kept.last), (20, 24));
    // A head that was kept elsewhere tells, too, and one that still fits does not.
    for (known, good) in [((20, head.mac), true), ((24, kept.mac), true), ((20, kept.mac), false)] {
        let verdicts = reader(&path).verify(Some(ACME), Some(known)).await.unwrap();
        assert_eq!(verdicts[1].is_good(), good, "{verdicts:?}");
    }
    fs::write(&path, older).unwrap();
    let found = verdicts(&path).await;
    assert!(found[0].1.contains("8 of the last records are gone"), "{found:?}");
    let verdicts = reader(&path).verify(Some(ACME), Some((24, kept.mac))).await.unwrap();
    assert_eq!(verdicts[1].findings[0].seq, Some(21), "{verdicts:?}");
    // Writing on does not make it good.
    write(&path, 25..=26).await;
    assert!(self::verdicts(&path).await[0].1.contains("changed between two writes"));
    drop(newer);
}

#[tokio::test]
async fn retention_takes_the_beginning_and_the_rest_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    let file = AuditFile::open(&path, &Tasks::default()).unwrap();
    let chain: Arc<dyn Links> = Arc::new(Chain::new(&ring()));
    let query = UsageQuery { by_day: true, by_tool: true, limit: 100, ..UsageQuery::default() };
    let used = file.usage(query).await.unwrap();
    assert_eq!(used.len(), 2);
    assert_eq!((used[0].sum.calls, used[0].sum.errors, used[0].sum.bytes_in), (20, 4, 210));
    assert_eq!((&*used[0].tool, &*used[0].upstream), ("create_issue", "gh"));
    let later = crate::base::unix_millis() + 1;
    assert_eq!(file.prune(1, 5, chain.clone()).await.unwrap(), 0);
    assert_eq!(file.prune(later, 5, chain.clone()).await.unwrap(), 10);
    assert_eq!(verdicts(&path).await, vec![(None, String::new()); 3]);
    assert_eq!(reader(&path).heads().await.unwrap()[0].first, 6);
    assert_eq!(file.usage(query).await.unwrap(), used, "usage stays");
    by_hand(&path, "DELETE FROM audit_record WHERE chain = 1 AND seq = 6");
    assert_eq!(verdicts(&path).await[1].0, Some(6));
    // A chain that was changed is left as it is.
    by_hand(&path, "UPDATE audit_chain SET name = 'x' WHERE number = 1");
    assert_eq!(file.prune(later, 100, chain.clone()).await.unwrap(), 15);
    // All of it may go, and the chain goes on.
    assert_eq!(file.prune(later, 100, chain).await.unwrap(), 0);
    write(&path, 21..=22).await;
    assert_eq!(verdicts(&path).await[2], (None, String::new()));
    let head = &reader(&path).heads().await.unwrap()[1];
    assert_eq!((head.first, head.last), (21, 22));
}

#[tokio::test]
async fn pages_follow_each_other_and_filters_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    let audit = reader(&path);
    for backwards in [false, true] {
        let filter = Filter { backwards, ..Filter::default() };
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = audit.page(&filter, after, 7).await.unwrap();
            assert!(page.records.len() <= 7);
            ids.extend(page.records.iter().map(|record| record.id));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let mut expected: Vec<u64> = (1..=40).collect();
        if backwards {
            expected.reverse();
        }
        assert_eq!(ids, expected);
    }
    let refused = Filter {
        tenant: Some(GLOBEX),
        outcome: Some(Outcome::Refused),
        target: Some("create_issue".to_owned()),
        ..Filter::default()
    };
    let page = audit.page(&refused, None, 3).await.unwrap();
    assert_eq!(page.records.iter().map(|r| r.seq).collect::<Vec<_>>(), [5, 10, 15]);
    let page = audit.page(&refused, page.next, 3).await.unwrap();
    assert_eq!(page.records.iter().map(|r| r.seq).collect::<Vec<_>>(), [20]);
    assert!(page.next.is_none());
    let all = audit.page(&Filter::default(), None, 100).await.unwrap().records;
    let middle = all[20].at;
    for tenant in [None, Some(ACME)] {
        let since = Filter { tenant, since: Some(middle), ..Filter::default() };
        let until = Filter { tenant, until: Some(middle), ..Filter::default() };
        let count = |filter: Filter| {
            let audit = audit.clone();
            async move { audit.page(&filter, None, 100).await.unwrap().records.len() }
        };
        let mine = |record: &&Written| tenant.is_none_or(|tenant| tenant == record.tenant);
        let expected = all.iter().filter(mine).filter(|record| record.at >= middle).count();
        assert_eq!(count(since).await, expected);
        assert_eq!(count(until).await, all.iter().filter(mine).count() - expected);
    }
}

/// A store that takes nothing until it is told to.
#[derive(Default)]
pub(super) struct Stubborn {
    takes: AtomicBool,
    taken: AtomicUsize,
}

impl AuditStore for Stubborn {
    fn append(
        &self,
        batch: Arc<AuditBatch>,
        _: Arc<dyn Links>,
    ) -> Pending<'_, (Vec<AuditHead>, u64)> {
        Box::pin(async move {
            if !self.takes.load(Ordering::SeqCst) {
                return Err(StoreError::Full);
            }
            self.taken.fetch_add(batch.entries.len(), Ordering::SeqCst);
            Ok((Vec::new(), 0))
        })
    }

    fn page(&self, _: AuditQuery) -> Pending<'_, Vec<AuditRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn state(&self) -> Pending<'_, AuditState> {
        Box::pin(async { Ok(AuditState::default()) })
    }

    fn problems(&self) -> Pending<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn prune(&self, _: u64, _: u64, _: Arc<dyn Links>) -> Pending<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn bodies(&self, _: BodyQuery) -> Pending<'_, Vec<BodyRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn sweep_bodies(&self, _: u64, _: u64) -> Pending<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn forget_bodies(&self, _: TenantId) -> Pending<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn usage(&self, _: UsageQuery) -> Pending<'_, Vec<UsageRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

pub(super) fn stubborn(
    when_full: WhenFull,
    durable: Durable,
    patience: u64,
) -> (Arc<Stubborn>, Audit) {
    let store = Arc::new(Stubborn::default());
    let settings = config::Audit {
        queue: 16,
        when_full,
        durable,
        patience: Duration::from_millis(patience),
        ..config::Audit::default()
    };
    (store.clone(), Audit::start(store, &ring(), settings, &Tasks::default()))
}

#[tokio::test]
async fn a_store_that_takes_nothing_refuses_requests_and_loses_none() {
    let (store, audit) = stubborn(WhenFull::Refuse, Durable::Batch, 20_000);
    for number in 0..16 {
        audit.room().await.unwrap();
        assert!(audit.record(event(ACME, number)).is_none());
    }
    assert!(matches!(audit.room().await, Err(AuditError::Full(16))));
    // One that had begun before has its place.
    assert!(audit.record(event(ACME, 17)).is_none());
    while !audit.is_failing() {
        tokio::task::yield_now().await;
    }
    store.takes.store(true, Ordering::SeqCst);
    while !audit.has_room() || audit.is_failing() {
        tokio::task::yield_now().await;
    }
    assert_eq!(audit.close(LIMIT).await, 0);
    // The one that was refused is counted, and told as one record.
    assert_eq!(store.taken.load(Ordering::SeqCst), 17 + 1);
}

#[tokio::test]
async fn requests_wait_for_room_as_long_as_the_file_says() {
    let (store, audit) = stubborn(WhenFull::Wait, Durable::Batch, 50);
    for number in 0..16 {
        assert!(audit.record(event(ACME, number)).is_none());
    }
    assert!(audit.room().await.is_err(), "the time is over");
    let (store_again, later) = stubborn(WhenFull::Wait, Durable::Batch, 20_000);
    for number in 0..16 {
        assert!(later.record(event(ACME, number)).is_none());
    }
    let (waited, ()) = tokio::join!(later.room(), async {
        store_again.takes.store(true, Ordering::SeqCst);
    });
    waited.unwrap();
    store.takes.store(true, Ordering::SeqCst);
    assert_eq!((audit.close(LIMIT).await, later.close(LIMIT).await), (0, 0));
}

#[tokio::test]
async fn what_must_be_on_disk_is_waited_for_and_what_is_lost_is_told() {
    let (store, audit) = stubborn(WhenFull::Wait, Durable::Call, 50);
    let kept = audit.record(event(ACME, 1)).unwrap();
    assert!(matches!(kept.wait().await, Err(AuditError::Late)));
    let second = audit.record(event(ACME, 2)).unwrap();
    assert_eq!(audit.close(Duration::from_millis(50)).await, 2, "the store took nothing");
    drop(second);
    assert_eq!(store.taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn strangers_are_counted_and_listeners_hear_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.audit.db");
    let tasks = Tasks::default();
    let file = AuditFile::open(&path, &tasks).unwrap();
    let settings = config::Audit { durable: Durable::Call, ..config::Audit::default() };
    let audit = Audit::start(file, &ring(), settings, &tasks);
    let mut news = audit.subscribe();
    for _ in 0..1_000 {
        audit.deny(Denial::Unknown);
    }
    audit.deny(Denial::NoKey);
    audit.record(event(ACME, 3)).unwrap().wait().await.unwrap();
    let heard = news.recv().await.unwrap();
    assert_eq!((heard.records[0].seq, heard.records[0].id), (1, 1));
    assert_eq!(heard.heads[0].tenant, ACME);
    assert_eq!(audit.close(LIMIT).await, 0);
    let page = reader(&path).page(&Filter::default(), None, 10).await.unwrap();
    let mut told: Vec<_> = page
        .records
        .iter()
        .map(|written| (written.record.target.clone(), written.record.count))
        .collect();
    told.sort();
    let expected = [(String::new(), 1), ("no_key".to_owned(), 1), ("unknown".to_owned(), 1_000)];
    assert_eq!(told, expected);
    assert_eq!(verdicts(&path).await.len(), 3);
    let used =
        reader(&path).usage(UsageQuery { limit: 10, ..UsageQuery::default() }).await.unwrap();
    assert_eq!(used.len(), 1, "strangers use nothing");
}
