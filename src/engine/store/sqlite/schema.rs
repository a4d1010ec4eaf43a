//! The tables, and the steps from each version of them to the next.
//!
//! Numbers of 64 bits without sign (ids, sizes) are kept bit for bit in SQLite's signed ones: past
//! 2^63 they show as negative. Times are nanoseconds since 1970. Kinds, sides and the like are
//! words. `xattrs`, `changed` and `before.before` are postcard.
//!
//! No foreign keys and no unique places: rows of one commit come in any order. `verify` looks.

use std::sync::OnceLock;

use rusqlite::Transaction;

use super::store_error;
use crate::model::{HistoryId, Time};
use crate::store::persist::StoreError;
use crate::store::rows_before::History1;

/// "HDFT", in the header of the file.
pub const APPLICATION_ID: i32 = 0x4844_4654;

pub type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The step at n leads from version n to n + 1; never changed once released.
pub const STEPS: &[Step] = &[create, befores_apart];

/// Brings the database to the version the steps lead to, all or nothing.
pub fn migrate(transaction: &Transaction<'_>, from: usize, steps: &[Step]) -> Result<(), StoreError> {
    for step in steps.iter().skip(from) {
        step(transaction).map_err(store_error)?;
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64).map_err(store_error)
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(VERSION_1)
}

/// What was before an entry of the history gets rows of its own, one for each item, and the history
/// knows reconnections.
fn befores_apart(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(VERSION_2)?;
    let mut old = transaction.prepare("SELECT id, at, what, undone, before FROM history_1 ORDER BY id")?;
    let mut rows = old.query([])?;
    let mut histories = super::commit::Put::new(transaction, &HISTORY)?;
    let mut befores = super::commit::Put::new(transaction, &BEFORE)?;
    while let Some(row) = rows.next()? {
        let blob: Vec<u8> = row.get(4)?;
        let before = postcard::from_bytes(&blob).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, error.into())
        })?;
        let id = HistoryId(row.get::<_, i64>(0)? as u64);
        let old = History1 { id, at: Time(row.get(1)?), what: row.get(2)?, undone: row.get(3)?, before };
        let (history, all) = old.into_now();
        histories.set(id.0, Some(&history), super::commit::history)?;
        for (id, before) in &all {
            befores.set(id.history.0, Some(&(id.number, before)), super::commit::before)?;
        }
    }
    drop(rows);
    drop(old);
    transaction.execute_batch("DROP TABLE history_1")
}

const VERSION_2: &str = "
ALTER TABLE history RENAME TO history_1;

CREATE TABLE history (
  id INTEGER PRIMARY KEY NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL,
  undone INTEGER NOT NULL CHECK (undone IN (0, 1)), kind TEXT NOT NULL, location INTEGER,
  items INTEGER NOT NULL, away_seconds INTEGER,
  sent INTEGER NOT NULL, taken INTEGER NOT NULL, conflicts INTEGER NOT NULL,
  released INTEGER NOT NULL CHECK (released IN (0, 1)), left_out INTEGER NOT NULL
) STRICT;

-- number: see BeforeId.
CREATE TABLE before (
  history INTEGER NOT NULL, number INTEGER NOT NULL, before BLOB NOT NULL,
  PRIMARY KEY (history, number)
) STRICT, WITHOUT ROWID;
";

const VERSION_1: &str = "
-- 'seq': the last journal record in here; 'next_id': numbers are handed out up to here.
CREATE TABLE meta (
  key TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('seq', 0), ('next_id', 0);

CREATE TABLE location (
  id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, root INTEGER NOT NULL,
  by_hand INTEGER NOT NULL CHECK (by_hand IN (0, 1)), last_sync INTEGER,
  brake INTEGER, brake_needs TEXT, brake_message TEXT,
  CHECK ((brake IS NULL) = (brake_needs IS NULL) AND (brake IS NULL) = (brake_message IS NULL))
) STRICT;

CREATE TABLE setting (
  location INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (location, position)
) STRICT, WITHOUT ROWID;

-- parent, name and node are the entry here.
CREATE TABLE item (
  id INTEGER PRIMARY KEY NOT NULL, location INTEGER NOT NULL,
  parent INTEGER, name BLOB, node INTEGER,
  server TEXT NOT NULL CHECK (server IN ('as base', 'gone', 'at')),
  pending INTEGER, first_at INTEGER, last_at INTEGER,
  conflict INTEGER, conflict_kind TEXT, conflict_since INTEGER,
  problem INTEGER, problem_needs TEXT, problem_message TEXT,
  pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
  local_only INTEGER NOT NULL CHECK (local_only IN (0, 1)),
  CHECK ((parent IS NULL) = (name IS NULL) AND (parent IS NULL) = (node IS NULL)),
  CHECK ((pending IS NULL) = (first_at IS NULL) AND (pending IS NULL) = (last_at IS NULL)),
  CHECK ((conflict IS NULL) = (conflict_kind IS NULL) AND (conflict IS NULL) = (conflict_since IS NULL)),
  CHECK ((problem IS NULL) = (problem_needs IS NULL) AND (problem IS NULL) = (problem_message IS NULL))
) STRICT;

CREATE TABLE base (
  item INTEGER PRIMARY KEY NOT NULL,
  parent INTEGER, name BLOB NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL, size INTEGER NOT NULL,
  mtime INTEGER NOT NULL, link_target BLOB, xattrs BLOB, version BLOB NOT NULL, file_id INTEGER,
  content INTEGER
) STRICT;

-- Of items whose `server` is 'at'.
CREATE TABLE server (
  item INTEGER PRIMARY KEY NOT NULL,
  parent INTEGER, name BLOB NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL, size INTEGER NOT NULL,
  mtime INTEGER NOT NULL, link_target BLOB, xattrs BLOB, version BLOB NOT NULL, file_id INTEGER,
  content INTEGER
) STRICT;

-- What was handed to the remote and is not answered. A removal has no state.
CREATE TABLE intent (
  item INTEGER PRIMARY KEY NOT NULL,
  aspects INTEGER NOT NULL, digest BLOB, from_parent INTEGER, from_name BLOB,
  removal INTEGER NOT NULL CHECK (removal IN (0, 1)),
  parent INTEGER, name BLOB, kind TEXT, mode INTEGER, size INTEGER,
  mtime INTEGER, link_target BLOB, xattrs BLOB, version BLOB, file_id INTEGER, content INTEGER,
  CHECK ((from_parent IS NULL) = (from_name IS NULL)),
  CHECK (removal = (name IS NULL))
) STRICT;

CREATE TABLE node (
  id INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, rdev INTEGER NOT NULL, size INTEGER NOT NULL,
  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
  content INTEGER, link_target BLOB, xattrs BLOB,
  listed INTEGER NOT NULL CHECK (listed IN (0, 1)), writing INTEGER NOT NULL CHECK (writing IN (0, 1)),
  replaced INTEGER
) STRICT;

CREATE TABLE content (
  id INTEGER PRIMARY KEY NOT NULL, file INTEGER NOT NULL, size INTEGER NOT NULL,
  over INTEGER, over_limit INTEGER, changed BLOB,
  whole INTEGER NOT NULL CHECK (whole IN (0, 1)), sealed INTEGER NOT NULL CHECK (sealed IN (0, 1)),
  digest BLOB,
  CHECK ((over IS NULL) = (over_limit IS NULL))
) STRICT;

CREATE TABLE stash (
  id INTEGER PRIMARY KEY NOT NULL, location INTEGER NOT NULL, target BLOB NOT NULL, side TEXT NOT NULL,
  kind TEXT NOT NULL, mode INTEGER NOT NULL, mtime INTEGER NOT NULL, size INTEGER NOT NULL,
  content INTEGER, link_target BLOB, at INTEGER NOT NULL, why TEXT NOT NULL,
  kept INTEGER NOT NULL CHECK (kept IN (0, 1))
) STRICT;

CREATE TABLE history (
  id INTEGER PRIMARY KEY NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL,
  undone INTEGER NOT NULL CHECK (undone IN (0, 1)), before BLOB NOT NULL
) STRICT;

CREATE TABLE happened (
  seq INTEGER PRIMARY KEY NOT NULL, item INTEGER NOT NULL, at INTEGER NOT NULL,
  target BLOB NOT NULL, what TEXT NOT NULL
) STRICT;
CREATE INDEX happened_item ON happened (item);
CREATE INDEX happened_target ON happened (target);
";

/// A table as rows are written to and read from it.
pub struct Table {
    pub name: &'static str,
    /// The first is the key, or the first two.
    columns: &'static str,
    keys: usize,
    /// The columns of a state follow.
    state: bool,
    put: OnceLock<String>,
    remove: OnceLock<String>,
}

/// The columns of a state, wherever it is kept.
const STATE: &str = "parent name kind mode size mtime link_target xattrs version file_id content";

pub fn state_columns() -> usize {
    STATE.split_whitespace().count()
}

impl Table {
    const fn new(name: &'static str, columns: &'static str) -> Table {
        Table::of(name, columns, 1, false)
    }

    const fn with_state(name: &'static str, columns: &'static str) -> Table {
        Table::of(name, columns, 1, true)
    }

    const fn with_two_keys(name: &'static str, columns: &'static str) -> Table {
        Table::of(name, columns, 2, false)
    }

    const fn of(name: &'static str, columns: &'static str, keys: usize, state: bool) -> Table {
        Table { name, columns, keys, state, put: OnceLock::new(), remove: OnceLock::new() }
    }

    pub fn columns(&self) -> Vec<&'static str> {
        let state = if self.state { STATE } else { "" };
        self.columns.split_whitespace().chain(state.split_whitespace()).collect()
    }

    pub fn put_sql(&self) -> &str {
        self.put.get_or_init(|| {
            let columns = self.columns();
            let marks = vec!["?"; columns.len()].join(",");
            format!("INSERT OR REPLACE INTO {} ({}) VALUES ({marks})", self.name, columns.join(","))
        })
    }

    pub fn remove_sql(&self) -> &str {
        self.remove.get_or_init(|| {
            let keys: Vec<String> = self.keys().iter().map(|key| format!("{key} = ?")).collect();
            format!("DELETE FROM {} WHERE {}", self.name, keys.join(" AND "))
        })
    }

    /// `rest` follows the name of the table.
    pub fn select_sql(&self, rest: &str) -> String {
        format!("SELECT {} FROM {} {rest}", self.columns().join(","), self.name)
    }

    fn keys(&self) -> Vec<&'static str> {
        self.columns().into_iter().take(self.keys).collect()
    }

    /// All rows, by key.
    pub fn all_sql(&self) -> String {
        self.select_sql(&format!("ORDER BY {}", self.keys().join(",")))
    }
}

pub static LOCATION: Table =
    Table::new("location", "id name url root by_hand last_sync brake brake_needs brake_message");
pub static SETTING: Table = Table::new("setting", "location position name value");
pub static ITEM: Table = Table::new(
    "item",
    "id location parent name node server pending first_at last_at conflict conflict_kind \
     conflict_since problem problem_needs problem_message pinned local_only",
);
pub static BASE: Table = Table::with_state("base", "item");
pub static SERVER: Table = Table::with_state("server", "item");
pub static INTENT: Table = Table::with_state("intent", "item aspects digest from_parent from_name removal");
pub static NODE: Table = Table::new(
    "node",
    "id kind mode uid gid rdev size atime mtime ctime content link_target xattrs listed writing replaced",
);
pub static CONTENT: Table = Table::new("content", "id file size over over_limit changed whole sealed digest");
pub static STASH: Table =
    Table::new("stash", "id location target side kind mode mtime size content link_target at why kept");
pub static HISTORY: Table = Table::new(
    "history",
    "id at what undone kind location items away_seconds sent taken conflicts released left_out",
);
pub static BEFORE: Table = Table::with_two_keys("before", "history number before");
pub static HAPPENED: Table = Table::new("happened", "seq item at target what");
