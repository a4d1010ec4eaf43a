//! The open files, written down so that an engine that takes over a living mount knows them.
//!
//! The kernel holds handles and will give them back one day; which of them may write decides when a
//! file counts as finished. The table outlives the process, not the machine: nothing syncs it.
//!
//! # Format
//!
//! All numbers are little-endian and 8 bytes long.
//!
//! ```text
//! header   magic "HOLDFOPN", connection, engines that have served it
//! record   handle, node, number of the request that opened it (0: unknown), flags
//! ```
//!
//! A record whose flags are 0 is free.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::model::{NodeId, RequestId};

use super::handles::OpenFile;

const MAGIC: &[u8; 8] = b"HOLDFOPN";
const HEADER_BYTES: u64 = 24;
const RECORD_BYTES: u64 = 32;
const USED: u64 = 1;
const MAY_WRITE: u64 = 2;

/// A connection of a mount to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Never used again.
    pub id: u64,
    /// It was served by an engine before, which was killed or made way.
    pub lives: bool,
}

/// Files with their handles.
type Left = Vec<(u64, OpenFile)>;

/// What was open at a start, and where it is written down from then on.
#[derive(Default)]
pub struct OpenFiles {
    pub(super) connection: Option<Connection>,
    pub(super) table: Option<Table>,
    pub(super) left: Left,
    /// How many engines served the connection before this one.
    pub(super) before: u64,
}

impl OpenFiles {
    /// With what the last engine left, where the connection lives and this is its table.
    pub fn open(path: &Path, connection: Connection) -> io::Result<OpenFiles> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut table = Table { file, slots: HashMap::new(), free: Vec::new(), end: 0, broken: false };
        let found = if connection.lives { table.read(connection.id)? } else { None };
        let is_known = found.is_some();
        let (before, left) = found.unwrap_or_default();
        if !is_known {
            table.file.set_len(0)?;
        }
        let header = [u64::from_le_bytes(*MAGIC), connection.id, before + 1];
        table.file.write_all_at(&bytes_of(&header), 0)?;
        let connection = Connection { lives: is_known, ..connection };
        Ok(OpenFiles { connection: Some(connection), table: Some(table), left, before })
    }

    /// Whether all that the kernel has open is known.
    pub fn is_taken_over(&self) -> bool {
        self.connection.is_some_and(|connection| connection.lives)
    }
}

/// The file. Once it cannot be written, it says nothing any more, and nobody takes over.
pub(super) struct Table {
    file: File,
    slots: HashMap<u64, u64>,
    free: Vec<u64>,
    end: u64,
    broken: bool,
}

impl Table {
    /// How many engines there were, and what they left open; `None` for a table of something else.
    fn read(&mut self, connection: u64) -> io::Result<Option<(u64, Left)>> {
        let mut bytes = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, 0)?;
        let (words, _) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let Some(([magic, of, before], records)) = words.split_first_chunk() else { return Ok(None) };
        if magic.to_le_bytes() != *MAGIC || *of != connection {
            return Ok(None);
        }
        let mut left = Left::new();
        for &[handle, node, request, flags] in records.as_chunks().0 {
            let slot = self.end;
            self.end += 1;
            if flags & USED == 0 {
                self.free.push(slot);
                continue;
            }
            self.slots.insert(handle, slot);
            let request = (request != 0).then_some(RequestId { mount: connection, number: request });
            left.push((handle, OpenFile { node: NodeId(node), write: flags & MAY_WRITE != 0, request }));
        }
        Ok(Some((*before, left)))
    }

    pub fn add(&mut self, handle: u64, file: &OpenFile) {
        let slot = self.free.pop().unwrap_or(self.end);
        self.end = self.end.max(slot + 1);
        self.slots.insert(handle, slot);
        let flags = USED | if file.write { MAY_WRITE } else { 0 };
        self.put(slot, [handle, file.node.0, file.request.map_or(0, |r| r.number), flags]);
    }

    pub fn remove(&mut self, handle: u64) {
        if let Some(slot) = self.slots.remove(&handle) {
            self.free.push(slot);
            self.put(slot, [0; 4]);
        }
    }

    fn put(&mut self, slot: u64, record: [u64; 4]) {
        if self.broken {
            return;
        }
        let written = self.file.write_all_at(&bytes_of(&record), HEADER_BYTES + slot * RECORD_BYTES);
        if let Err(error) = written {
            tracing::warn!(%error, "open files cannot be written down: they will not outlive this engine");
            self.broken = true;
            if let Err(error) = self.file.set_len(0) {
                tracing::error!(%error, "the table of open files cannot be emptied");
            }
        }
    }
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, id: u64, lives: bool) -> OpenFiles {
        OpenFiles::open(path, Connection { id, lives }).unwrap()
    }

    fn file(node: u64, write: bool) -> OpenFile {
        OpenFile { node: NodeId(node), write, request: Some(RequestId { mount: 9, number: node + 100 }) }
    }

    #[test]
    fn the_next_engine_knows_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        let mut first = open(&path, 9, false).table.unwrap();
        (1..=3).for_each(|n| first.add(n, &file(n * 10, n == 2)));
        first.remove(1);
        first.add(4, &file(40, false));
        drop(first);

        let second = open(&path, 9, true);
        assert!(second.is_taken_over());
        assert_eq!(second.before, 1);
        let mut left = second.left;
        left.sort_by_key(|(handle, _)| *handle);
        assert_eq!(left, [(2, file(20, true)), (3, file(30, false)), (4, file(40, false))]);
        let mut table = second.table.unwrap();
        [2, 3, 4].into_iter().for_each(|n| table.remove(n));
        drop(table);
        assert!(open(&path, 9, true).left.is_empty());
    }

    #[test]
    fn a_table_of_something_else_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        open(&path, 9, false).table.unwrap().add(1, &file(10, true));
        assert!(!open(&path, 8, true).is_taken_over(), "another connection");
        assert!(open(&path, 8, true).is_taken_over());
        let fresh = open(&path, 8, false);
        assert!(!fresh.is_taken_over() && fresh.left.is_empty(), "a new connection begins anew");
        std::fs::write(&path, b"something else altogether, and long enough").unwrap();
        assert!(!open(&path, 8, true).is_taken_over());
    }
}
