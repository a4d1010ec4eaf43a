//! Where rows outlive the process: the faces of database, journal and content files.
//!
//! The real ones are `sqlite`, `journal` and `files`; the testkit has ones in memory that can
//! lose what was not synced.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{ItemId, Name, NodeId, RequestId};

use super::rows::{Delta, Happened, Rows};

/// The database. Used by one thread at a time.
pub trait Database: Send {
    fn load(&mut self) -> Result<Rows, StoreError>;

    /// All of it or nothing; durable when it returns. `seq` is that of the last journal record in
    /// it and is kept in the same transaction.
    fn commit(&mut self, deltas: &[Delta], seq: u64) -> Result<(), StoreError>;

    /// The `seq` of the last commit; 0 at first.
    fn committed(&mut self) -> Result<u64, StoreError>;

    /// What happened to an item, or to a path (`NAME:path`), oldest first.
    fn happened(&mut self, item: Option<ItemId>, target: &[u8]) -> Result<Vec<Happened>, StoreError>;

    /// Finds damage; one sentence each.
    fn verify(&mut self) -> Result<Vec<String>, StoreError>;
}

/// The journal: outlives the process, not the machine. Appending does not sync.
pub trait Journal: Send {
    /// Appends one record; when it returns the record is with the kernel.
    fn append(&mut self, seq: u64, step: &Step) -> Result<(), StoreError>;

    /// What this boot of the machine wrote after `seq`, and the notes of all that is still there;
    /// whatever else the files hold is no longer valid.
    fn recover(&mut self, seq: u64) -> Result<Recovered, StoreError>;

    /// Records up to `seq` are committed and may go. Those of the last moments stay for their notes.
    fn forget(&mut self, seq: u64) -> Result<(), StoreError>;
}

/// One step as the journal has it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Step {
    pub deltas: Vec<Delta>,
    pub note: Note,
}

/// What of a step an engine must know that takes over a living mount: the one that made the step may
/// have been killed before it told the kernel.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Note {
    /// The request that the step carried out.
    pub done: Option<RequestId>,
    pub forget: Vec<Forget>,
}

/// What the kernel must forget because of a step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Forget {
    /// Attributes and pages of a node.
    Node(NodeId),
    /// A name in a folder, present or absent.
    Entry(NodeId, Name),
}

/// What a journal held at a start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recovered {
    /// In order.
    pub records: Vec<(u64, Vec<Delta>)>,
    /// Also of records that are committed by now.
    pub notes: Vec<Note>,
}

/// The files that hold contents, by number.
pub trait Files: Send + Sync {
    fn create(&self, number: u64) -> io::Result<Arc<dyn StoreFile>>;
    fn open(&self, number: u64) -> io::Result<Arc<dyn StoreFile>>;
    /// Absent is fine.
    fn remove(&self, number: u64) -> io::Result<()>;
    fn list(&self) -> io::Result<Vec<u64>>;
    /// Copies bytes from one to the other by the cheapest way there is (reflink, in the kernel).
    fn copy(&self, from: &dyn StoreFile, to: &dyn StoreFile, range: Range<u64>) -> io::Result<()>;
    /// Everything written to these is on the disk when it returns, their names too.
    fn sync(&self, files: &[Arc<dyn StoreFile>]) -> io::Result<()>;
    /// (total, free for us, block size) in bytes of the file system that holds them.
    fn space(&self) -> io::Result<(u64, u64, u64)>;
}

#[allow(clippy::len_without_is_empty, reason = "an empty file is nothing special")]
pub trait StoreFile: Send + Sync {
    fn number(&self) -> u64;
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// The range reads as zero and takes no space; the length stays.
    fn punch(&self, range: Range<u64>) -> io::Result<()>;
    /// Space for the range is there; the length grows unless `keep_size`.
    fn allocate(&self, range: Range<u64>, keep_size: bool) -> io::Result<()>;
    /// The first offset at or after `offset` that holds data, or a hole; `None` past the end.
    fn seek(&self, offset: u64, data: bool) -> io::Result<Option<u64>>;
    /// Bytes on the disk.
    fn disk_bytes(&self) -> io::Result<u64>;
    /// For handing to a client: a read-only descriptor, where it is a real file.
    fn descriptor(&self) -> io::Result<std::os::fd::OwnedFd>;
    /// The whole of itself, for downcasting by the `Files` that made it.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Why the store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store is in use by another engine")]
    InUse,
    #[error("the store {path} was made by a newer Holdfast (format {found}, this one knows {known})")]
    TooNew { path: String, found: i64, known: i64 },
    #[error("{path} is not a Holdfast store: {detail}")]
    Foreign { path: String, detail: String },
    #[error("the store is damaged: {0}")]
    Damaged(String),
    #[error("the disk of the store is full; remove something there, or give it more room")]
    Full,
    #[error("the store cannot be read or written: {0}")]
    Io(io::Error),
}

/// A full disk is told apart.
impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Io(error),
        }
    }
}
