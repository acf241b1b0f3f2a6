//! What is particular to SQLite: the contract holds, files are private, foreign or newer files
//! are left alone, damage is an error.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::super::contract;
use super::super::{Origin, StoreError, TenantRecord};
use super::connection::beside;
use super::pool::Sqlite;
use crate::base::{Name, Role, Tasks, TenantId};

fn open(path: &Path) -> Result<Arc<Sqlite>, StoreError> {
    Sqlite::open(path, &Tasks::default())
}

fn refusal(path: &Path) -> String {
    open(path).err().map(|error| error.to_string()).unwrap_or_default()
}

/// What somebody with the file and the `sqlite3` program can do.
pub(crate) fn by_hand(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn the_contract_holds() {
    let folder = tempfile::tempdir().unwrap();
    contract::holds(&open(&folder.path().join("deep/store.db")).unwrap().stores()).await;
}

#[tokio::test]
async fn every_file_is_private_and_what_is_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/store.db");
    let store = open(&path).unwrap();
    store.stores().tenants.create(contract::tenant("acme", 1)).await.unwrap();
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    for open_to_others in [0o640, 0o604, 0o666] {
        mode(&path, open_to_others);
        assert!(refusal(&path).contains("chmod 600"), "{}", refusal(&path));
    }
    mode(&path, 0o600);
    mode(&beside(&path, "-wal"), 0o644);
    assert!(refusal(&path).contains("-wal"), "{}", refusal(&path));
    mode(&beside(&path, "-wal"), 0o600);
    mode(path.parent().unwrap(), 0o777);
    assert!(refusal(&path).contains("chmod o-w"), "{}", refusal(&path));
}

#[tokio::test]
async fn newer_and_foreign_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let line = refusal(&path);
    assert!(line.contains("schema 99") && line.contains("knows up to"), "{line}");
    let version: i64 = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);

    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(refusal(&path).contains("another program"), "{}", refusal(&path));

    let path = folder.path().join("text.db");
    fs::write(&path, "no database at all, but long enough to look like one".repeat(40)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(refusal(&path).contains("damaged"), "{}", refusal(&path));
}

/// What a program of the first schemas left behind.
fn of_schema(path: &Path, statements: &[&str], rows: &str) {
    let store = Connection::open(path).unwrap();
    for statement in statements {
        store.execute_batch(statement).unwrap();
    }
    store.execute_batch(rows).unwrap();
    store.pragma_update(None, "application_id", 0x6d63_7070).unwrap();
    store.pragma_update(None, "user_version", statements.len() as i64).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn keys_of_an_older_store_go_on_as_members() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    of_schema(
        &path,
        &[include_str!("migrations/0001_start.sql"), include_str!("migrations/0002_session.sql")],
        "INSERT INTO tenant VALUES (zeroblob(16), 'acme', 'store', 1);
         INSERT INTO api_key (id, tenant_id, name, digest, created_at, expires_at)
         VALUES ('aaaaaaaaaa', zeroblob(16), 'laptop', zeroblob(32), 5, 9);",
    );
    let stores = open(&path).unwrap().stores();
    let owner = TenantId::from_bytes([0; 16]).into();
    let [key] = &stores.keys.list(owner).await.unwrap()[..] else { panic!("one key") };
    assert_eq!((key.role, key.holder, key.created_by), (Role::Member, key.id, None));
    assert_eq!((key.created_at, key.expires_at, key.owner), (5, Some(9), owner));
    assert!(key.scopes.is_everything());
    assert!(stores.tenants.remove(TenantId::from_bytes([0; 16])).await.unwrap());
    assert!(stores.keys.list(owner).await.unwrap().is_empty(), "keys go with their tenant");
}

#[tokio::test]
async fn two_processes_share_one_file_and_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (one, two) = (open(&path).unwrap().stores(), open(&path).unwrap().stores());
    let before = one.changes.version().await.unwrap();
    two.tenants.create(contract::tenant("acme", 1)).await.unwrap();
    assert_ne!(one.changes.version().await.unwrap(), before);
    assert_eq!(one.tenants.list().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let stores = Sqlite::open(&folder.path().join("store.db"), &tasks).unwrap().stores();
    let running: Vec<_> = (0..64_u8)
        .map(|number| {
            let tenants = stores.tenants.clone();
            tasks.spawn("writer", async move {
                let name = format!("tenant-{number}");
                tenants.create(contract::tenant(&name, number)).await
            })
        })
        .collect();
    for task in running {
        task.await.unwrap().unwrap();
    }
    assert_eq!(stores.tenants.list().await.unwrap().len(), 64);
}

#[tokio::test]
async fn flipped_bytes_are_an_error_or_harmless_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).unwrap().stores();
    for number in 0..20_u8 {
        store.tenants.create(contract::tenant(&format!("tenant-{number}"), number)).await.unwrap();
    }
    drop(store);
    Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
        .unwrap();
    let whole = fs::read(&path).unwrap();
    let damaged = folder.path().join("damaged.db");
    for at in (0..whole.len()).step_by(397) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&damaged, suffix));
        }
        fs::write(&damaged, bytes).unwrap();
        fs::set_permissions(&damaged, Permissions::from_mode(0o600)).unwrap();
        if let Ok(store) = open(&damaged) {
            let _ = store.stores().tenants.list().await;
        }
    }
}

#[tokio::test]
async fn hostile_names_stay_values() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("store.db")).unwrap().stores();
    let tenant = TenantRecord {
        id: TenantId::from_bytes([1; 16]),
        name: Name::new("acme").unwrap(),
        origin: Origin::Store,
        created_at: u64::MAX,
    };
    stores.tenants.create(tenant.clone()).await.unwrap();
    let mut key = contract::key("aaaaaaaaaa", tenant.id);
    key.name = "'); DROP TABLE api_key; --\u{0}\"".to_owned();
    stores.keys.insert(tenant.id.into(), key.clone()).await.unwrap();
    assert_eq!(stores.keys.list(tenant.id.into()).await.unwrap(), [key]);
}
