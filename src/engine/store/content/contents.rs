//! All contents of a store.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::account::USED;
use super::handles::Handles;
use super::map::MAP;
use super::overlay::Overlay;
use super::state::{Content, State};
use super::{COPIED_WHOLE, ContentError, RangeSet};
use crate::model::{ContentId, Digest, LocationId};
use crate::store::persist::{Files, StoreFile};
use crate::store::room::RESERVE;
use crate::store::rows::ContentRow;
use crate::store::tree::IdMap;

/// Bit in the number of a file that makes it a passing copy.
pub(super) const PASSING: u64 = 1 << 61;

/// How many files one sync has open at once.
const SYNCED_AT_ONCE: usize = 256;

/// All contents of a store. Cheap to clone; every method may be called by many threads.
#[derive(Clone)]
pub struct Contents {
    pub(super) shared: Arc<Shared>,
    /// What is made here counts for this.
    pub(super) store: Arc<Store>,
}

pub(super) struct Shared {
    stores: RwLock<HashMap<LocationId, Arc<Store>>>,
    nobodys: Arc<Store>,
    pub all: RwLock<IdMap<ContentId, Arc<Content>>>,
    /// Those that lie over others.
    pub laid_over: Mutex<BTreeSet<ContentId>>,
}

/// What the contents of one location need of the store.
pub(super) struct Store {
    pub handles: Arc<Handles>,
    passing: Arc<AtomicU64>,
    /// Bytes that are here.
    pub here: AtomicI64,
    /// Something was used since that was last written down.
    pub used: Arc<AtomicBool>,
}

/// The number of a file that no content needs once the row that says so is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the file stays until it is freed"]
pub struct Freed(pub(super) u64);

impl Freed {
    /// For telling it in a log.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Contents {
    /// Touches no file. A row over a content that does not exist, or is not older, is kept and reads
    /// as damaged.
    pub fn new(files: Arc<dyn Files>, rows: Vec<ContentRow>) -> Contents {
        Self::load(files, rows, |_| None)
    }

    /// As `new`; says which location a content is of.
    pub fn load(
        files: Arc<dyn Files>,
        rows: Vec<ContentRow>,
        location_of: impl Fn(ContentId) -> Option<LocationId>,
    ) -> Contents {
        let nobodys = Arc::new(Store {
            handles: Arc::new(Handles::new(files)),
            passing: Arc::default(),
            here: AtomicI64::new(0),
            used: Arc::default(),
        });
        let mut stores: HashMap<LocationId, Arc<Store>> = HashMap::new();
        let mut all = IdMap::with_capacity_and_hasher(rows.len(), Default::default());
        let mut over = Vec::new();
        for row in rows {
            if let Some(under) = row.over {
                over.push((row.id, under, row.changed));
            }
            let state = State::load(row.file, row.size, row.whole, row.sealed, row.digest);
            let store = match location_of(row.id) {
                Some(location) => stores.entry(location).or_insert_with(|| nobodys.like()),
                None => &nobodys,
            };
            let content = Content::new(row.id, store.clone(), state);
            if row.over.is_none() {
                content.count_in();
            }
            all.insert(row.id, Arc::new(content));
        }
        let laid_over = Mutex::new(over.iter().map(|(id, ..)| *id).collect());
        for (id, under, changed) in over {
            let below = all.get(&under.content).filter(|below| below.id() < id).cloned();
            let overlay = Overlay::load(under, below, RangeSet::from_ranges(changed));
            let content = &all[&id];
            content.set_overlay(overlay);
            content.count_in();
        }
        let shared = Shared {
            stores: RwLock::new(stores),
            nobodys: nobodys.clone(),
            all: RwLock::new(all),
            laid_over,
        };
        Contents { shared: Arc::new(shared), store: nobodys }
    }

    /// The same; what is made with it counts for this location.
    pub fn within(&self, location: LocationId) -> Contents {
        let known = self.shared.stores.read().get(&location).cloned();
        let store = known.unwrap_or_else(|| {
            self.shared.stores.write().entry(location).or_insert_with(|| self.store.like()).clone()
        });
        Contents { shared: self.shared.clone(), store }
    }

    /// Bytes of a location that are here, its changes and what is kept of it among them.
    pub fn bytes_here(&self, location: LocationId) -> u64 {
        let here = self.shared.stores.read().get(&location).map(|store| store.here.load(Ordering::Relaxed));
        here.unwrap_or(0).max(0) as u64
    }

    /// The same of all locations, and of what is of none (yet).
    pub fn bytes_in_all(&self) -> u64 {
        let stores = self.shared.stores.read();
        let all =
            stores.values().chain([&self.shared.nobodys]).map(|store| store.here.load(Ordering::Relaxed));
        all.sum::<i64>().max(0) as u64
    }

    pub fn get(&self, id: ContentId) -> Option<Arc<Content>> {
        self.shared.all.read().get(&id).cloned()
    }

    /// Those that lie over others, the oldest first.
    pub fn laid_over(&self) -> Vec<ContentId> {
        self.shared.laid_over.lock().iter().copied().collect()
    }

    /// Every content, the oldest first.
    pub fn all(&self) -> Vec<Arc<Content>> {
        let mut all: Vec<Arc<Content>> = self.shared.all.read().values().cloned().collect();
        all.sort_unstable_by_key(|content| content.id());
        all
    }

    /// Mutable, empty, whole.
    pub fn create(&self, id: ContentId, file: u64) -> Result<Arc<Content>, ContentError> {
        self.store.handles.create(file)?;
        Ok(self.add(id, State::mutable(file, 0)))
    }

    /// A version the server has: nothing of it is here yet, unless it is empty. The file is made
    /// at the first fill.
    pub fn expect(&self, id: ContentId, file: u64, size: u64) -> Arc<Content> {
        let digest = (size == 0).then(|| Digest::of(b""));
        self.add(id, State::load(file, size, size == 0, true, digest))
    }

    /// A mutable content that begins as `of`, which must be whole and is sealed. Up to
    /// [`COPIED_WHOLE`] it is a copy; a larger one is laid over `of`, which must then stay whole
    /// as long as this refers to it.
    pub fn derive(&self, of: &Arc<Content>, id: ContentId, file: u64) -> Result<Arc<Content>, ContentError> {
        of.seal()?;
        let size = of.size();
        if size > COPIED_WHOLE && of.id() < id {
            self.store.handles.create(file)?;
            let content = Content::new(id, of.store.clone(), State::mutable(file, size));
            content.set_overlay(Overlay::new(of.clone(), size));
            self.shared.laid_over.lock().insert(id);
            return Ok(self.insert(content));
        }
        self.store.handles.create(file)?;
        let copy = self.insert(Content::new(id, of.store.clone(), State::mutable(file, 0)));
        if let Err(error) = copy.copy_of(of, size) {
            // Nothing refers to it: what stays behind would be an orphan.
            if let Some(freed) = self.discard(id) {
                let _ = self.free(freed);
            }
            return Err(error);
        }
        Ok(copy)
    }

    /// Forgets a content that nothing refers to. Its file goes with [`free`](Self::free), once its
    /// row is gone from the database. `None` where there is no such content.
    pub fn discard(&self, id: ContentId) -> Option<Freed> {
        let content = self.shared.all.write().remove(&id)?;
        self.shared.laid_over.lock().remove(&id);
        content.count_out();
        Some(Freed(content.file()))
    }

    /// Removes a freed file and its map. A file that was never made is fine.
    pub fn free(&self, freed: Freed) -> io::Result<()> {
        self.store.handles.remove(freed.0 | MAP)?;
        self.store.handles.remove(freed.0)
    }

    /// Files that no content has, as a crash leaves them, each to be removed with
    /// [`free`](Self::free). Asked at start-up, before anything is made.
    pub fn orphans(&self) -> io::Result<Vec<Freed>> {
        let mut files = self.store.handles.files.list()?;
        for file in &mut files {
            *file &= !MAP;
        }
        files.sort_unstable();
        files.dedup();
        let mut known: std::collections::HashSet<u64> =
            self.shared.all.read().values().map(|content| content.file()).collect();
        known.extend([RESERVE, USED]);
        Ok(files.into_iter().filter(|file| !known.contains(file)).map(Freed).collect())
    }

    /// Everything written to these, and to what they lie over, is on the disk when it returns.
    pub fn sync(&self, contents: &[Arc<Content>]) -> io::Result<()> {
        let mut todo: Vec<Arc<Content>> = Vec::new();
        for content in contents {
            let mut next = Some(content.clone());
            while let Some(content) = next {
                next = content.under();
                todo.push(content);
            }
        }
        todo.sort_unstable_by_key(|content| content.id());
        todo.dedup_by_key(|content| content.id());
        todo.retain(|content| content.is_dirty());
        for some in todo.chunks(SYNCED_AT_ONCE / 2) {
            self.sync_some(some)?;
        }
        Ok(())
    }

    fn sync_some(&self, contents: &[Arc<Content>]) -> io::Result<()> {
        let mut files = Vec::new();
        let mut begun = Vec::new();
        for content in contents {
            begun.push((content, content.begin_sync(&mut files)?));
        }
        self.store.handles.files.sync(&files)?;
        begun.into_iter().for_each(|(content, changes)| content.synced(changes));
        Ok(())
    }

    fn add(&self, id: ContentId, state: State) -> Arc<Content> {
        self.insert(Content::new(id, self.store.clone(), state))
    }

    fn insert(&self, content: Content) -> Arc<Content> {
        let content = Arc::new(content);
        let before = self.shared.all.write().insert(content.id(), content.clone());
        debug_assert!(before.is_none(), "the id of a content was used twice");
        content
    }
}

impl Store {
    fn like(&self) -> Arc<Store> {
        Arc::new(Store {
            handles: self.handles.clone(),
            passing: self.passing.clone(),
            here: AtomicI64::new(0),
            used: self.used.clone(),
        })
    }

    /// A file that is gone when the last descriptor of it is closed: `fill` writes it.
    pub fn passing_copy(
        &self,
        fill: impl FnOnce(&Arc<dyn StoreFile>) -> Result<(), ContentError>,
    ) -> Result<std::os::fd::OwnedFd, ContentError> {
        let number = PASSING | self.passing.fetch_add(1, Ordering::Relaxed);
        let files = &self.handles.files;
        // One that a crash left may have the number.
        files.remove(number)?;
        let file = files.create(number)?;
        let result = fill(&file).and_then(|()| Ok(file.descriptor()?));
        files.remove(number)?;
        result
    }
}
