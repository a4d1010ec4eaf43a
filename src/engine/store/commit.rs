//! Group commit: gathers journal records and brings them into the database in one transaction.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::model::{ContentId, HistoryId, ItemId, LocationId, NodeId, StashId};

use super::persist::StoreError;
use super::rows::{BeforeId, Delta};
use super::{Shared, Store};

/// How long records are gathered before they are committed.
const GATHER: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Item(ItemId),
    Node(NodeId),
    Content(ContentId),
    Location(LocationId),
    Stash(StashId),
    History(HistoryId),
    Before(BeforeId),
    NextId,
    Once(u64),
}

impl Key {
    fn of(delta: &Delta) -> Key {
        match delta {
            Delta::Item(id, _) => Key::Item(*id),
            Delta::Node(id, _) => Key::Node(*id),
            Delta::Content(id, _) => Key::Content(*id),
            Delta::Location(id, _) => Key::Location(*id),
            Delta::Stash(id, _) => Key::Stash(*id),
            Delta::History(id, _) => Key::History(*id),
            Delta::Before(id, _) => Key::Before(*id),
            Delta::Happened(row) => Key::Once(row.seq),
            Delta::NextId(_) => Key::NextId,
        }
    }
}

/// Records that are acknowledged and not committed yet. The newest row of each key stands for all.
#[derive(Default)]
pub(super) struct Batch {
    /// Of the last record.
    pub seq: u64,
    rows: HashMap<Key, Delta>,
    sync: Vec<ContentId>,
    garbage: Vec<ContentId>,
}

impl Batch {
    pub fn after(seq: u64) -> Batch {
        Batch { seq, ..Batch::default() }
    }

    pub fn add(&mut self, seq: u64, deltas: Vec<Delta>, sync: Vec<ContentId>, garbage: Vec<ContentId>) {
        self.seq = seq;
        self.rows.extend(deltas.into_iter().map(|delta| (Key::of(&delta), delta)));
        self.sync.extend(sync);
        self.garbage.extend(garbage);
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn take(&mut self) -> Batch {
        std::mem::replace(self, Batch::after(self.seq))
    }
}

/// Wakes the thread that commits, where there is one.
pub struct Committer {
    background: bool,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    work: bool,
    /// Somebody waits for the disk.
    hurry: bool,
    stop: bool,
    /// Commits that were begun.
    attempts: u64,
    /// The last one failed.
    failure: Option<Failure>,
}

enum Failure {
    Full,
    Other(String),
}

impl Committer {
    pub(super) fn new(background: bool) -> Committer {
        Committer { background, state: Mutex::default(), wake: Condvar::new() }
    }

    pub fn is_background(&self) -> bool {
        self.background
    }

    pub(super) fn wake(&self) {
        let mut state = self.state.lock();
        if !state.work {
            state.work = true;
            self.wake.notify_one();
        }
    }

    pub(super) fn hurry(&self) {
        let mut state = self.state.lock();
        state.work = true;
        state.hurry = true;
        self.wake.notify_one();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_one();
    }

    pub(super) fn attempts(&self) -> u64 {
        self.state.lock().attempts
    }

    /// Whether the last commit failed, if it was begun after so many: the records stay gathered and are
    /// tried again.
    pub(super) fn failure_after(&self, attempts: u64) -> Result<(), StoreError> {
        let state = self.state.lock();
        match &state.failure {
            Some(failure) if state.attempts > attempts => Err(match failure {
                Failure::Full => StoreError::Full,
                Failure::Other(text) => StoreError::Io(std::io::Error::other(text.clone())),
            }),
            _ => Ok(()),
        }
    }
}

impl Store {
    pub(super) fn flush_to(&self, seq: u64) -> Result<(), StoreError> {
        if !self.committer.background {
            return self.commit_gathered();
        }
        let before = self.committer.attempts();
        loop {
            let listener = self.made_durable.listen();
            if self.durable.load(Relaxed) >= seq {
                return Ok(());
            }
            self.committer.failure_after(before)?;
            self.committer.hurry();
            event_listener::Listener::wait(listener);
        }
    }
}

impl Shared {
    /// Contents first, then the rows, then what nothing refers to any more.
    fn commit_gathered(&self) -> Result<(), StoreError> {
        let mut database = self.database.lock();
        let mut batch = self.batch.lock().take();
        // What is final is on the disk before its row says so. What a program still writes is
        // synced when it is closed; cut off before, it is flagged.
        let rows_of = batch.rows.keys().filter_map(|key| match key {
            Key::Content(id) => self.contents.get(*id).filter(|c| c.is_sealed()),
            _ => None,
        });
        let mut contents: Vec<_> = rows_of.collect();
        contents.extend(batch.sync.iter().filter_map(|id| self.contents.get(*id)));
        let rows: Vec<Delta> = batch.rows.drain().map(|(_, delta)| delta).collect();
        let committed = self.room.or_in_reserve(|| {
            self.contents.sync(&contents)?;
            if rows.is_empty() { Ok(()) } else { database.commit(&rows, batch.seq) }
        });
        if let Err(error) = committed {
            // Nothing is lost: the records stand in the journal, and are gathered again under
            // those that came meanwhile.
            let mut newer = self.batch.lock();
            let mut merged = batch;
            merged.seq = newer.seq;
            merged.rows.extend(rows.into_iter().map(|delta| (Key::of(&delta), delta)));
            merged.rows.extend(newer.rows.drain());
            merged.sync.append(&mut newer.sync);
            merged.garbage.append(&mut newer.garbage);
            *newer = merged;
            return Err(error);
        }
        drop(database);
        self.durable.store(batch.seq, Release);
        self.made_durable.notify(usize::MAX);
        if let Err(error) = self.journal.lock().forget(batch.seq) {
            tracing::warn!(%error, "committed journal records stay");
        }
        self.discard_garbage(batch.garbage);
        self.room.restore();
        Ok(())
    }
}

impl Shared {
    /// Removes what nothing refers to. What is referred to again meanwhile stays, and so does its row.
    fn discard_garbage(&self, garbage: Vec<ContentId>) {
        if garbage.is_empty() {
            return;
        }
        let mut freed = Vec::new();
        {
            // Under the trees' lock: nobody can come to refer to one that goes.
            let tree = self.tree.write();
            let mut batch = self.batch.lock();
            for id in garbage {
                if !tree.is_referred(id) {
                    freed.extend(self.contents.discard(id));
                } else if let Some(content) = self.contents.get(id) {
                    batch.rows.insert(Key::Content(id), Delta::Content(id, Some(Box::new(content.row()))));
                }
            }
        }
        for freed in freed {
            if let Err(error) = self.contents.free(freed) {
                tracing::warn!(%error, "a content that is not needed stays on the disk");
            }
        }
    }
}

/// Starts the thread that commits. It ends with the store.
pub(super) fn start(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let weak = Arc::downgrade(shared);
    std::thread::Builder::new().name("commit".into()).spawn(move || run(&weak))?;
    Ok(())
}

fn run(shared: &Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let stop = {
            let mut state = shared.committer.state.lock();
            if !state.work && !state.stop {
                shared.committer.wake.wait_for(&mut state, Duration::from_millis(500));
            }
            if state.work && !state.hurry && !state.stop {
                shared.committer.wake.wait_for(&mut state, GATHER);
            }
            if !state.work && !state.stop {
                drop(state);
                shared.room.restore();
                continue;
            }
            state.work = false;
            state.hurry = false;
            state.attempts += 1;
            state.stop
        };
        let failure = shared.commit_gathered().err().map(|error| {
            tracing::error!(%error, "the store cannot be committed; trying again");
            match error {
                StoreError::Full => Failure::Full,
                error => Failure::Other(error.to_string()),
            }
        });
        let failed = failure.is_some();
        shared.committer.state.lock().failure = failure;
        if failed {
            shared.made_durable.notify(usize::MAX);
            let mut state = shared.committer.state.lock();
            if !state.hurry && !state.stop {
                shared.committer.wake.wait_for(&mut state, Duration::from_secs(1));
            }
            state.work = true;
        }
        if stop {
            return;
        }
    }
}
