//! Taking over a living mount from an engine that is gone.
//!
//! The kernel goes on as if nothing had happened: it holds files open, remembers nodes, and sends again
//! what was not answered. What was open stands in the table ([`OpenFiles`]); what was carried out, and
//! what the kernel is to forget, stands in the journal's notes; how many references the kernel holds
//! on a node nobody knows until it gives them back.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::model::RequestId;
use crate::store::persist::Forget;
use crate::store::{Invalidation, Store};

use super::{Caller, Fileops, OpenFiles};

/// Stands for the references that the kernel got from the engines before, as many as they are. Above
/// any count there can be.
const FROM_BEFORE: u64 = 1 << 62;

/// Makes the tree know what the kernel holds. Returns the requests that were carried out.
pub(super) fn take_over(store: &Store, open: &OpenFiles) -> HashSet<RequestId> {
    let notes = store.take_notes();
    let Some(connection) = open.connection.filter(|connection| connection.lives) else {
        return HashSet::new();
    };
    store.with_live(|tree| {
        for (_, file) in &open.left {
            if let Some(live) = tree.live_mut(file.node) {
                live.opens += 1;
                live.writers += u32::from(file.write);
            }
        }
        let mut nameless = Vec::new();
        for live in tree.nodes() {
            live.lookups.store(FROM_BEFORE, Relaxed);
            if live.links.is_empty() && live.opens == 0 {
                nameless.push(live.row.id);
            }
        }
        // Whether it was the server's side that took the names is not known any more.
        for node in nameless {
            if let Some(live) = tree.live_mut(node) {
                live.superseded = true;
            }
        }
    });
    // A close that was under way is recorded now.
    store.unrecorded.store(true, Relaxed);
    let forget: BTreeSet<Forget> = notes.iter().flat_map(|note| note.forget.iter().cloned()).collect();
    tracing::info!(open = open.left.len(), forget = forget.len(), "a living mount is taken over");
    for forget in forget {
        store.invalidate(match forget {
            Forget::Node(node) => Invalidation::Node(node),
            Forget::Entry(parent, name) => Invalidation::Entry { parent, name },
        });
    }
    notes.into_iter().filter_map(|note| note.done).filter(|done| done.mount == connection.id).collect()
}

/// The kernel gives references back; how many it still holds.
pub(super) fn give_back(lookups: &AtomicU64, count: u64) -> u64 {
    let after = |held: u64| {
        // It forgets a node with all the references it ever got.
        held.checked_sub(FROM_BEFORE).unwrap_or(held).saturating_sub(count)
    };
    match lookups.fetch_update(Relaxed, Relaxed, |held| Some(after(held))) {
        Ok(held) | Err(held) => after(held),
    }
}

impl Fileops {
    /// Whether an engine before this one has carried the request out.
    pub(super) fn was_done(&self, caller: Caller) -> bool {
        caller.again && caller.request.is_some_and(|request| self.0.done.contains(&request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_from_before_go_all_at_once() {
        let lookups = AtomicU64::new(FROM_BEFORE + 2);
        assert_eq!(give_back(&lookups, 7), 0);
        lookups.store(5, Relaxed);
        assert_eq!(give_back(&lookups, 3), 2);
        assert_eq!(give_back(&lookups, 3), 0);
    }
}
