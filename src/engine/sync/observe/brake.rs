//! The brake: whether so much is missing that a person is asked first.

use std::collections::HashSet;

use crate::model::ItemId;
use crate::store::Store;
use crate::store::tree::Tree;

use super::{Fresh, Observation};

/// What the brake stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Braked {
    pub missing: u64,
    pub of: u64,
}

impl Observation {
    /// Whether so much is missing that a person should be asked first: an emptied root, or more
    /// than half of a pin (or of all that is known) and at least a hundred.
    pub fn braked(&self, store: &Store) -> Option<Braked> {
        if self.missing.is_empty() {
            return None;
        }
        let tree = store.read();
        let live = tree.location(self.location)?;
        let root = live.row.root;
        let setting = |key: &str, default: u64| {
            let found = live.row.settings.iter().find(|(k, _)| k == key);
            found.and_then(|(_, v)| v.parse().ok()).unwrap_or(default)
        };
        let (least, percent) = (setting("brake-items", 100), setting("brake-percent", 50).min(100));
        let moved: HashSet<u64> = self.fresh.iter().flat_map(Fresh::file_ids).collect();
        let is_moved = |id: ItemId| {
            let state = tree.item(id).and_then(|i| tree.server_state(i));
            state.is_some_and(|s| s.meta.file_id.is_some_and(|f| moved.contains(&f)))
        };
        let mut missing = HashSet::new();
        for found in &self.missing {
            // What lies in a folder that moved moved with it.
            let mut stack = vec![found.what];
            while let Some(id) = stack.pop() {
                if !is_moved(id) && missing.insert(id) {
                    stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
                }
            }
        }
        let names = tree.server_children(root);
        let emptied = names.len() > 1 || names.iter().any(|(_, id)| count_below(&tree, *id) > 1);
        let emptied = emptied
            && self.listed.contains_key(&root)
            && names.iter().all(|(_, id)| missing.contains(id))
            && missing.len() as u64 + 1 >= count_below(&tree, root);
        if !emptied && (missing.len() as u64) < least {
            return None;
        }
        let pins = tree.items().filter(|i| i.pinned && i.location == self.location);
        let groups = std::iter::once(root).chain(pins.map(|i| i.id).filter(|id| *id != root));
        let mut worst: Option<Braked> = None;
        for group in groups {
            let below = list_below(&tree, group);
            let of = below.len() as u64;
            let gone = below.iter().filter(|id| missing.contains(id)).count() as u64;
            let most = gone * 100 > of * percent && gone >= least;
            if (most || (emptied && group == root)) && worst.as_ref().is_none_or(|w| w.missing < gone) {
                worst = Some(Braked { missing: gone, of });
            }
        }
        worst
    }
}

/// All items the server tree has under one; a file is its own.
fn list_below(tree: &Tree, id: ItemId) -> Vec<ItemId> {
    let mut found = Vec::new();
    let mut stack: Vec<ItemId> = tree.server_children(id).into_iter().map(|(_, c)| c).collect();
    while let Some(id) = stack.pop() {
        found.push(id);
        stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
    }
    if found.is_empty() {
        found.push(id);
    }
    found
}

/// How many items the server tree has in and under one.
fn count_below(tree: &Tree, id: ItemId) -> u64 {
    let mut count = 0;
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        count += 1;
        stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
    }
    count
}
