//! Bugs that are planted around the engine, to prove that the simulation can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use holdfast_engine::model::ItemId;
use holdfast_engine::remote::Connector;
use holdfast_engine::store::memory::MemFiles;
use holdfast_engine::store::persist::{Database, Files, Journal, Recovered, Step, StoreError, StoreFile};
use holdfast_engine::store::rows::{Delta, Happened, Rows};

use super::liar::LyingConnector;
use crate::world::SimWorld;

/// One thing that does not do what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// All is as it should be.
    None,
    /// The database loses a row now and then.
    DroppedRow,
    /// The journal loses its last record when the engine is killed.
    ShortJournal,
    /// The remote replaces whatever is there, whatever the guard says.
    LyingGuard,
    /// The kernel is never told of changes.
    DeafKernel,
    /// The disk says that contents are synced when they are not.
    ForgetfulDisk,
}

impl Plant {
    pub const ALL: [Plant; 5] =
        [Plant::DroppedRow, Plant::ShortJournal, Plant::LyingGuard, Plant::DeafKernel, Plant::ForgetfulDisk];
}

/// Wraps the parts of a machine.
pub(super) struct Planted {
    plant: Plant,
    count: Arc<AtomicU64>,
}

impl Planted {
    pub fn new(plant: Plant, _world: &SimWorld) -> Planted {
        Planted { plant, count: Arc::default() }
    }

    pub fn is(&self, plant: Plant) -> bool {
        self.plant == plant
    }

    pub fn database(&self, inner: Box<dyn Database>) -> Box<dyn Database> {
        if !self.is(Plant::DroppedRow) {
            return inner;
        }
        Box::new(Dropping { inner, count: self.count.clone() })
    }

    pub fn journal(&self, inner: Box<dyn Journal>) -> Box<dyn Journal> {
        if !self.is(Plant::ShortJournal) {
            return inner;
        }
        Box::new(Short(inner))
    }

    pub fn files(&self, inner: Arc<MemFiles>) -> Arc<dyn Files> {
        if !self.is(Plant::ForgetfulDisk) {
            return inner;
        }
        Arc::new(Forgetful(inner))
    }

    pub fn connector(&self, inner: Arc<dyn Connector>) -> Arc<dyn Connector> {
        if !self.is(Plant::LyingGuard) {
            return inner;
        }
        Arc::new(LyingConnector(inner))
    }
}

struct Dropping {
    inner: Box<dyn Database>,
    count: Arc<AtomicU64>,
}

impl Database for Dropping {
    fn load(&mut self) -> Result<Rows, StoreError> {
        self.inner.load()
    }
    fn commit(&mut self, deltas: &[Delta], seq: u64) -> Result<(), StoreError> {
        let mut kept = Vec::with_capacity(deltas.len());
        for delta in deltas {
            let row = matches!(delta, Delta::Item(..));
            if !(row && self.count.fetch_add(1, Relaxed) % 13 == 12) {
                kept.push(delta.clone());
            }
        }
        self.inner.commit(&kept, seq)
    }
    fn committed(&mut self) -> Result<u64, StoreError> {
        self.inner.committed()
    }
    fn happened(&mut self, item: Option<ItemId>, target: &[u8]) -> Result<Vec<Happened>, StoreError> {
        self.inner.happened(item, target)
    }
    fn verify(&mut self) -> Result<Vec<String>, StoreError> {
        self.inner.verify()
    }
}

struct Short(Box<dyn Journal>);

impl Journal for Short {
    fn append(&mut self, seq: u64, step: &Step) -> Result<(), StoreError> {
        self.0.append(seq, step)
    }
    fn recover(&mut self, seq: u64) -> Result<Recovered, StoreError> {
        let mut recovered = self.0.recover(seq)?;
        recovered.records.pop();
        Ok(recovered)
    }
    fn forget(&mut self, seq: u64) -> Result<(), StoreError> {
        self.0.forget(seq)
    }
}

struct Forgetful(Arc<MemFiles>);

impl Files for Forgetful {
    fn create(&self, number: u64) -> std::io::Result<Arc<dyn StoreFile>> {
        self.0.create(number)
    }
    fn open(&self, number: u64) -> std::io::Result<Arc<dyn StoreFile>> {
        self.0.open(number)
    }
    fn remove(&self, number: u64) -> std::io::Result<()> {
        self.0.remove(number)
    }
    fn list(&self) -> std::io::Result<Vec<u64>> {
        self.0.list()
    }
    fn copy(
        &self,
        from: &dyn StoreFile,
        to: &dyn StoreFile,
        range: std::ops::Range<u64>,
    ) -> std::io::Result<()> {
        self.0.copy(from, to, range)
    }
    fn sync(&self, _files: &[Arc<dyn StoreFile>]) -> std::io::Result<()> {
        Ok(())
    }
    fn space(&self) -> std::io::Result<(u64, u64, u64)> {
        self.0.space()
    }
}
