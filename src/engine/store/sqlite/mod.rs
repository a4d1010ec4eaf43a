//! The database: rows in SQLite, to be looked at with its shell.
//!
//! Write-ahead log, synced at every commit: a commit that returned outlives a power cut. A file
//! that is not ours is never written to, nor opened by SQLite, and a new database comes into being
//! whole, under another name first: an empty file in its place is damage, not a beginning.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi};

use super::persist::{Database, StoreError};
use super::rows::{Delta, Happened, Rows};
use crate::model::ItemId;

mod columns;
mod commit;
mod file;
mod load;
mod schema;
mod verify;
mod words;

/// Of its page cache; the hot rows are in memory anyway.
const CACHE_KIB: i32 = 8 << 10;
/// More than this of a write-ahead log is given back after a large commit.
const LOG_LIMIT_BYTES: i64 = 16 << 20;
/// How long somebody with the shell may hold the database before a commit fails.
const BUSY: Duration = Duration::from_secs(5);

/// The database in a file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens the database, or makes one where there is none; one of an earlier version is brought
    /// up to date.
    pub fn open(path: &Path) -> Result<Sqlite, StoreError> {
        Self::open_with(path, schema::STEPS)
    }

    fn open_with(path: &Path, steps: &[schema::Step]) -> Result<Sqlite, StoreError> {
        if !file::looks_ours(path)? {
            file::create(path, |path| {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                let mut connection = connect(path, flags)?;
                bring_up_to_date(&mut connection, path, steps)?;
                connection.close().map_err(|(_, error)| store_error(error))
            })?;
        }
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file::check_length(path)?;
        bring_up_to_date(&mut connection, path, steps)?;
        Ok(Sqlite { connection })
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
    set_up(&connection).map_err(store_error)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES)
}

fn bring_up_to_date(
    connection: &mut Connection,
    path: &Path,
    steps: &[schema::Step],
) -> Result<(), StoreError> {
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(store_error)?;
    let known = steps.len();
    match usize::try_from(found) {
        Ok(found) if found == known => Ok(()),
        Ok(found) if found < known => {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
            schema::migrate(&transaction, found, steps)?;
            transaction.commit().map_err(store_error)
        }
        Ok(_) => Err(StoreError::TooNew { path: path.display().to_string(), found, known: known as i64 }),
        Err(_) => Err(StoreError::Damaged(format!("{} says that its format is {found}", path.display()))),
    }
}

impl Database for Sqlite {
    fn load(&mut self) -> Result<Rows, StoreError> {
        load::load(&self.connection)
    }

    fn commit(&mut self, deltas: &[Delta], seq: u64) -> Result<(), StoreError> {
        let committed = commit::commit(&mut self.connection, deltas, seq).map_err(store_error);
        if !matches!(committed, Err(StoreError::Full)) {
            return committed;
        }
        // The write-ahead log takes more room than what is in it: brought into the database it goes.
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .map_err(store_error)
            .and_then(|()| commit::commit(&mut self.connection, deltas, seq).map_err(store_error))
            .map_err(|error| {
                tracing::debug!(%error, "nothing is to be had from the write-ahead log");
                StoreError::Full
            })
    }

    fn committed(&mut self) -> Result<u64, StoreError> {
        load::meta(&self.connection, "seq")
    }

    fn happened(&mut self, item: Option<ItemId>, target: &[u8]) -> Result<Vec<Happened>, StoreError> {
        load::happened_to(&self.connection, item, target)
    }

    fn verify(&mut self) -> Result<Vec<String>, StoreError> {
        verify::verify(&self.connection)
    }
}

/// What SQLite's own errors mean for the store.
fn store_error(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error;
    match &error {
        Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => StoreError::Full,
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)
            | (_, ffi::SQLITE_IOERR_SHORT_READ)
            // A table that is missing, a column of another type.
            | (ErrorCode::Unknown | ErrorCode::TypeMismatch, _) => StoreError::Damaged(error.to_string()),
            _ => StoreError::Io(std::io::Error::other(error)),
        },
        Error::SqlInputError { msg, .. } => StoreError::Damaged(msg.clone()),
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Io(std::io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests;
