//! One writer and a few readers. Waiting for a connection happens without a thread and has a
//! deadline; only the work itself occupies a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::{Changes, Pending, StoreError, Stores};
use super::connection::{Role, open, prepare};
use super::schema::{STORE, Schema, migrate};
use crate::base::Tasks;

const READERS: usize = 4;
const WAIT: Duration = Duration::from_secs(10);

/// The store in one SQLite file.
pub struct Sqlite {
    path: PathBuf,
    tasks: Tasks,
    writer: Lane,
    readers: Lane,
    watcher: Lane,
}

/// Connections of one kind; at most as many at work as there are.
#[derive(Clone)]
struct Lane {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection on loan: goes back to its lane, also when the work panics.
struct Loan {
    connection: Option<Connection>,
    lane: Lane,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lane.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl Lane {
    fn new(connections: Vec<Connection>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Self { free: Arc::new(Mutex::new(connections)), permits }
    }

    async fn take(&self) -> Result<Loan, StoreError> {
        let permit = tokio::time::timeout(WAIT, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Busy)?;
        let connection = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Loan { connection, lane: self.clone(), _permit: permit })
    }
}

impl Sqlite {
    /// Opens the store, made and migrated where needed. Blocks for a few milliseconds, so it
    /// belongs to the start of the program.
    ///
    /// # Errors
    /// When the file or its SQLite is unsafe, foreign, newer than this program, or unusable.
    pub fn open(path: &Path, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self::of(path, tasks, STORE)?))
    }

    /// A file of this schema.
    pub(super) fn of(path: &Path, tasks: &Tasks, schema: Schema) -> Result<Self, StoreError> {
        prepare(path)?;
        let mut writer = open(path, Role::Write)?;
        migrate(&mut writer, path, schema)?;
        let readers = (0..READERS).map(|_| open(path, Role::Read)).collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            tasks: tasks.clone(),
            writer: Lane::new(vec![writer]),
            readers: Lane::new(readers),
            watcher: Lane::new(vec![open(path, Role::Read)?]),
        })
    }

    /// The store as its users see it.
    #[must_use]
    pub fn stores(self: &Arc<Self>) -> Stores {
        Stores {
            tenants: self.clone(),
            keys: self.clone(),
            secrets: self.clone(),
            sessions: self.clone(),
            repeats: self.clone(),
            upstreams: self.clone(),
            profiles: self.clone(),
            picks: self.clone(),
            clients: self.clone(),
            grants: self.clone(),
            changes: self.clone(),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one transaction that is written to disk when this returns `Ok`.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run("store write", &self.writer, |connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&step)?;
            step.commit()?;
            Ok(done)
        })
        .await
    }

    /// Runs `work` on a reader, in one snapshot.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run("store read", &self.readers, |connection| work(&connection.transaction()?)).await
    }

    /// Empties the write-ahead log, so that removed rows are gone from it too. A reader that is
    /// at work keeps them until the next checkpoint.
    pub(super) async fn truncate_log(&self) -> Result<(), StoreError> {
        self.run("store checkpoint", &self.writer, |connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
            Ok(())
        })
        .await
    }

    async fn run<T, F>(&self, name: &'static str, lane: &Lane, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let mut loan = lane.take().await?;
        let running = self.tasks.spawn_blocking(name, move || match loan.connection.as_mut() {
            Some(connection) => work(connection),
            None => Err(StoreError::Failed("a connection is missing".to_owned())),
        });
        running.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}

impl Changes for Sqlite {
    /// `PRAGMA data_version` of a connection that never writes: it moves with every commit of
    /// any other connection, ours or another process's.
    fn version(&self) -> Pending<'_, u64> {
        Box::pin(self.run("store version", &self.watcher, |connection| {
            let version: i64 =
                connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
            Ok(version.unsigned_abs())
        }))
    }
}
