//! The disk of a simulated machine: database and journal in memory, which outlive engines.
//!
//! Three things can happen to it. A *kill* ends an engine: its handles are dead, what it appended
//! to the journal stays. A *crash* of the machine loses the journal too (the next boot has another
//! id) and whatever content files had not synced. And the disk can be full.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use holdfast_engine::model::{ContentId, HistoryId, ItemId, LocationId, NodeId, StashId};
use holdfast_engine::store::memory::MemFiles;
use holdfast_engine::store::persist::{Database, Journal, Recovered, Step, StoreError};
use holdfast_engine::store::rows::{
    Before, BeforeId, ContentRow, Delta, Happened, History, Item, Location, Node, Rows, Stashed,
};
use parking_lot::{Mutex, MutexGuard};

/// What holds the contents on a simulated disk, as far as ends of process and machine matter.
pub trait DiskFiles: Clone + Send + Sync + 'static {
    /// The engine is gone: its handles can do no more.
    fn kill(&self);
    /// The machine is gone: what was not synced is lost.
    fn crash(&self);
    fn set_full(&self, full: bool);
    /// What database and journal take of the same disk; false where it does not fit.
    fn take(&self, bytes: u64) -> bool;
    fn give(&self, bytes: u64);
}

/// No content files.
impl DiskFiles for () {
    fn kill(&self) {}
    fn crash(&self) {}
    fn set_full(&self, _full: bool) {}
    fn take(&self, _bytes: u64) -> bool {
        false
    }
    fn give(&self, _bytes: u64) {}
}

impl DiskFiles for Arc<MemFiles> {
    /// The kernel has what was written.
    fn kill(&self) {}
    fn crash(&self) {
        MemFiles::crash(self);
    }
    fn set_full(&self, full: bool) {
        match full {
            true => self.fill_up(),
            false => self.set_capacity(u64::MAX),
        }
    }
    fn take(&self, bytes: u64) -> bool {
        MemFiles::take(self, bytes)
    }
    fn give(&self, bytes: u64) {
        MemFiles::give(self, bytes);
    }
}

/// Cheap to clone; all clones are one disk.
#[derive(Clone, Default)]
pub struct SimDisk<F = ()> {
    state: Arc<Mutex<State>>,
    pub files: F,
}

/// Handles of one run of an engine; dead after `kill` or `crash`.
pub struct OpenDisk {
    pub database: MemDatabase,
    pub journal: MemJournal,
    pub boot_id: [u8; 16],
}

#[derive(Default)]
struct State {
    tables: Tables,
    committed: u64,
    journal: Vec<Record>,
    boot: u64,
    /// Which run of an engine may use the disk.
    run: u64,
    dead: bool,
    full: bool,
    /// Writes until now, and the one before which the engine is killed.
    writes: u64,
    kill_before: Option<u64>,
}

struct Record {
    boot: u64,
    seq: u64,
    step: Step,
    bytes: u64,
}

#[derive(Default)]
struct Tables {
    items: BTreeMap<ItemId, Item>,
    nodes: BTreeMap<NodeId, Node>,
    contents: BTreeMap<ContentId, ContentRow>,
    locations: BTreeMap<LocationId, Location>,
    stash: BTreeMap<StashId, Stashed>,
    history: BTreeMap<HistoryId, History>,
    befores: BTreeMap<BeforeId, Before>,
    happened: BTreeMap<u64, Happened>,
    next_id: u64,
}

impl SimDisk {
    pub fn new() -> SimDisk {
        SimDisk::default()
    }
}

impl<F: DiskFiles> SimDisk<F> {
    pub fn with_files(files: F) -> SimDisk<F> {
        SimDisk { state: Arc::default(), files }
    }

    /// For a new run of an engine; handles of an earlier one are dead from now on.
    pub fn open(&self) -> OpenDisk {
        let mut state = self.state.lock();
        state.run += 1;
        state.dead = false;
        state.kill_before = None;
        let (taking, giving) = (self.files.clone(), self.files.clone());
        let access = Access {
            state: self.state.clone(),
            run: state.run,
            take: Arc::new(move |bytes| taking.take(bytes)),
            give: Arc::new(move |bytes| giving.give(bytes)),
        };
        OpenDisk {
            database: MemDatabase(access.clone()),
            journal: MemJournal(access),
            boot_id: u128::from(state.boot + 1).to_le_bytes(),
        }
    }

    /// The engine ends here and now.
    pub fn kill(&self) {
        self.state.lock().dead = true;
        self.files.kill();
    }

    /// The machine ends here and now.
    pub fn crash(&self) {
        {
            let mut state = self.state.lock();
            state.dead = true;
            state.boot += 1;
        }
        self.files.crash();
    }

    /// The engine is killed just before so many more writes to database or journal have been made.
    pub fn kill_after(&self, writes: u64) {
        let mut state = self.state.lock();
        state.kill_before = Some(state.writes + writes);
    }

    /// Takes `kill_after` back.
    pub fn spare(&self) {
        self.state.lock().kill_before = None;
    }

    /// The last journal record that a crash of the machine leaves.
    pub fn committed(&self) -> u64 {
        self.state.lock().committed
    }

    /// Whether the engine that has the disk open is dead, by `kill_after` say.
    pub fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// What is there fits from now on, and nothing more; or all fits again.
    pub fn set_full(&self, full: bool) {
        let mut state = self.state.lock();
        if state.full != full {
            state.full = full;
            self.files.set_full(full);
        }
    }

    pub fn is_full(&self) -> bool {
        self.state.lock().full
    }

    /// Writes to database and journal until now: a range for `kill_after` to be drawn from.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// What is committed, for looking at without an engine.
    pub fn rows(&self) -> Rows {
        self.state.lock().tables.rows()
    }
}

/// One run's way to the disk.
#[derive(Clone)]
struct Access {
    state: Arc<Mutex<State>>,
    run: u64,
    take: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    give: Arc<dyn Fn(u64) + Send + Sync>,
}

/// What a row takes of the disk, roughly.
const ROW_BYTES: u64 = 256;

impl Access {
    fn read(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock();
        if state.dead || state.run != self.run {
            return Err(StoreError::Io(io::Error::other("the engine was killed")));
        }
        Ok(state)
    }

    /// Also takes what is written of a full disk; a disk with room does not count.
    fn write(&self, deltas: &[Delta]) -> Result<(MutexGuard<'_, State>, u64), StoreError> {
        let mut state = self.read()?;
        if state.kill_before.is_some_and(|at| state.writes >= at) {
            state.dead = true;
            return Err(StoreError::Io(io::Error::other("the engine was killed")));
        }
        state.writes += 1;
        let bytes = deltas.len() as u64 * ROW_BYTES;
        if !(self.take)(bytes) {
            return if state.full { Err(StoreError::Full) } else { Ok((state, 0)) };
        }
        Ok((state, bytes))
    }
}

impl Access {
    fn keep(&self, journal: &mut Vec<Record>, is_kept: impl Fn(&Record) -> bool) {
        journal.retain(|record| {
            let kept = is_kept(record);
            if !kept {
                (self.give)(record.bytes);
            }
            kept
        });
    }
}

/// A database in memory: a commit is all there or not, and outlives everything.
pub struct MemDatabase(Access);

impl Database for MemDatabase {
    fn load(&mut self) -> Result<Rows, StoreError> {
        Ok(self.0.read()?.tables.rows())
    }

    fn commit(&mut self, deltas: &[Delta], seq: u64) -> Result<(), StoreError> {
        let (mut state, bytes) = self.0.write(deltas)?;
        (self.0.give)(bytes);
        assert!(seq >= state.committed, "commits go on in the order of the journal");
        state.committed = seq;
        for delta in deltas {
            state.tables.apply(delta.clone());
        }
        Ok(())
    }

    fn committed(&mut self) -> Result<u64, StoreError> {
        Ok(self.0.read()?.committed)
    }

    fn happened(&mut self, item: Option<ItemId>, target: &[u8]) -> Result<Vec<Happened>, StoreError> {
        let state = self.0.read()?;
        let all = state.tables.happened.values();
        Ok(all.filter(|h| Some(h.item) == item || h.target == target).cloned().collect())
    }

    fn verify(&mut self) -> Result<Vec<String>, StoreError> {
        drop(self.0.read()?);
        Ok(Vec::new())
    }
}

/// A journal in memory: outlives a kill, not a crash.
pub struct MemJournal(Access);

impl Journal for MemJournal {
    fn append(&mut self, seq: u64, step: &Step) -> Result<(), StoreError> {
        let (mut state, bytes) = self.0.write(&step.deltas)?;
        let boot = state.boot;
        let last = state.journal.last().map_or(0, |r| r.seq);
        assert!(seq > last, "records are numbered in order");
        state.journal.push(Record { boot, seq, step: step.clone(), bytes });
        Ok(())
    }

    fn recover(&mut self, seq: u64) -> Result<Recovered, StoreError> {
        let mut state = self.0.read()?;
        let boot = state.boot;
        self.0.keep(&mut state.journal, |r| r.boot == boot && r.seq > seq);
        Ok(Recovered {
            records: state.journal.iter().map(|r| (r.seq, r.step.deltas.clone())).collect(),
            notes: state.journal.iter().map(|r| r.step.note.clone()).collect(),
        })
    }

    fn forget(&mut self, seq: u64) -> Result<(), StoreError> {
        self.0.keep(&mut self.0.read()?.journal, |r| r.seq > seq);
        Ok(())
    }
}

impl Tables {
    fn rows(&self) -> Rows {
        Rows {
            items: self.items.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            contents: self.contents.values().cloned().collect(),
            locations: self.locations.values().cloned().collect(),
            stash: self.stash.values().cloned().collect(),
            history: self.history.values().cloned().collect(),
            befores: self.befores.iter().map(|(id, row)| (*id, row.clone())).collect(),
            next_id: self.next_id,
        }
    }

    fn apply(&mut self, delta: Delta) {
        match delta {
            Delta::Item(id, row) => put(&mut self.items, id, row),
            Delta::Node(id, row) => put(&mut self.nodes, id, row),
            Delta::Content(id, row) => put(&mut self.contents, id, row),
            Delta::Location(id, row) => put(&mut self.locations, id, row),
            Delta::Stash(id, row) => put(&mut self.stash, id, row),
            Delta::History(id, row) => put(&mut self.history, id, row),
            Delta::Before(id, row) => put(&mut self.befores, id, row),
            Delta::Happened(row) => {
                self.happened.insert(row.seq, *row);
            }
            Delta::NextId(next) => self.next_id = next,
        }
    }
}

fn put<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, row: Option<Box<V>>) {
    match row {
        Some(row) => {
            table.insert(key, *row);
        }
        None => {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(id: u64) -> Step {
        Step { deltas: vec![Delta::NextId(id)], ..Step::default() }
    }

    #[test]
    fn a_kill_keeps_the_journal_and_a_crash_does_not() {
        let disk = SimDisk::new();
        let mut run = disk.open();
        run.journal.append(1, &next(10)).unwrap();
        run.database.commit(&next(10).deltas, 1).unwrap();
        run.journal.append(2, &next(20)).unwrap();
        disk.kill();
        assert!(run.journal.append(3, &next(30)).is_err(), "the dead write nothing");

        let mut second = disk.open();
        assert!(run.database.load().is_err(), "nor once another one is there");
        assert_eq!(second.boot_id, run.boot_id);
        assert_eq!(second.database.load().unwrap().next_id, 10);
        assert_eq!(second.journal.recover(1).unwrap().records, [(2, next(20).deltas)]);
        disk.crash();

        let mut third = disk.open();
        assert_ne!(third.boot_id, run.boot_id);
        assert_eq!(third.database.committed().unwrap(), 1);
        assert_eq!(third.journal.recover(1).unwrap(), Recovered::default());
        third.journal.append(2, &next(25)).unwrap();
    }

    #[test]
    fn kills_before_a_chosen_write() {
        let disk = SimDisk::new();
        let mut run = disk.open();
        disk.kill_after(1);
        run.journal.append(1, &next(10)).unwrap();
        assert!(!disk.is_dead());
        assert!(run.database.commit(&next(10).deltas, 1).is_err());
        assert!(disk.is_dead());
        assert_eq!(disk.rows().next_id, 0);
    }

    #[test]
    fn a_full_disk_refuses_and_keeps_what_is_there() {
        let disk = SimDisk::new();
        let mut run = disk.open();
        run.database.commit(&next(10).deltas, 1).unwrap();
        disk.set_full(true);
        assert!(matches!(run.journal.append(2, &next(20)), Err(StoreError::Full)));
        assert!(matches!(run.database.commit(&next(20).deltas, 2), Err(StoreError::Full)));
        assert_eq!(run.database.load().unwrap().next_id, 10);
    }
}
