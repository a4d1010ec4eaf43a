//! The oracle's inodes and names.

use std::collections::BTreeMap;

use holdfast_engine::fileops::{Attr, OpError, OpenMode, Opened, RenameMode};
use holdfast_engine::model::{FileHandle, Kind, Name, NodeId, Time};

use super::fs::{CALLER, Op};

pub(super) enum Body {
    File(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, u64>),
    Symlink(Vec<u8>),
}

pub(super) struct Inode {
    pub body: Body,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(super) struct Tree {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    pub open: BTreeMap<u64, OpenMode>,
}

const ROOT: u64 = NodeId::ROOT.0;

fn check(name: &[u8]) -> Op<()> {
    match name.len() {
        0 => Err(OpError::NotFound),
        len if len > Name::MAX_BYTES => Err(OpError::NameTooLong),
        _ => Ok(()),
    }
}

impl Tree {
    /// With an empty root.
    pub(super) fn new(now: Time) -> Tree {
        let mut tree = Tree { inodes: BTreeMap::new(), next: ROOT, open: BTreeMap::new() };
        tree.add(Body::Folder(BTreeMap::new()), 0o755, now);
        tree
    }

    pub(super) fn add(&mut self, body: Body, mode: u32, now: Time) -> u64 {
        let id = self.next;
        self.next += 1;
        let nlink = if matches!(body, Body::Folder(_)) { 2 } else { 1 };
        let xattrs = BTreeMap::new();
        let (uid, gid) = (CALLER.uid, CALLER.gid);
        let inode = Inode { body, mode, nlink, uid, gid, atime: now, mtime: now, ctime: now, xattrs };
        self.inodes.insert(id, inode);
        id
    }

    pub(super) fn inode(&self, id: u64) -> &Inode {
        self.inodes.get(&id).expect("numbers are never taken away")
    }

    pub(super) fn inode_mut(&mut self, id: u64) -> &mut Inode {
        self.inodes.get_mut(&id).expect("numbers are never taken away")
    }

    pub(super) fn entries(&self, folder: u64) -> Op<&BTreeMap<Vec<u8>, u64>> {
        match &self.inodes.get(&folder).ok_or(OpError::Stale)?.body {
            Body::Folder(entries) => Ok(entries),
            _ => Err(OpError::NotFolder),
        }
    }

    /// For a change, which its times show.
    pub(super) fn entries_mut(&mut self, folder: u64, now: Time) -> Op<&mut BTreeMap<Vec<u8>, u64>> {
        let inode = self.inodes.get_mut(&folder).ok_or(OpError::Stale)?;
        match &mut inode.body {
            Body::Folder(entries) => {
                (inode.mtime, inode.ctime) = (now, now);
                Ok(entries)
            }
            _ => Err(OpError::NotFolder),
        }
    }

    pub(super) fn is_folder(&self, id: u64) -> bool {
        matches!(self.inode(id).body, Body::Folder(_))
    }

    pub(super) fn find(&self, parent: NodeId, name: &[u8]) -> Op<u64> {
        check(name)?;
        self.entries(parent.0)?.get(name).copied().ok_or(OpError::NotFound)
    }

    pub(super) fn attr(&self, id: u64) -> Attr {
        let inode = self.inode(id);
        let (kind, size) = match &inode.body {
            Body::File(content) => (Kind::File, content.len()),
            Body::Folder(_) => (Kind::Folder, 0),
            Body::Symlink(target) => (Kind::Symlink, target.len()),
        };
        Attr {
            node: NodeId(id),
            kind,
            mode: inode.mode,
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev: 0,
            size: size as u64,
            blocks: (size as u64).div_ceil(512),
            atime: inode.atime,
            mtime: inode.mtime,
            ctime: inode.ctime,
        }
    }

    /// A new inode under a new name.
    pub(super) fn make(&mut self, parent: NodeId, name: &[u8], body: Body, mode: u32, now: Time) -> Op<Attr> {
        match self.find(parent, name) {
            Ok(_) => return Err(OpError::Exists),
            Err(OpError::NotFound) if self.inode(parent.0).nlink > 0 => {}
            Err(error) => return Err(error),
        }
        let id = self.add(body, mode & 0o7777, now);
        self.entries_mut(parent.0, now)?.insert(name.to_vec(), id);
        if self.is_folder(id) {
            self.inode_mut(parent.0).nlink += 1;
        }
        Ok(self.attr(id))
    }

    pub(super) fn remove(&mut self, parent: NodeId, name: &[u8], now: Time) -> Op<()> {
        let id = self.find(parent, name)?;
        self.entries_mut(parent.0, now)?.remove(name);
        self.unlinked(parent.0, id, now);
        Ok(())
    }

    /// A name of it is gone.
    pub(super) fn unlinked(&mut self, parent: u64, id: u64, now: Time) {
        if self.is_folder(id) {
            self.inode_mut(parent).nlink -= 1;
            self.inode_mut(id).nlink = 0;
        } else {
            self.inode_mut(id).nlink -= 1;
        }
        self.inode_mut(id).ctime = now;
    }

    pub(super) fn holds(&self, outer: u64, inner: u64) -> bool {
        outer == inner
            || self.entries(outer).is_ok_and(|entries| entries.values().any(|id| self.holds(*id, inner)))
    }

    pub(super) fn rename(
        &mut self,
        from: (NodeId, &[u8]),
        to: (NodeId, &[u8]),
        mode: RenameMode,
        now: Time,
    ) -> Op<()> {
        let moved = self.find(from.0, from.1)?;
        let there = match self.find(to.0, to.1) {
            Ok(id) => Some(id),
            Err(OpError::NotFound) => None,
            Err(error) => return Err(error),
        };
        match (mode, there) {
            (RenameMode::NoReplace, Some(_)) => return Err(OpError::Exists),
            (RenameMode::Exchange, None) => return Err(OpError::NotFound),
            _ => {}
        }
        if self.holds(moved, to.0.0) {
            return Err(OpError::Invalid);
        }
        if let Some(there) = there {
            if self.holds(there, from.0.0) {
                let exchange = mode == RenameMode::Exchange;
                return Err(if exchange { OpError::Invalid } else { OpError::NotEmpty });
            }
            if there == moved {
                return Ok(());
            }
            if mode == RenameMode::Exchange {
                return self.exchange(from, to, (moved, there), now);
            }
            match (self.is_folder(moved), self.is_folder(there)) {
                (true, false) => return Err(OpError::NotFolder),
                (false, true) => return Err(OpError::IsFolder),
                (true, true) if !self.entries(there)?.is_empty() => return Err(OpError::NotEmpty),
                _ => {}
            }
            self.remove(to.0, to.1, now)?;
        }
        self.entries_mut(from.0.0, now)?.remove(from.1);
        self.entries_mut(to.0.0, now)?.insert(to.1.to_vec(), moved);
        if self.is_folder(moved) {
            self.inode_mut(from.0.0).nlink -= 1;
            self.inode_mut(to.0.0).nlink += 1;
        }
        self.inode_mut(moved).ctime = now;
        Ok(())
    }

    pub(super) fn exchange(
        &mut self,
        from: (NodeId, &[u8]),
        to: (NodeId, &[u8]),
        (moved, there): (u64, u64),
        now: Time,
    ) -> Op<()> {
        self.entries_mut(from.0.0, now)?.insert(from.1.to_vec(), there);
        self.entries_mut(to.0.0, now)?.insert(to.1.to_vec(), moved);
        for (id, old, new) in [(moved, from.0.0, to.0.0), (there, to.0.0, from.0.0)] {
            if self.is_folder(id) {
                self.inode_mut(old).nlink -= 1;
                self.inode_mut(new).nlink += 1;
            }
            self.inode_mut(id).ctime = now;
        }
        Ok(())
    }

    pub(super) fn file_mut(&mut self, id: u64) -> Op<&mut Vec<u8>> {
        match &mut self.inode_mut(id).body {
            Body::File(content) => Ok(content),
            Body::Folder(_) => Err(OpError::IsFolder),
            Body::Symlink(_) => Err(OpError::Invalid),
        }
    }

    pub(super) fn resize(&mut self, id: u64, size: u64, now: Time) -> Op<()> {
        let size = usize::try_from(size).map_err(|_| OpError::TooLarge)?;
        self.file_mut(id)?.resize(size, 0);
        let inode = self.inode_mut(id);
        (inode.mtime, inode.ctime) = (now, now);
        Ok(())
    }

    pub(super) fn new_handle(&mut self, mode: OpenMode) -> Opened {
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, mode);
        Opened { handle: FileHandle(handle), keep_cache: true }
    }
}
