//! What is to be wholly here, and what may go.
//!
//! A pin is a mark on an item; whatever lies in a pinned folder, now or later, is pinned with it.

use crate::model::{ItemId, Kind, PinState, Side};
use crate::store::Store;
use crate::store::content::Content;
use crate::store::persist::StoreError;
use crate::store::rows::ServerSide;
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

    pub fn state(&self, online: bool) -> PinState {
        match (self.is_complete(), online) {
            (true, _) => PinState::Present,
            (false, false) => PinState::Waiting,
            (false, true) => PinState::Fetching,
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

/// Whether the content of an item may be dropped: neither pinned nor changed, and to be had again.
fn is_evictable(tree: &Tree, id: ItemId) -> bool {
    let Some(item) = tree.item(id) else { return false };
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    let Some(node) = node.filter(|n| n.row.kind == Kind::File && n.opens == 0) else {
        return false;
    };
    item.pending.is_none()
        && item.sending.is_none()
        && item.conflict.is_none()
        && item.server == ServerSide::AsBase
        && node.row.content.is_some()
        && item.base.as_deref().is_some_and(|b| b.content == node.row.content)
        && !tree.is_pinned(id)
}

/// Drops what is under an item and may go. Bytes freed.
pub fn evict(store: &Store, id: ItemId) -> Result<u64, StoreError> {
    let mut evictable = Vec::new();
    {
        let tree = store.read();
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let Some(entry) = tree.item(id).and_then(|i| i.entry.as_ref()) else {
                continue;
            };
            let Some(live) = tree.node(entry.node) else {
                continue;
            };
            stack.extend(live.children.values());
            if is_evictable(&tree, id) {
                evictable.push(id);
            }
        }
    }
    let mut bytes = 0;
    for chunk in evictable.chunks(256) {
        let mut freed = Vec::new();
        store.write_in_reserve(|tx| {
            for id in chunk {
                // It may have been opened, changed or pinned since.
                if !is_evictable(tx.tree(), *id) {
                    continue;
                }
                let content = tx.tree().item(*id).and_then(|i| i.base.as_deref()).and_then(|b| b.content);
                let Some(content) = content.and_then(|c| tx.content(c)) else {
                    continue;
                };
                // The node and `base`; anything more (a version laid over it, a history) needs it.
                if tx.tree().references(content.id()) != 2 || !is_fetched(&content) {
                    continue;
                }
                let here = content.present_bytes();
                let file = tx.new_id();
                match content.evict(file) {
                    Ok(old) => {
                        bytes += here;
                        freed.push(old);
                        tx.touch_content(content.id());
                        let node = tx.tree().item(*id).and_then(|i| i.entry.as_ref()).map(|e| e.node);
                        if let Some(node) = node {
                            tx.invalidate_node(node);
                        }
                    }
                    Err(error) => tracing::warn!(item = id.0, %error, "a content cannot be dropped"),
                }
            }
            Ok::<_, StoreError>(())
        })?;
        store.flush()?;
        for old in freed {
            store.contents().free(old)?;
        }
    }
    Ok(bytes)
}

fn is_fetched(content: &Content) -> bool {
    content.is_sealed() && content.over().is_none() && content.present_bytes() > 0
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
