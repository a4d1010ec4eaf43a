//! Room on the disk: what is set aside, so that on a full disk room can still be made.
//!
//! A removal has to be written down and committed before the bytes it gives up may go, and on a full
//! disk there is no room to write it down. So a part of the disk is held by a file without content. When a
//! step that makes room, or a commit, meets a full disk, this *reserve* is given back and used for that.
//! From then on nothing that takes room is begun until the reserve is whole again: what it is for is
//! not used up by the next write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;

use super::persist::{Files, StoreError, StoreFile};

/// Number of the file that holds the reserve.
pub const RESERVE: u64 = 1 << 60;

/// Most bytes set aside; of a small disk this part of it.
const MOST_BYTES: u64 = 8 << 20;
const PART_OF_DISK: u64 = 32;

/// With less than this nothing is tried again.
const WORTH_BYTES: u64 = 1 << 20;
/// With less than this no file is rewritten.
const REWRITE_BYTES: u64 = 64 << 10;

pub struct Room {
    files: Arc<dyn Files>,
    /// Bytes that are set aside.
    wanted: u64,
    /// The reserve is given back, or could not be set aside yet.
    short: AtomicBool,
    changing: Mutex<()>,
}

impl Room {
    pub fn new(files: Arc<dyn Files>) -> Room {
        let wanted = files.space().map_or(MOST_BYTES, |(total, ..)| MOST_BYTES.min(total / PART_OF_DISK));
        let room = Room { files, wanted, short: AtomicBool::new(true), changing: Mutex::new(()) };
        room.restore();
        room
    }

    /// Whether something that takes room may be begun.
    pub fn admit(&self) -> Result<(), StoreError> {
        if self.is_short() && !self.restore() { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Whether a file may be rewritten from its beginning: on a full disk only the truncation would
    /// succeed.
    pub fn admit_rewrite(&self) -> Result<(), StoreError> {
        self.admit()?;
        match self.files.space() {
            Ok((_, free, _)) if free < REWRITE_BYTES => Err(StoreError::Full),
            _ => Ok(()),
        }
    }

    /// Whether there is so much room that what a full disk ended is worth another try.
    pub fn is_worth_a_try(&self) -> bool {
        self.restore() && self.files.space().is_ok_and(|(_, free, _)| free >= WORTH_BYTES)
    }

    pub fn is_short(&self) -> bool {
        self.short.load(SeqCst)
    }

    /// Gives the reserve back. Whether there was something to give.
    pub fn give_back(&self) -> bool {
        let _changing = self.changing.lock();
        self.short.store(true, SeqCst);
        let held = self.held();
        if held > 0 {
            tracing::warn!(held, "the disk of the store is full: only what makes room is done");
        }
        held > 0 && self.files.remove(RESERVE).is_ok()
    }

    /// Does it once more, with the reserve given back, where the disk was full.
    pub fn or_in_reserve<R>(&self, mut work: impl FnMut() -> Result<R, StoreError>) -> Result<R, StoreError> {
        match work() {
            Err(StoreError::Full) if self.give_back() => work(),
            other => other,
        }
    }

    /// Sets the reserve aside again, if there is room for it now.
    pub fn restore(&self) -> bool {
        if !self.is_short() {
            return true;
        }
        let _changing = self.changing.lock();
        if !self.is_short() {
            return true;
        }
        match self.hold() {
            Ok(()) => {
                self.short.store(false, SeqCst);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "no room can be set aside yet");
                let _ = self.files.remove(RESERVE);
                false
            }
        }
    }

    fn held(&self) -> u64 {
        self.files.open(RESERVE).and_then(|file| file.disk_bytes()).unwrap_or(0)
    }

    fn hold(&self) -> io::Result<()> {
        let wanted = self.wanted;
        if self.held() >= wanted {
            return Ok(());
        }
        self.files.remove(RESERVE)?;
        let file = self.files.create(RESERVE)?;
        match file.allocate(0..wanted, false) {
            // Where space cannot be had without writing to it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => fill(&*file, wanted),
            other => other,
        }
    }
}

fn fill(file: &dyn StoreFile, bytes: u64) -> io::Result<()> {
    let some = vec![0x5a; 64 << 10];
    let mut at = 0;
    while at < bytes {
        file.write_at(at, &some)?;
        at += some.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemFiles;

    #[test]
    fn what_is_set_aside_is_given_once_and_made_anew_when_there_is_room() {
        let files = Arc::new(MemFiles::new());
        files.set_capacity(64 << 20);
        let room = Room::new(files.clone());
        room.admit().unwrap();
        let (.., free, _) = files.space().unwrap();
        assert_eq!(free, 62 << 20);
        let other = files.create(1).unwrap();
        other.allocate(0..62 << 20, false).unwrap();
        assert!(room.give_back());
        assert!(!room.give_back(), "it is used up");
        other.write_at(62 << 20, &[1]).expect("there is room for what makes room");
        assert!(matches!(room.admit(), Err(StoreError::Full)));
        files.remove(1).unwrap();
        room.admit().unwrap();
        assert!(room.give_back(), "it is whole again");
    }

    #[test]
    fn it_outlives_the_engine() {
        let files = Arc::new(MemFiles::new());
        files.set_capacity(64 << 20);
        drop(Room::new(files.clone()));
        files.set_capacity(2 << 20);
        let room = Room::new(files);
        assert!(!room.is_short() && room.give_back());
    }
}
