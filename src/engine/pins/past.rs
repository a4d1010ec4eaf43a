//! How long it is kept what was before reconnections, and that it goes first when room is needed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::model::{ContentId, HistoryId, HistoryKind, LocationId};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::store::rows::History;
use crate::store::tree::{Tree, contents_of_before};

/// Of each location so many can be taken back, for so long, with so many items together: but the
/// newest of them whatever its size.
const MOST: usize = 10;
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
const MOST_ITEMS: u64 = 200_000;
/// So many are told of at all.
const MOST_TOLD: usize = 1000;
/// Items given up in one step.
const CHUNK: usize = 1024;

/// Gives up what is older than it is kept for.
pub fn forget_past(store: &Store) -> Result<(), StoreError> {
    let (mut gone, mut untold) = (Vec::new(), Vec::new());
    {
        let tree = store.read();
        let now = store.world().now();
        let mut kept: BTreeMap<Option<LocationId>, (usize, usize, u64)> = BTreeMap::new();
        for entry in tree.history().values().rev().filter(|h| h.kind == HistoryKind::Reconnection) {
            let (told, alive, items) = kept.entry(entry.location).or_default();
            *told += 1;
            let has_past = tree.befores(entry.id).next().is_some();
            if *told > MOST_TOLD {
                untold.push(entry.id);
            }
            if !has_past {
                continue;
            }
            let is_first = *alive == 0;
            *alive += 1;
            *items += entry.items;
            let too_much = *alive > MOST || (!is_first && *items > MOST_ITEMS);
            let stale = entry.undone || entry.released || now.since(entry.at) > LONGEST;
            if too_much || stale || *told > MOST_TOLD {
                gone.push(entry.id);
            }
        }
    }
    gone.into_iter().try_for_each(|id| release(store, id))?;
    if !untold.is_empty() {
        store.write_in_reserve(|tx| {
            untold.iter().for_each(|id| tx.remove_history(*id));
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}

/// Gives up what was before reconnections, the oldest first, of one location or of all, until so many
/// bytes are freed. Bytes freed.
pub fn release_past(store: &Store, location: Option<LocationId>, bytes: u64) -> Result<u64, StoreError> {
    let entries: Vec<HistoryId> = {
        let tree = store.read();
        let of_it = |entry: &&History| {
            entry.kind == HistoryKind::Reconnection
                && location.is_none_or(|id| entry.location == Some(id))
                && tree.can_undo(entry)
        };
        tree.history().values().filter(of_it).map(|entry| entry.id).collect()
    };
    if entries.is_empty() {
        return Ok(0);
    }
    // What lies over an original takes it over once nothing else needs that, and then one of them holds
    // what was changed.
    let under: HashMap<ContentId, u64> = {
        let contents = store.contents();
        let over = contents.laid_over().into_iter().filter_map(|id| contents.get(id));
        over.filter_map(|content| Some((content.over()?, content.own_bytes()))).collect()
    };
    let mut freed = 0;
    for id in entries {
        if freed >= bytes {
            break;
        }
        let frees = takes_room(store, &store.read(), id, &under);
        if frees > 0 {
            release(store, id)?;
            freed += frees;
        }
    }
    Ok(freed)
}

/// Bytes that are here only for what was before an entry.
fn takes_room(store: &Store, tree: &Tree, id: HistoryId, under: &HashMap<ContentId, u64>) -> u64 {
    let contents: HashSet<ContentId> =
        tree.befores(id).flat_map(|(_, before)| contents_of_before(before)).collect();
    let bytes = |id: ContentId| match (tree.references(id), under.get(&id)) {
        (1, _) => store.contents().get(id).map(|content| content.own_bytes()),
        (2, Some(changed)) => Some(*changed),
        _ => None,
    };
    contents.into_iter().filter_map(bytes).sum()
}

fn release(store: &Store, id: HistoryId) -> Result<(), StoreError> {
    loop {
        let left = store.write_in_reserve(|tx| Ok::<_, StoreError>(tx.release_history(id, CHUNK)))?;
        // What nothing refers to goes with the commit.
        store.flush()?;
        if !left {
            return Ok(());
        }
    }
}
