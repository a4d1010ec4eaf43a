//! Files of the store that are kept open: a bounded number, however many contents there are.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::persist::{Files, StoreFile};

/// How many files stay open.
const MOST: usize = 512;

/// Opens files by number and keeps the ones used lately ("second chance").
pub(super) struct Handles {
    pub files: Arc<dyn Files>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    slots: HashMap<u64, Slot>,
    /// In the order in which they may be closed.
    queue: VecDeque<u64>,
}

struct Slot {
    file: Arc<dyn StoreFile>,
    used: bool,
}

impl Handles {
    pub fn new(files: Arc<dyn Files>) -> Handles {
        Handles { files, open: Mutex::default() }
    }

    pub fn open(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        if let Some(slot) = self.open.lock().slots.get_mut(&number) {
            slot.used = true;
            return Ok(slot.file.clone());
        }
        let file = self.files.open(number)?;
        self.keep(number, &file);
        Ok(file)
    }

    /// `None` where there is no such file.
    pub fn find(&self, number: u64) -> io::Result<Option<Arc<dyn StoreFile>>> {
        match self.open(number) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new, empty file.
    pub fn create(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        let file = self.files.create(number)?;
        self.keep(number, &file);
        Ok(file)
    }

    pub fn open_or_create(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        match self.find(number)? {
            Some(file) => Ok(file),
            None => self.create(number),
        }
    }

    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.open.lock().slots.remove(&number);
        self.files.remove(number)
    }

    /// How many are open.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.open.lock().slots.len()
    }

    fn keep(&self, number: u64, file: &Arc<dyn StoreFile>) {
        // Closed after the lock is given back: closing a file can take long.
        let mut closed = Vec::new();
        let mut open = self.open.lock();
        if open.slots.insert(number, Slot { file: file.clone(), used: false }).is_none() {
            open.queue.push_back(number);
        }
        while open.slots.len() > MOST || open.queue.len() > 2 * MOST {
            let Some(oldest) = open.queue.pop_front() else {
                break;
            };
            match open.slots.get_mut(&oldest) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    open.queue.push_back(oldest);
                }
                _ => closed.extend(open.slots.remove(&oldest)),
            }
        }
        drop(open);
    }
}
