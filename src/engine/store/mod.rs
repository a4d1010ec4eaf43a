//! What is kept: trees, log, contents, stash, history; in memory, in a journal, in a database.
//!
//! A step is taken in [`Store::write`]: it changes the trees under one short lock and appends one
//! record to the journal before it is acknowledged, so a kill of the engine loses nothing. A
//! committer gathers records for some milliseconds and brings them into the database in one
//! durable transaction, the contents they speak of first.

mod commit;
pub mod content;
pub mod files;
pub mod journal;
pub mod lock;
pub mod memory;
pub mod pending;
pub mod persist;
pub mod rows;
pub mod sqlite;
pub mod tree;
mod tx;

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use event_listener::Event;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::model::{ContentId, Name, NodeId};
use crate::world::World;

pub use commit::Committer;
pub use tx::{Changed, Tx};

use commit::Batch;
use content::Contents;
use persist::{Database, Files, Journal, StoreError};
use rows::{Delta, Rows};
use tree::Tree;

/// What the kernel must forget. Sent by a thread that holds no lock and serves no request.
#[derive(Debug)]
pub enum Invalidation {
    /// Attributes and pages of a node.
    Node(NodeId),
    /// A name, present or absent.
    Entry { parent: NodeId, name: Name },
    /// Everything sent before has been carried out when the sender is dropped.
    Barrier(async_channel::Sender<()>),
}

/// Files that are synced in one go at start-up.
const SYNCED_AT_ONCE: usize = 256;

/// Numbers are set aside in the database by so many at a time.
const ID_RANGE: u64 = 4096;

pub struct Shared {
    tree: RwLock<Tree>,
    contents: Contents,
    files: Arc<dyn Files>,
    journal: Mutex<Box<dyn Journal>>,
    /// Also for reading: `Database` is used by one at a time.
    database: Mutex<Box<dyn Database>>,
    pub(crate) world: Arc<dyn World>,
    owner: (u32, u32),
    next_id: AtomicU64,
    reserved_id: AtomicU64,
    batch: Mutex<Batch>,
    committer: Committer,
    durable: AtomicU64,
    made_durable: Event,
    /// The last record in which an item changed: `changed` tells of those only.
    item_seq: AtomicU64,
    /// Something waits to be replayed, settled or fetched.
    pub(crate) changed: Event,
    invalidations: async_channel::Sender<Invalidation>,
    invalidated: async_channel::Receiver<Invalidation>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

impl Deref for Store {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What a store is made of.
pub struct Parts {
    pub database: Box<dyn Database>,
    pub journal: Box<dyn Journal>,
    pub files: Arc<dyn Files>,
    pub world: Arc<dyn World>,
    /// Owner and group of nodes that come from a server.
    pub owner: (u32, u32),
    /// A thread commits in the background; without it each flush commits where it is called.
    pub background: bool,
}

impl Store {
    /// Brings what the journal holds into the database and loads everything.
    pub fn open(mut parts: Parts) -> Result<Store, StoreError> {
        let committed = parts.database.committed()?;
        let mut seq = committed;
        let recovered = parts.journal.recover(committed)?;
        if !recovered.is_empty() {
            // What the records speak of is on the disk before they are committed.
            let known = parts.database.load()?;
            sync_recovered(&*parts.files, &known, &recovered)?;
        }
        for (record_seq, deltas) in recovered {
            parts.database.commit(&deltas, record_seq)?;
            seq = record_seq;
        }
        parts.journal.forget(seq)?;
        let rows = parts.database.load()?;
        // The mount's root is node 1; numbers handed out are above it.
        let next_id = rows.next_id.max(highest_id(&rows) + 1).max(2);
        let contents = Contents::new(parts.files.clone(), rows.contents.clone());
        let tree = Tree::load(rows, parts.owner, parts.world.now());
        let (invalidations, invalidated) = async_channel::unbounded();
        let shared = Arc::new(Shared {
            tree: RwLock::new(tree),
            contents,
            files: parts.files,
            journal: Mutex::new(parts.journal),
            database: Mutex::new(parts.database),
            world: parts.world,
            owner: parts.owner,
            next_id: AtomicU64::new(next_id),
            reserved_id: AtomicU64::new(next_id),
            batch: Mutex::new(Batch::after(seq)),
            committer: Committer::new(parts.background),
            durable: AtomicU64::new(seq),
            made_durable: Event::new(),
            item_seq: AtomicU64::new(seq),
            changed: Event::new(),
            invalidations,
            invalidated,
        });
        if parts.background {
            commit::start(&shared)?;
        }
        Ok(Store(shared))
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read()
    }

    /// Changes what lives only as long as the process.
    pub fn with_live<R>(&self, work: impl FnOnce(&mut Tree) -> R) -> R {
        work(&mut self.tree.write())
    }

    /// One step: all of it or nothing. When it returns `Ok`, a kill of the engine does not lose it.
    pub fn write<R, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut tree = self.tree.write();
        let mut tx = Tx::new(&mut tree, &self.0);
        let result = match work(&mut tx) {
            Ok(result) => result,
            Err(error) => {
                tx.roll_back();
                return Err(error);
            }
        };
        tx.relog_dependents();
        let deltas = tx.deltas();
        let invalidations = std::mem::take(&mut tx.invalidations);
        let items = deltas.iter().any(|delta| matches!(delta, Delta::Item(..)));
        if !deltas.is_empty() {
            // The batch's lock orders the records; it is held for as long as the append takes.
            let mut batch = self.batch.lock();
            let seq = batch.seq + 1;
            if let Err(error) = self.journal.lock().append(seq, &deltas) {
                drop(batch);
                for id in std::mem::take(&mut tx.garbage) {
                    if let Some(over) = self.contents.get(id).and_then(|c| c.row().over) {
                        tx.tree_mut().retain(over.content);
                    }
                }
                tx.roll_back();
                return Err(error.into());
            }
            // Only now are they set aside: a record that was not appended reserves nothing.
            for delta in &deltas {
                if let Delta::NextId(reserved) = delta {
                    self.reserved_id.fetch_max(*reserved, Relaxed);
                }
            }
            let sync = std::mem::take(&mut tx.sync_contents);
            let garbage = std::mem::take(&mut tx.garbage);
            batch.add(seq, deltas, sync, garbage);
            if items {
                self.item_seq.store(seq, SeqCst);
            }
        }
        drop(tx);
        drop(tree);
        if items {
            self.changed.notify(usize::MAX);
        }
        self.committer.wake();
        for invalidation in invalidations {
            let _ = self.invalidations.try_send(invalidation);
        }
        Ok(result)
    }

    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    pub fn with_database<R>(&self, work: impl FnOnce(&mut dyn Database) -> R) -> R {
        work(&mut **self.database.lock())
    }

    /// Keeps a content that no row refers to yet.
    pub fn hold(&self, id: ContentId) -> Held {
        self.with_live(|tree| tree.retain(id));
        Held { store: self.clone(), id }
    }

    /// Everything acknowledged so far is on the disk when it returns.
    pub fn flush(&self) -> Result<(), StoreError> {
        let seq = self.batch.lock().seq;
        self.flush_to(seq)
    }

    /// As `flush`, without holding up the thread.
    pub async fn flushed(&self) -> Result<(), StoreError> {
        if !self.committer.is_background() {
            return self.flush();
        }
        let seq = self.batch.lock().seq;
        self.committer.hurry();
        loop {
            let listener = self.made_durable.listen();
            if self.durable.load(Relaxed) >= seq {
                return Ok(());
            }
            self.committer.failure()?;
            listener.await;
        }
    }

    /// What the kernel is to forget. One reader.
    pub fn invalidations(&self) -> async_channel::Receiver<Invalidation> {
        self.invalidated.clone()
    }

    pub fn invalidate(&self, invalidation: Invalidation) {
        let _ = self.invalidations.try_send(invalidation);
    }

    /// Of the last record that was acknowledged.
    pub fn seq(&self) -> u64 {
        self.batch.lock().seq
    }

    /// Of the last record in which an item changed.
    pub fn item_seq(&self) -> u64 {
        self.item_seq.load(SeqCst)
    }

    pub fn world(&self) -> &Arc<dyn World> {
        &self.world
    }

    /// Content files that no row names: left by a crash between making a file and its row.
    pub fn remove_orphans(&self) -> Result<usize, StoreError> {
        let orphans = self.contents.orphans()?;
        let count = orphans.len();
        for freed in orphans {
            self.contents.free(freed)?;
        }
        let unreferred: Vec<ContentId> = {
            let tree = self.read();
            self.contents.all().iter().map(|c| c.id()).filter(|id| !tree.is_referred(*id)).collect()
        };
        if !unreferred.is_empty() {
            self.write(|tx| {
                unreferred.iter().for_each(|id| tx.touch_content(*id));
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(count)
    }

    /// Commits what is left and ends the committer.
    pub fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush();
        self.committer.stop();
        flushed
    }
}

/// Syncs the files of all contents that journal records name.
fn sync_recovered(files: &dyn Files, known: &Rows, records: &[(u64, Vec<Delta>)]) -> Result<(), StoreError> {
    let mut numbers: HashMap<ContentId, u64> = known.contents.iter().map(|c| (c.id, c.file)).collect();
    let mut named = HashSet::new();
    for delta in records.iter().flat_map(|(_, deltas)| deltas) {
        match delta {
            Delta::Content(id, Some(row)) => {
                numbers.insert(*id, row.file);
                named.insert(*id);
            }
            Delta::Node(_, Some(row)) => named.extend(tree::contents_of_node(row)),
            _ => {}
        }
    }
    let mut open = Vec::new();
    for number in named.iter().filter_map(|id| numbers.get(id)) {
        for number in [*number, *number | content::MAP] {
            match files.open(number) {
                Ok(file) => open.push(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        if open.len() >= SYNCED_AT_ONCE {
            files.sync(&open)?;
            open.clear();
        }
    }
    files.sync(&open)?;
    Ok(())
}

/// No number in any row is higher.
fn highest_id(rows: &Rows) -> u64 {
    let items = rows.items.iter().map(|r| r.id.0);
    let conflicts = rows.items.iter().filter_map(|r| r.conflict.as_ref().map(|c| c.id.0));
    let problems = rows.items.iter().filter_map(|r| r.problem.as_ref().map(|p| p.id.0));
    let nodes = rows.nodes.iter().map(|r| r.id.0);
    let contents = rows.contents.iter().flat_map(|r| [r.id.0, r.file]);
    let others = rows.locations.iter().map(|r| r.id.0).chain(rows.stash.iter().map(|r| r.id.0));
    let history = rows.history.iter().map(|r| r.id.0);
    let all =
        items.chain(conflicts).chain(problems).chain(nodes).chain(contents).chain(others).chain(history);
    all.max().unwrap_or(0)
}

/// A content that is kept although no row refers to it; it goes when nothing does after this.
pub struct Held {
    store: Store,
    pub id: ContentId,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.store.with_live(|tree| tree.release(self.id)) {
            let dropped = self.store.write(|tx| {
                tx.touch_content(self.id);
                Ok::<_, StoreError>(())
            });
            if let Err(error) = dropped {
                tracing::warn!(content = self.id.0, %error, "an unused content stays");
            }
        }
    }
}

impl Shared {
    pub fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    /// Where the numbers set aside are used up: up to where they are set aside from now on.
    fn reserve_ids(&self) -> Option<u64> {
        let next = self.next_id.load(Relaxed);
        (next > self.reserved_id.load(Relaxed)).then_some(next + ID_RANGE)
    }
}
