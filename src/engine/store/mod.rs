//! What is kept: trees, log, contents, stash, history; in memory, in a journal, in a database.
//!
//! A step is taken in [`Store::write`]: it changes the trees under one short lock and appends one
//! record to the journal before it is acknowledged, so a kill of the engine loses nothing. A
//! committer gathers records for some milliseconds and brings them into the database in one
//! durable transaction, the contents they speak of first.

mod chains;
mod commit;
pub mod content;
pub mod files;
pub mod journal;
pub mod lock;
pub mod memory;
pub mod pending;
pub mod persist;
mod reconnection;
pub mod room;
pub mod rows;
mod rows_before;
pub mod sqlite;
mod start;
pub mod tree;
mod tx;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use event_listener::Event;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::model::{ContentId, Name, NodeId};
use crate::world::World;

pub use commit::Committer;
pub use tx::{Changed, Tx};

use commit::Batch;
use content::Contents;
use persist::{Database, Files, Journal, Note, Step, StoreError};
use room::Room;
use rows::Delta;
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

/// Rows that wait for the commit before long work waits for it too; some hundred bytes each.
const MOST_GATHERED: usize = 16 << 10;

/// Numbers are set aside in the database by so many at a time.
const ID_RANGE: u64 = 4096;

pub struct Shared {
    tree: RwLock<Tree>,
    contents: Contents,
    files: Arc<dyn Files>,
    pub room: Room,
    /// A close could not be recorded.
    pub(crate) unrecorded: AtomicBool,
    closed: AtomicBool,
    /// Contents that could not take over what is under them.
    failed_to_flatten: Mutex<HashSet<ContentId>>,
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
    /// More of a location may be here than its limit says.
    pub(crate) crowded: Event,
    /// What the journal said of the last moments, until somebody takes it.
    notes: Mutex<Vec<Note>>,
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

/// Where a step may write itself down on a full disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Free,
    Reserve,
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
        self.room.admit()?;
        self.step(Space::Free, work)
    }

    /// As [`write`](Self::write), for what makes room or ends what was begun: on a full disk it may use
    /// what is set aside.
    pub fn write_in_reserve<R, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.step(Space::Reserve, work)
    }

    fn step<R, E: From<StoreError>>(
        &self,
        space: Space,
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
            let step = Step { deltas, note: tx.note(&invalidations) };
            let append = || self.journal.lock().append(seq, &step);
            let appended = match space {
                Space::Free => append(),
                Space::Reserve => self.room.or_in_reserve(append),
            };
            if let Err(error) = appended {
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
            let deltas = step.deltas;
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

    /// Between the steps of long work: where more is gathered than is good to hold in memory, waits
    /// until it is committed.
    pub fn relieve(&self) -> Result<(), StoreError> {
        let (gathered, seq) = {
            let batch = self.batch.lock();
            (batch.len(), batch.seq)
        };
        if gathered > MOST_GATHERED { self.flush_to(seq) } else { Ok(()) }
    }

    /// As `flush`, without holding up the thread.
    pub async fn flushed(&self) -> Result<(), StoreError> {
        if !self.committer.is_background() {
            return self.flush();
        }
        let seq = self.batch.lock().seq;
        let before = self.committer.attempts();
        loop {
            let listener = self.made_durable.listen();
            if self.durable.load(Relaxed) >= seq {
                return Ok(());
            }
            self.committer.failure_after(before)?;
            self.committer.hurry();
            listener.await;
        }
    }

    /// What the journal said at the start of the last moments before it. Once.
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut self.notes.lock())
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

    /// Commits what is left and ends the committer.
    pub fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Relaxed);
        self.changed.notify(usize::MAX);
        let flushed = self.flush();
        if let Err(error) = self.contents.note_used() {
            tracing::debug!(%error, "what was used when is forgotten");
        }
        self.committer.stop();
        flushed
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }
}

/// A content that is kept although no row refers to it; it goes when nothing does after this.
pub struct Held {
    store: Store,
    pub id: ContentId,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.store.with_live(|tree| tree.release(self.id)) {
            let dropped = self.store.write_in_reserve(|tx| {
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
