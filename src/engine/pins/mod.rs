//! What is to be wholly here, and what may go.
//!
//! A pin is a mark on an item; whatever lies in a pinned folder, now or later, is pinned with it.

mod evict;
mod limit;
mod past;

pub use evict::{evict, evict_oldest};
pub use limit::{excess, fits, limit_of, parse_size};
pub use past::forget_past;

use crate::model::{ItemId, Kind, PinState, Side};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::store::tree::Tree;

/// Files and bytes of a pin, and how many of them are here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    pub files: u64,
    pub bytes: u64,
    pub present_files: u64,
    pub present_bytes: u64,
    /// Folders whose names are not known yet.
    pub unlisted: u64,
}

impl Count {
    pub fn is_complete(&self) -> bool {
        self.unlisted == 0 && self.files == self.present_files
    }

    /// `over_limit`: it does not fit into what its location may take, or into the disk.
    pub fn state(&self, online: bool, over_limit: bool) -> PinState {
        match (over_limit, self.is_complete(), online) {
            (true, ..) => PinState::OverLimit,
            (false, true, _) => PinState::Present,
            (false, false, false) => PinState::Waiting,
            (false, false, true) => PinState::Fetching,
        }
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.present_files += other.present_files;
        self.present_bytes += other.present_bytes;
        self.unlisted += other.unlisted;
    }
}

/// Counts what lies in an item here.
pub fn count(store: &Store, tree: &Tree, id: ItemId) -> Count {
    let mut count = Count::default();
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        let Some(live) = tree.item(id).and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node)) else {
            continue;
        };
        match live.row.kind {
            Kind::Folder => {
                count.unlisted += u64::from(!live.row.listed);
                stack.extend(live.children.values());
            }
            Kind::File => {
                count.files += 1;
                count.bytes += live.row.size;
                let content = live.row.content.and_then(|c| store.contents().get(c));
                let (here, bytes) = match content {
                    None => (true, live.row.size),
                    Some(content) if content.is_whole() => (true, live.row.size),
                    Some(content) => (false, content.present_bytes()),
                };
                count.present_files += u64::from(here);
                count.present_bytes += bytes;
            }
            _ => {}
        }
    }
    count
}

/// All pinned items of a store that are not inside another pinned one's own mark.
pub fn pinned(tree: &Tree) -> Vec<ItemId> {
    tree.items().filter(|i| i.pinned).map(|i| i.id).collect()
}

/// Pins or unpins. Unpinning lets room be made.
pub fn set_pinned(store: &Store, id: ItemId, pinned: bool) -> Result<(), StoreError> {
    store.write_in_reserve(|tx| {
        tx.edit_item(id, |item| item.pinned = pinned);
        Ok(())
    })
}

/// Where a pin is, for people.
pub fn path_of(tree: &Tree, id: ItemId) -> Option<crate::model::Target> {
    let item = tree.item(id)?;
    let location = tree.location(item.location)?.row.name.clone();
    let path = tree.path(id, Side::Local).or_else(|| tree.known_path(id))?;
    Some(crate::model::Target { location, path })
}
