//! Attributes of nodes: read and set.

use std::sync::atomic::Ordering::Relaxed;

use crate::model::{FileHandle, Kind, NodeId, Time};
use crate::store::rows::Aspects;
use crate::store::tree::Live;
use crate::store::{Store, Tx};

use super::{Attr, Caller, Fileops, Op, OpError, SetAttr, SetTime, Statfs};

impl Fileops {
    pub fn getattr(&self, node: NodeId) -> Op<Attr> {
        if super::views::is_view(node) {
            return self.view_attr(node);
        }
        let tree = self.store().read();
        let live = tree.node(node).ok_or(OpError::Stale)?;
        Ok(attr_of(self.store(), live))
    }

    pub fn setattr(
        &self,
        caller: Caller,
        node: NodeId,
        handle: Option<FileHandle>,
        set: &SetAttr,
    ) -> Op<Attr> {
        self.refuse_views(node)?;
        if node == NodeId::ROOT {
            return Err(OpError::NotPermitted);
        }
        if let Some(size) = set.size {
            self.set_size(node, size, caller.uid != 0, handle)?;
        }
        let owner_fixed = self.0.owner;
        let record = |tx: &mut Tx<'_>| {
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            if let Some((uid, gid)) = owner_fixed
                && (set.uid.is_some_and(|u| u != uid) || set.gid.is_some_and(|g| g != gid))
            {
                return Err(OpError::NotPermitted);
            }
            let links = live.links.clone();
            let now = tx.now();
            let time = |t: SetTime| match t {
                SetTime::Now => now,
                SetTime::To(time) => time,
            };
            // Nothing at all is `chown` to nobody: it clears set-id bits all the same.
            let chown = set.uid.is_some() || set.gid.is_some() || *set == SetAttr::default();
            let only_size = set.size.is_some() && *set == SetAttr { size: set.size, ..SetAttr::default() };
            if !only_size {
                tx.edit_node(node, |row| {
                    if chown && row.kind != Kind::Folder {
                        row.mode = without_set_ids(row.mode);
                    }
                    row.mode = set.mode.map_or(row.mode, |m| m & 0o7777);
                    row.uid = set.uid.unwrap_or(row.uid);
                    row.gid = set.gid.unwrap_or(row.gid);
                    row.atime = set.atime.map_or(row.atime, time);
                    row.mtime = set.mtime.map_or(row.mtime, time);
                    row.ctime = now;
                });
                if set.mtime.is_some() {
                    mark_times(tx, node);
                }
                note_change(tx, node);
            }
            links.into_iter().for_each(|item| tx.relog(item));
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            Ok(attr_of(self.store(), live))
        };
        match set.size {
            // It has another size by now: the rest goes with that.
            Some(_) => self.store().write_in_reserve(record),
            None => self.store().write(record),
        }
    }

    pub fn readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        if super::views::is_view(node) {
            return self.view_readlink(node);
        }
        let tree = self.store().read();
        let live = tree.node(node).ok_or(OpError::Stale)?;
        live.row.link_target.as_deref().map(<[u8]>::to_vec).ok_or(OpError::Invalid)
    }

    pub fn statfs(&self) -> Op<Statfs> {
        let (total, free, block_bytes) =
            self.store().files().space().map_err(|e| super::errors::from_io(&e))?;
        let block_bytes = block_bytes.max(512);
        let free = free / block_bytes;
        Ok(Statfs {
            block_bytes,
            blocks: total / block_bytes,
            free,
            files: u64::from(u32::MAX),
            files_free: free,
        })
    }

    pub(super) fn refuse_views(&self, node: NodeId) -> Op<()> {
        if super::views::is_view(node) { Err(OpError::ReadOnly) } else { Ok(()) }
    }
}

/// As the kernel does it for local file systems: set-user-id goes, set-group-id where the group
/// may execute.
pub(super) fn without_set_ids(mode: u32) -> u32 {
    let mode = mode & !0o4000;
    if mode & 0o010 != 0 { mode & !0o2000 } else { mode }
}

/// A program set the modification time: to be told to the server, though no tree shows it.
/// The file's time was set, and is to be set on the server.
pub(crate) fn mark_times(tx: &mut Tx<'_>, node: NodeId) {
    let now = tx.now();
    let links = tx.tree().node(node).map(|l| l.links.clone()).unwrap_or_default();
    for id in links {
        let Some(item) = tx.tree().item(id) else { continue };
        if item.local_only || item.base.as_deref().is_none_or(|b| b.meta.kind != Kind::File) {
            continue;
        }
        if item.pending.is_some_and(|p| p.aspects.contains(Aspects::TIMES)) {
            continue;
        }
        tx.edit_item(id, |item| {
            let mut pending = item.pending.unwrap_or(crate::store::rows::Pending {
                aspects: Aspects::empty(),
                first_at: now,
                last_at: now,
            });
            pending.aspects |= Aspects::TIMES;
            pending.last_at = now;
            item.pending = Some(pending);
        });
    }
}

/// Notes when a node was changed, for settling.
pub(crate) fn note_change(tx: &mut Tx<'_>, node: NodeId) {
    let elapsed = tx.elapsed();
    if let Some(live) = tx.tree_mut().live_mut(node) {
        live.changed = match &live.changed {
            Some(changed) => Some(Box::new((changed.0, elapsed))),
            None => Some(Box::new((elapsed, elapsed))),
        };
    }
}

/// Sets modification and change time of a folder whose entries changed.
pub(super) fn touch_folder(tx: &mut Tx<'_>, folder: NodeId, now: Time) {
    tx.edit_node(folder, |row| {
        row.mtime = now;
        row.ctime = now;
    });
}

pub(super) fn attr_of(store: &Store, live: &Live) -> Attr {
    let row = &live.row;
    let size = match row.kind {
        Kind::Symlink => row.link_target.as_ref().map_or(0, |t| t.len() as u64),
        _ => row.size,
    };
    // What is not here counts as if it were: programs take a file without blocks for a hole.
    let own = row.content.and_then(|id| store.contents().get(id)).filter(|c| !c.is_sealed());
    let blocks = match own {
        Some(content) => content.disk_bytes().map_or(size.div_ceil(512), |b| b.div_ceil(512)),
        None => size.div_ceil(512),
    };
    Attr {
        node: row.id,
        kind: row.kind,
        mode: row.mode,
        nlink: live.nlink(),
        uid: row.uid,
        gid: row.gid,
        rdev: row.rdev,
        size,
        blocks,
        atime: row.atime,
        mtime: row.mtime,
        ctime: row.ctime,
    }
}

/// `attr_of`, and one more reference of the kernel.
pub(super) fn referenced(store: &Store, live: &Live) -> Attr {
    live.lookups.fetch_add(1, Relaxed);
    attr_of(store, live)
}

pub(crate) use crate::model::no_xattrs;
