//! Settling again what could not be before, and comparing contents.

use std::sync::atomic::Ordering::SeqCst;

use crate::model::ItemId;
use crate::reconcile::{Settled, settle};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::store::rows::{Aspects, ServerSide};
use crate::sync::worker::Worker;

/// Items settled in one transaction.
pub(super) const CHUNK: usize = 512;

impl Worker {
    /// Settles again what could not be before, and what was changed here under an open conflict.
    /// Whether something is left for later.
    pub(super) fn settle_open(&self) -> Result<bool, StoreError> {
        let open: Vec<ItemId> = {
            let tree = self.store.read();
            let Some(live) = tree.location(self.location) else {
                return Ok(false);
            };
            let is_open = |id: &&ItemId| {
                tree.item(**id).is_some_and(|i| {
                    i.sending.is_none()
                        && (i.server != ServerSide::AsBase || i.conflict.is_some() || {
                            // New in a folder that the server removed, or moved into it.
                            i.entry.is_some()
                                && (i.base.is_none()
                                    || i.pending.is_some_and(|p| p.aspects.contains(Aspects::PLACE)))
                        })
                })
            };
            let mut open: Vec<ItemId> = live.attention.iter().filter(is_open).copied().collect();
            // What lies deepest goes first, so that emptied folders can follow.
            open.reverse();
            open
        };
        if open.is_empty() {
            return Ok(false);
        }
        let left = settle_all(&self.store, open)?;
        let later = left.iter().any(|(_, settled)| *settled == Settled::Later);
        self.follow_up(left);
        Ok(later)
    }

    pub(super) fn follow_up(&self, left: Vec<(ItemId, Settled)>) {
        for (id, settled) in left {
            match settled {
                Settled::Compare | Settled::Conflict => {
                    if self.server_source(id).is_some() {
                        // What cannot be had now is asked for again, with whatever happens next.
                        if !self.want_urgently(id) {
                            self.unsettled.store(true, SeqCst);
                        }
                    } else if settled == Settled::Compare {
                        self.compared(id);
                    }
                }
                Settled::Done | Settled::Later => {}
            }
        }
    }

    /// The server's content is here: if it is one that is known, it takes that one's identity.
    pub(super) fn compared(&self, id: ItemId) {
        let contents = self.store.contents();
        let before = self.store.seq();
        let (theirs, candidates) = {
            let tree = self.store.read();
            let Some(item) = tree.item(id) else { return };
            let ServerSide::At(state) = &item.server else {
                return;
            };
            let Some(theirs) = state.content.and_then(|c| contents.get(c)) else {
                return;
            };
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let local = node.filter(|l| l.writers == 0).and_then(|l| l.row.content);
            let base = item.base.as_deref().and_then(|b| b.content);
            (theirs, [base, local])
        };
        if !theirs.is_whole() {
            return;
        }
        let digest = match theirs.seal() {
            Ok(digest) => digest,
            Err(error) => {
                tracing::error!(item = id.0, %error, "a fetched content cannot be read");
                return;
            }
        };
        let same = candidates.into_iter().flatten().filter_map(|c| contents.get(c)).find(|content| {
            content.id() != theirs.id()
                && content.size() == theirs.size()
                && match content.is_whole() {
                    true => content.seal().is_ok_and(|d| d == digest),
                    // It was here once, and has made room.
                    false => content.digest() == Some(digest),
                }
        });
        let settled = self.store.write(|tx| {
            // It may have been let go of since.
            if let Some(same) = same.filter(|same| tx.tree().is_referred(same.id())) {
                tx.touch_content(same.id());
                tx.edit_item(id, |item| {
                    if let ServerSide::At(state) = &mut item.server
                        && state.content == Some(theirs.id())
                    {
                        state.content = Some(same.id());
                    }
                });
            }
            Ok::<_, StoreError>(settle(tx, id))
        });
        match settled {
            Ok(settled) => {
                if settled == Settled::Compare {
                    tracing::warn!(item = id.0, "a comparison did not tell");
                }
            }
            Err(error) => tracing::error!(%error, "a comparison cannot be recorded"),
        }
        if self.store.seq() != before {
            self.kick();
        }
    }
}

/// Settles items, again as long as it helps: one may stand in the way of another.
pub fn settle_all(store: &Store, mut items: Vec<ItemId>) -> Result<Vec<(ItemId, Settled)>, StoreError> {
    let mut left = Vec::new();
    loop {
        let mut later = Vec::new();
        let before = items.len();
        for chunk in items.chunks(CHUNK) {
            store.write(|tx| {
                for id in chunk {
                    match settle(tx, *id) {
                        Settled::Done => {}
                        Settled::Later => later.push(*id),
                        other => left.push((*id, other)),
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            store.relieve()?;
        }
        if later.is_empty() || later.len() == before {
            left.extend(later.into_iter().map(|id| (id, Settled::Later)));
            return Ok(left);
        }
        items = later;
    }
}
