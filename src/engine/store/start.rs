//! Opening a store: what the last run left is brought into the database, and everything is loaded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use event_listener::Event;
use parking_lot::{Mutex, RwLock};

use crate::model::{ContentId, LocationId};

use super::commit::{self, Batch, Committer};
use super::content::{self, Contents};
use super::persist::{Files, Recovered, StoreError};
use super::room::Room;
use super::rows::{Delta, Rows};
use super::tree::{self, Tree};
use super::{Parts, Shared, Store};

/// Files that are synced in one go at start-up.
const SYNCED_AT_ONCE: usize = 256;

impl Store {
    /// Brings what the journal holds into the database and loads everything.
    pub fn open(mut parts: Parts) -> Result<Store, StoreError> {
        let room = Room::new(parts.files.clone());
        let committed = parts.database.committed()?;
        let mut seq = committed;
        let Recovered { records: recovered, notes } = parts.journal.recover(committed)?;
        if !recovered.is_empty() {
            // What the records speak of is on the disk before they are committed.
            let known = parts.database.load()?;
            sync_recovered(&*parts.files, &known, &recovered)?;
        }
        for (record_seq, deltas) in recovered {
            room.or_in_reserve(|| parts.database.commit(&deltas, record_seq))?;
            seq = record_seq;
        }
        parts.journal.forget(seq)?;
        let rows = parts.database.load()?;
        // The mount's root is node 1; numbers handed out are above it.
        let next_id = rows.next_id.max(highest_id(&rows) + 1).max(2);
        let contents = {
            let locations = locations_of_contents(&rows);
            Contents::load(parts.files.clone(), rows.contents.clone(), |id| locations.get(&id).copied())
        };
        contents.recall_used();
        let tree = Tree::load(rows, parts.owner, parts.world.now());
        let (invalidations, invalidated) = async_channel::unbounded();
        let shared = Arc::new(Shared {
            tree: RwLock::new(tree),
            contents,
            files: parts.files,
            room,
            unrecorded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failed_to_flatten: Mutex::default(),
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
            crowded: Event::new(),
            invalidations,
            invalidated,
            notes: Mutex::new(notes),
        });
        if parts.background {
            commit::start(&shared)?;
        }
        Ok(Store(shared))
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
            self.write_in_reserve(|tx| {
                unreferred.iter().for_each(|id| tx.touch_content(*id));
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(count)
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

/// Which location each content is of.
fn locations_of_contents(rows: &Rows) -> HashMap<ContentId, LocationId> {
    let nodes: HashMap<_, _> = rows.nodes.iter().map(|node| (node.id, node)).collect();
    let mut locations = HashMap::with_capacity(rows.contents.len());
    for item in &rows.items {
        let node = item.entry.as_ref().and_then(|entry| nodes.get(&entry.node));
        let of_node = node.into_iter().flat_map(|node| tree::contents_of_node(node));
        locations.extend(tree::contents_of_item(item).chain(of_node).map(|id| (id, item.location)));
    }
    locations.extend(rows.stash.iter().filter_map(|stash| Some((stash.content?, stash.location))));
    let histories: HashMap<_, _> = rows.history.iter().map(|row| (row.id, row.location)).collect();
    for (id, before) in &rows.befores {
        if let Some(location) = histories.get(&id.history).copied().flatten() {
            tree::contents_of_before(before).for_each(|id| _ = locations.entry(id).or_insert(location));
        }
    }
    let mut over: Vec<_> = rows.contents.iter().filter_map(|row| Some((row.id, row.over?.content))).collect();
    // What lies over another has a higher number.
    over.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    for (id, under) in over {
        if let Some(location) = locations.get(&id).copied() {
            locations.entry(under).or_insert(location);
        }
    }
    locations
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
