//! Operations on names: look up, make, link, remove.

use std::sync::atomic::Ordering::Relaxed;

use crate::model::{FileHandle, Kind, Name, NameError, NodeId};
use crate::store::Tx;
use crate::store::rows::{Entry, Node};

use super::attrs::{no_xattrs, referenced, touch_folder};
use super::handles::OpenFile;
use super::{Attr, Caller, Fileops, Need, Op, OpError, OpenMode, Opened, bind, takeover, views};

impl Fileops {
    /// Counts one more reference of the kernel on the node ([`Fileops::forget`] gives them back).
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr> {
        if views::is_view(parent) || (parent == NodeId::ROOT && name == views::FOLDER) {
            return self.view_lookup(parent, name);
        }
        let tree = self.store().read();
        let folder = tree.node(parent).ok_or(OpError::Stale)?;
        match name {
            b"." => return Ok(referenced(self.store(), folder)),
            b".." => {
                let above = tree
                    .folder_item(parent)
                    .and_then(|id| tree.item(id))
                    .and_then(|item| item.entry.as_ref())
                    .map_or(NodeId::ROOT, |e| e.parent);
                let live = tree.node(above).ok_or(OpError::Stale)?;
                return Ok(referenced(self.store(), live));
            }
            _ => {}
        }
        if folder.row.kind != Kind::Folder {
            return Err(OpError::NotFolder);
        }
        let Some(id) = folder.children.get(name) else {
            if name.len() > Name::MAX_BYTES {
                return Err(OpError::NameTooLong);
            }
            if !folder.row.listed {
                return Err(OpError::NotHere(Need::Listing(parent)));
            }
            return Err(OpError::NotFound);
        };
        let node = tree.item(*id).and_then(|i| i.entry.as_ref()).ok_or(OpError::NotFound)?.node;
        let live = tree.node(node).ok_or(OpError::NotFound)?;
        Ok(referenced(self.store(), live))
    }

    /// Whether a name that is not there may be remembered as absent.
    pub fn may_cache_absence(&self, parent: NodeId) -> bool {
        !views::is_view(parent)
    }

    /// The kernel gives references back.
    pub fn forget(&self, node: NodeId, count: u64) {
        if views::is_view(node) {
            return;
        }
        let unused = {
            let tree = self.store().read();
            let Some(live) = tree.node(node) else { return };
            takeover::give_back(&live.lookups, count) == 0 && live.links.is_empty() && live.opens == 0
        };
        if unused {
            self.reap(node);
        }
    }

    pub(super) fn reap(&self, node: NodeId) {
        let reaped = self.store().write_in_reserve(|tx| {
            bind::reap(tx, node);
            Ok::<_, OpError>(())
        });
        if let Err(error) = reaped {
            tracing::warn!(node = node.0, %error, "an unused node stays");
            self.store().unrecorded.store(true, Relaxed);
        }
    }

    /// A regular file, fifo, socket or device node. `mode` holds the `S_IFMT` bits; the kernel has
    /// applied the umask. Counts a reference, as do all that make an entry.
    pub fn mknod(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32, rdev: u32) -> Op<Attr> {
        let kind = match mode & 0o170_000 {
            0 => Kind::File,
            _ => Kind::from_mode(mode),
        };
        if matches!(kind, Kind::Folder | Kind::Symlink) {
            return Err(OpError::Invalid);
        }
        self.make(caller, parent, name, kind, mode, |row| row.rdev = rdev)
    }

    pub fn mkdir(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32) -> Op<Attr> {
        self.make(caller, parent, name, Kind::Folder, mode, |row| row.listed = true)
    }

    pub fn symlink(&self, caller: Caller, parent: NodeId, name: &[u8], target: &[u8]) -> Op<Attr> {
        if target.is_empty() {
            return Err(OpError::NotFound);
        }
        if target.len() > 4095 {
            return Err(OpError::NameTooLong);
        }
        self.make(caller, parent, name, Kind::Symlink, 0o777, |row| {
            row.link_target = Some(target.into());
            row.size = target.len() as u64;
        })
    }

    pub fn create(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        open: OpenMode,
    ) -> Op<(Attr, Opened)> {
        let attr = self.make(caller, parent, name, Kind::File, mode, |_| {})?;
        let handle = self.count_open(caller, attr.node, open.write)?;
        Ok((attr, Opened { handle, keep_cache: true }))
    }

    fn make(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        kind: Kind,
        mode: u32,
        finish: impl Fn(&mut Node),
    ) -> Op<Attr> {
        if self.was_done(caller) {
            return self.lookup(parent, name);
        }
        self.refuse_views(parent)?;
        let name = new_name(name)?;
        self.with_room(|| self.try_make(caller, parent, &name, kind, mode, &finish))
    }

    fn try_make(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &Name,
        kind: Kind,
        mode: u32,
        finish: impl Fn(&mut Node),
    ) -> Op<Attr> {
        let owner = self.0.owner;
        self.store().write(|tx| {
            tx.answer(caller.request);
            let folder = bind::folder(tx.tree(), parent)?;
            let live = tx.tree().node(parent).ok_or(OpError::Stale)?;
            self.must_be_free(tx, parent, name)?;
            let (mut uid, mut gid) = owner.unwrap_or((caller.uid, caller.gid));
            let mut mode = mode & 0o7777;
            // Set-group-id folders hand their group down, and themselves to folders.
            if live.row.mode & 0o2000 != 0 && owner.is_none() {
                gid = live.row.gid;
                if kind == Kind::Folder {
                    mode |= 0o2000;
                }
            }
            if let Some((u, g)) = owner {
                (uid, gid) = (u, g);
            }
            let now = tx.now();
            let id = NodeId(tx.new_id());
            let mut row = Node {
                id,
                kind,
                mode,
                uid,
                gid,
                rdev: 0,
                size: 0,
                atime: now,
                mtime: now,
                ctime: now,
                content: None,
                link_target: None,
                xattrs: no_xattrs(),
                listed: false,
                writing: false,
                replaced: None,
            };
            finish(&mut row);
            tx.put_node(row);
            bind::bind_new(tx, folder, Entry { parent, name: name.clone(), node: id }, kind);
            super::attrs::note_change(tx, id);
            touch_folder(tx, parent, now);
            let live = tx.tree().node(id).ok_or(OpError::Stale)?;
            Ok(referenced(self.store(), live))
        })
    }

    pub fn link(&self, caller: Caller, node: NodeId, parent: NodeId, name: &[u8]) -> Op<Attr> {
        if self.was_done(caller) {
            return self.lookup(parent, name);
        }
        self.refuse_views(node)?;
        self.refuse_views(parent)?;
        let name = new_name(name)?;
        self.store().write(|tx| {
            tx.answer(caller.request);
            let folder = bind::folder(tx.tree(), parent)?;
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            if live.row.kind == Kind::Folder {
                return Err(OpError::NotPermitted);
            }
            let kind = live.row.kind;
            let Some(first) = live.links.first() else {
                return Err(OpError::NotFound);
            };
            let location = tx.tree().item(*first).map(|i| i.location);
            if location != tx.tree().item(folder).map(|i| i.location) {
                return Err(OpError::OtherLocation);
            }
            self.must_be_free(tx, parent, &name)?;
            let now = tx.now();
            tx.edit_node(node, |row| row.ctime = now);
            bind::bind_new(tx, folder, Entry { parent, name, node }, kind);
            touch_folder(tx, parent, now);
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            Ok(referenced(self.store(), live))
        })
    }

    fn must_be_free(&self, tx: &Tx<'_>, parent: NodeId, name: &Name) -> Op<()> {
        let live = tx.tree().node(parent).ok_or(OpError::Stale)?;
        if live.children.contains_key(name) {
            return Err(OpError::Exists);
        }
        if !live.row.listed {
            return Err(OpError::NotHere(Need::Listing(parent)));
        }
        Ok(())
    }

    pub fn unlink(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Op<()> {
        self.remove(caller, parent, name, false)
    }

    pub fn rmdir(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Op<()> {
        match name {
            b"." => Err(OpError::Invalid),
            b".." => Err(OpError::NotEmpty),
            _ => self.remove(caller, parent, name, true),
        }
    }

    fn remove(&self, caller: Caller, parent: NodeId, name: &[u8], folder: bool) -> Op<()> {
        if self.was_done(caller) {
            return Ok(());
        }
        self.refuse_views(parent)?;
        self.store().write_in_reserve(|tx| {
            tx.answer(caller.request);
            bind::folder(tx.tree(), parent)?;
            let id = child(tx, parent, name)?;
            let node = entry_node(tx, id)?;
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            match (live.row.kind, folder) {
                (Kind::Folder, false) => return Err(OpError::IsFolder),
                (Kind::Folder, true) => {
                    if !live.row.listed {
                        return Err(OpError::NotHere(Need::Listing(node)));
                    }
                    if !live.children.is_empty() {
                        return Err(OpError::NotEmpty);
                    }
                }
                (_, true) => return Err(OpError::NotFolder),
                (_, false) => {}
            }
            let now = tx.now();
            bind::unbind(tx, id);
            super::attrs::note_change(tx, node);
            tx.edit_node(node, |row| row.ctime = now);
            touch_folder(tx, parent, now);
            bind::reap(tx, node);
            Ok(())
        })
    }

    /// Nothing may begin to be written to a node that the server's side has replaced: the kernel
    /// reached it by a name it remembered, and is to look again.
    pub(super) fn count_open(&self, caller: Caller, node: NodeId, write: bool) -> Op<FileHandle> {
        let request = caller.request;
        if caller.again
            && let Some(handle) = request.and_then(|request| self.0.handles.lock().opened_by(request))
        {
            return Ok(handle);
        }
        self.store().with_live(|tree| {
            let live = tree.live_mut(node).ok_or(OpError::Stale)?;
            if write && live.superseded {
                return Err(OpError::Stale);
            }
            live.opens += 1;
            live.writers += u32::from(write);
            Ok(())
        })?;
        Ok(self.0.handles.lock().add_file(OpenFile { node, write, request }))
    }
}

pub(super) fn new_name(name: &[u8]) -> Op<Name> {
    Name::new(name).map_err(|error| match error {
        NameError::TooLong => OpError::NameTooLong,
        NameError::Reserved => OpError::Exists,
        NameError::Forbidden => OpError::Invalid,
    })
}

/// The item at a name in a folder; where the folder's names are not known, they are needed.
pub(super) fn child(tx: &Tx<'_>, parent: NodeId, name: &[u8]) -> Op<crate::model::ItemId> {
    let live = tx.tree().node(parent).ok_or(OpError::Stale)?;
    if name.len() > Name::MAX_BYTES {
        return Err(OpError::NameTooLong);
    }
    match live.children.get(name) {
        Some(id) => Ok(*id),
        None if !live.row.listed => Err(OpError::NotHere(Need::Listing(parent))),
        None => Err(OpError::NotFound),
    }
}

pub(super) fn entry_node(tx: &Tx<'_>, id: crate::model::ItemId) -> Op<NodeId> {
    tx.tree().item(id).and_then(|i| i.entry.as_ref()).map(|e| e.node).ok_or(OpError::NotFound)
}
