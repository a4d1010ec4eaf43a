//! What may go: content that is neither pinned nor changed, and can be had again.
//!
//! Pages that the kernel has of a file stay true when it goes, as its version stays, and nobody has it
//! open. Its attributes do not (the blocks it takes), so the kernel is told to forget both.

use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::model::{ContentId, ItemId, Kind, LocationId};
use crate::store::Store;
use crate::store::content::{Content, Contents};
use crate::store::persist::StoreError;
use crate::store::rows::ServerSide;
use crate::store::tree::Tree;

use super::past::release_past;

/// What was used since then does not go by itself.
const GRACE_SECONDS: u32 = 2;
/// Items looked at under one lock.
const SLICE: usize = 1024;
/// Contents dropped in one step.
const CHUNK: usize = 256;
/// How many of those that were used longest ago are remembered in one walk.
const MOST: usize = 16_384;

/// Whether the content of an item may be dropped: neither pinned nor changed, nor open, and to be had
/// again.
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

/// The content of an item that may go, if anything of it is here and nothing else needs it.
fn evictable_content(contents: &Contents, tree: &Tree, item: ItemId) -> Option<Arc<Content>> {
    if !is_evictable(tree, item) {
        return None;
    }
    let id: ContentId = tree.item(item)?.base.as_deref()?.content?;
    let content = contents.get(id)?;
    // The node and `base`; anything more (a version laid over it, a decision) needs it. A reconnection
    // could go back to it, and does without.
    let references = tree.references(id);
    let is_unneeded =
        references == 2 || (references > 2 && references - tree.references_of_reconnections(item, id) == 2);
    let is_free = is_unneeded && content.is_sealed() && content.over().is_none();
    (is_free && content.present_bytes() > 0).then_some(content)
}

/// Walks what lies in items here, some under one lock, so that programs are not held up.
fn walk(store: &Store, roots: Vec<ItemId>, mut found: impl FnMut(ItemId, &Content)) {
    let mut stack = roots;
    while !stack.is_empty() {
        let tree = store.read();
        for _ in 0..SLICE {
            let Some(id) = stack.pop() else { return };
            let Some(live) = tree.item(id).and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node))
            else {
                continue;
            };
            stack.extend(live.children.values());
            if let Some(content) = evictable_content(store.contents(), &tree, id) {
                found(id, &content);
            }
        }
    }
}

/// Drops what is under an item and may go. Bytes freed.
pub fn evict(store: &Store, id: ItemId) -> Result<u64, StoreError> {
    let mut evictable = Vec::new();
    walk(store, vec![id], |id, _| evictable.push(id));
    drop_contents(store, &evictable, u64::MAX)
}

/// Drops what was used longest ago and may go, of one location or of all, until so many bytes are
/// freed. Bytes freed: fewer where no more may go.
pub fn evict_oldest(store: &Store, location: Option<LocationId>, bytes: u64) -> Result<u64, StoreError> {
    // What was before reconnections goes before anything that somebody may want to read.
    let mut freed = if bytes > 0 { release_past(store, location, bytes)? } else { 0 };
    while freed < bytes {
        let roots = {
            let tree = store.read();
            let of_it = tree.locations().filter(|live| location.is_none_or(|id| live.row.id == id));
            of_it.map(|live| live.row.root).collect()
        };
        // The newest of the oldest is on top, to make way for older ones.
        let mut oldest: BinaryHeap<(u32, ItemId)> = BinaryHeap::new();
        // What a program had brought just now is for it to use first, be it larger than the limit.
        let now = store.world().now().seconds();
        walk(store, roots, |id, content| {
            let used = content.used();
            if used <= now && now - used <= GRACE_SECONDS {
                return;
            }
            oldest.push((used, id));
            if oldest.len() > MOST {
                oldest.pop();
            }
        });
        let oldest: Vec<ItemId> = oldest.into_sorted_vec().into_iter().map(|(_, id)| id).collect();
        match drop_contents(store, &oldest, bytes - freed)? {
            0 => break,
            some => freed += some,
        }
    }
    Ok(freed)
}

/// Drops contents in this order, no more than it takes to free so many bytes.
fn drop_contents(store: &Store, items: &[ItemId], bytes: u64) -> Result<u64, StoreError> {
    let mut done = 0;
    let mut left = items.iter();
    while done < bytes && left.len() > 0 {
        let mut freed = Vec::new();
        store.write_in_reserve(|tx| {
            for id in left.by_ref() {
                // It may have been opened, changed or pinned since.
                let Some(content) = evictable_content(tx.contents(), tx.tree(), *id) else {
                    continue;
                };
                let here = content.present_bytes();
                let file = tx.new_id();
                match content.evict(file) {
                    Ok(old) => {
                        done += here;
                        freed.push(old);
                        tx.touch_content(content.id());
                        let node = tx.tree().item(*id).and_then(|i| i.entry.as_ref()).map(|e| e.node);
                        if let Some(node) = node {
                            tx.invalidate_node(node);
                        }
                    }
                    Err(error) => tracing::warn!(item = id.0, %error, "a content cannot be dropped"),
                }
                if done >= bytes || freed.len() >= CHUNK {
                    break;
                }
            }
            Ok::<_, StoreError>(())
        })?;
        store.flush()?;
        for old in freed {
            store.contents().free(old)?;
        }
    }
    store.room.restore();
    Ok(done)
}
