//! The oracle: what a POSIX tree does, as plainly as it can be written. Everything is always here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_engine::fileops::{
    Attr, FolderEntry, Invalidation, Need, OpError, OpenMode, Opened, RenameMode, SetAttr, SetTime, XattrMode,
};
use holdfast_engine::model::{FileHandle, Kind, Name, NodeId, Time};
use holdfast_engine::world::World;
use parking_lot::Mutex;

use super::fs::{CALLER, LocalFs, Op};

/// Cheap to clone; all clones are one tree.
#[derive(Clone)]
pub struct ModelFs {
    tree: Arc<Mutex<Tree>>,
    world: Arc<dyn World>,
    told: (
        async_channel::Sender<Invalidation>,
        async_channel::Receiver<Invalidation>,
    ),
}

enum Body {
    File(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, u64>),
    Symlink(Vec<u8>),
}

struct Inode {
    body: Body,
    mode: u32,
    nlink: u32,
    uid: u32,
    gid: u32,
    atime: Time,
    mtime: Time,
    ctime: Time,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct Tree {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    open: BTreeMap<u64, OpenMode>,
}

const ROOT: u64 = NodeId::ROOT.0;

impl ModelFs {
    pub fn new(world: &Arc<dyn World>) -> ModelFs {
        let mut tree = Tree {
            inodes: BTreeMap::new(),
            next: ROOT,
            open: BTreeMap::new(),
        };
        tree.add(Body::Folder(BTreeMap::new()), 0o755, world.now());
        tree.inode_mut(ROOT).nlink = 2;
        ModelFs {
            tree: Arc::new(Mutex::new(tree)),
            world: world.clone(),
            told: async_channel::unbounded(),
        }
    }

    /// Changes a file's bytes behind the kernel's back, as news from a server would; `told` says
    /// whether the kernel hears of it.
    pub fn change_behind(&self, node: NodeId, content: &[u8], told: bool) {
        self.tree.lock().inode_mut(node.0).body = Body::File(content.to_vec());
        if told {
            self.tell(Invalidation::Node(node));
        }
    }

    /// Sends the kernel a message.
    pub fn tell(&self, what: Invalidation) {
        // Unbounded, and its receiver lives as long as we do.
        let _ = self.told.0.try_send(what);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Tree, Time) -> Op<T>) -> Op<T> {
        f(&mut self.tree.lock(), self.world.now())
    }
}

fn check(name: &[u8]) -> Op<()> {
    match name.len() {
        0 => Err(OpError::NotFound),
        len if len > Name::MAX_BYTES => Err(OpError::NameTooLong),
        _ => Ok(()),
    }
}

impl Tree {
    fn add(&mut self, body: Body, mode: u32, now: Time) -> u64 {
        let id = self.next;
        self.next += 1;
        let nlink = if matches!(body, Body::Folder(_)) { 2 } else { 1 };
        let xattrs = BTreeMap::new();
        let (uid, gid) = (CALLER.uid, CALLER.gid);
        let inode = Inode {
            body,
            mode,
            nlink,
            uid,
            gid,
            atime: now,
            mtime: now,
            ctime: now,
            xattrs,
        };
        self.inodes.insert(id, inode);
        id
    }

    fn inode(&self, id: u64) -> &Inode {
        self.inodes.get(&id).expect("numbers are never taken away")
    }

    fn inode_mut(&mut self, id: u64) -> &mut Inode {
        self.inodes.get_mut(&id).expect("numbers are never taken away")
    }

    fn entries(&self, folder: u64) -> Op<&BTreeMap<Vec<u8>, u64>> {
        match &self.inodes.get(&folder).ok_or(OpError::Stale)?.body {
            Body::Folder(entries) => Ok(entries),
            _ => Err(OpError::NotFolder),
        }
    }

    /// For a change, which its times show.
    fn entries_mut(&mut self, folder: u64, now: Time) -> Op<&mut BTreeMap<Vec<u8>, u64>> {
        let inode = self.inodes.get_mut(&folder).ok_or(OpError::Stale)?;
        match &mut inode.body {
            Body::Folder(entries) => {
                (inode.mtime, inode.ctime) = (now, now);
                Ok(entries)
            }
            _ => Err(OpError::NotFolder),
        }
    }

    fn is_folder(&self, id: u64) -> bool {
        matches!(self.inode(id).body, Body::Folder(_))
    }

    fn find(&self, parent: NodeId, name: &[u8]) -> Op<u64> {
        check(name)?;
        self.entries(parent.0)?
            .get(name)
            .copied()
            .ok_or(OpError::NotFound)
    }

    fn attr(&self, id: u64) -> Attr {
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
    fn make(&mut self, parent: NodeId, name: &[u8], body: Body, mode: u32, now: Time) -> Op<Attr> {
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

    fn remove(&mut self, parent: NodeId, name: &[u8], now: Time) -> Op<()> {
        let id = self.find(parent, name)?;
        self.entries_mut(parent.0, now)?.remove(name);
        self.unlinked(parent.0, id, now);
        Ok(())
    }

    /// A name of it is gone.
    fn unlinked(&mut self, parent: u64, id: u64, now: Time) {
        if self.is_folder(id) {
            self.inode_mut(parent).nlink -= 1;
            self.inode_mut(id).nlink = 0;
        } else {
            self.inode_mut(id).nlink -= 1;
        }
        self.inode_mut(id).ctime = now;
    }

    fn holds(&self, outer: u64, inner: u64) -> bool {
        outer == inner
            || self
                .entries(outer)
                .is_ok_and(|entries| entries.values().any(|id| self.holds(*id, inner)))
    }

    fn rename(&mut self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), mode: RenameMode, now: Time) -> Op<()> {
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
                return Err(if exchange {
                    OpError::Invalid
                } else {
                    OpError::NotEmpty
                });
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

    fn exchange(
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

    fn file_mut(&mut self, id: u64) -> Op<&mut Vec<u8>> {
        match &mut self.inode_mut(id).body {
            Body::File(content) => Ok(content),
            Body::Folder(_) => Err(OpError::IsFolder),
            Body::Symlink(_) => Err(OpError::Invalid),
        }
    }

    fn resize(&mut self, id: u64, size: u64, now: Time) -> Op<()> {
        let size = usize::try_from(size).map_err(|_| OpError::TooLarge)?;
        self.file_mut(id)?.resize(size, 0);
        let inode = self.inode_mut(id);
        (inode.mtime, inode.ctime) = (now, now);
        Ok(())
    }

    fn new_handle(&mut self, mode: OpenMode) -> Opened {
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, mode);
        Opened {
            handle: FileHandle(handle),
            keep_cache: true,
        }
    }
}

#[async_trait]
impl LocalFs for ModelFs {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr> {
        self.with(|tree, _| Ok(tree.attr(tree.find(parent, name)?)))
    }
    fn may_cache_absence(&self, _parent: NodeId) -> bool {
        true
    }
    fn forget(&self, _node: NodeId, _count: u64) {}
    fn getattr(&self, node: NodeId) -> Op<Attr> {
        self.with(|tree, _| Ok(tree.attr(node.0)))
    }
    fn setattr(&self, node: NodeId, _handle: Option<FileHandle>, set: &SetAttr) -> Op<Attr> {
        self.with(|tree, now| {
            if let Some(size) = set.size {
                tree.resize(node.0, size, now)?;
            }
            let time = |set| match set {
                SetTime::Now => now,
                SetTime::To(time) => time,
            };
            let inode = tree.inode_mut(node.0);
            inode.mode = set.mode.map_or(inode.mode, |mode| mode & 0o7777);
            inode.uid = set.uid.unwrap_or(inode.uid);
            inode.gid = set.gid.unwrap_or(inode.gid);
            inode.atime = set.atime.map_or(inode.atime, time);
            inode.mtime = set.mtime.map_or(inode.mtime, time);
            inode.ctime = now;
            Ok(tree.attr(node.0))
        })
    }
    fn readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        self.with(|tree, _| match &tree.inode(node.0).body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(OpError::Invalid),
        })
    }
    fn mkdir(&self, parent: NodeId, name: &[u8], mode: u32) -> Op<Attr> {
        self.with(|tree, now| tree.make(parent, name, Body::Folder(BTreeMap::new()), mode, now))
    }
    fn symlink(&self, parent: NodeId, name: &[u8], target: &[u8]) -> Op<Attr> {
        self.with(|tree, now| tree.make(parent, name, Body::Symlink(target.to_vec()), 0o777, now))
    }
    fn link(&self, node: NodeId, parent: NodeId, name: &[u8]) -> Op<Attr> {
        self.with(|tree, now| {
            if tree.is_folder(node.0) {
                return Err(OpError::NotPermitted);
            }
            match tree.find(parent, name) {
                Ok(_) => return Err(OpError::Exists),
                Err(OpError::NotFound) if tree.inode(node.0).nlink > 0 => {}
                Err(error) => return Err(error),
            }
            tree.entries_mut(parent.0, now)?.insert(name.to_vec(), node.0);
            let inode = tree.inode_mut(node.0);
            inode.nlink += 1;
            inode.ctime = now;
            Ok(tree.attr(node.0))
        })
    }
    fn unlink(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        self.with(|tree, now| {
            let id = tree.find(parent, name)?;
            if tree.is_folder(id) {
                return Err(OpError::IsFolder);
            }
            tree.remove(parent, name, now)
        })
    }
    fn rmdir(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        self.with(|tree, now| {
            let id = tree.find(parent, name)?;
            if !tree.entries(id)?.is_empty() {
                return Err(OpError::NotEmpty);
            }
            tree.remove(parent, name, now)
        })
    }
    fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), mode: RenameMode) -> Op<()> {
        self.with(|tree, now| tree.rename(from, to, mode, now))
    }
    fn create(&self, parent: NodeId, name: &[u8], mode: u32, open: OpenMode) -> Op<(Attr, Opened)> {
        self.with(|tree, now| {
            let attr = tree.make(parent, name, Body::File(Vec::new()), mode, now)?;
            Ok((attr, tree.new_handle(open)))
        })
    }
    fn open(&self, node: NodeId, mode: OpenMode) -> Op<Opened> {
        self.with(|tree, now| {
            tree.file_mut(node.0)?;
            if mode.truncate {
                tree.resize(node.0, 0, now)?;
            }
            Ok(tree.new_handle(mode))
        })
    }
    fn read(&self, node: NodeId, handle: FileHandle, offset: u64, buf: &mut [u8]) -> Op<usize> {
        self.with(|tree, _| {
            tree.open.get(&handle.0).ok_or(OpError::BadHandle)?;
            let content = tree.file_mut(node.0)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let len = buf.len().min(content.len() - start);
            buf[..len].copy_from_slice(&content[start..start + len]);
            Ok(len)
        })
    }
    fn write(&self, node: NodeId, handle: FileHandle, offset: u64, data: &[u8]) -> Op<()> {
        self.with(|tree, now| {
            let mode = tree.open.get(&handle.0).ok_or(OpError::BadHandle)?;
            if !mode.write {
                return Err(OpError::BadHandle);
            }
            let content = tree.file_mut(node.0)?;
            let start = usize::try_from(offset).map_err(|_| OpError::TooLarge)?;
            let end = start + data.len();
            if content.len() < end && !data.is_empty() {
                content.resize(end, 0);
            }
            if !data.is_empty() {
                content[start..end].copy_from_slice(data);
            }
            let inode = tree.inode_mut(node.0);
            (inode.mtime, inode.ctime) = (now, now);
            Ok(())
        })
    }
    fn release(&self, _node: NodeId, handle: FileHandle) {
        self.tree.lock().open.remove(&handle.0);
    }
    fn fsync(&self, _node: NodeId, _handle: FileHandle) -> Op<()> {
        Ok(())
    }
    fn read_folder(&self, node: NodeId) -> Op<Vec<(FolderEntry, Attr)>> {
        self.with(|tree, _| {
            let entries = tree.entries(node.0)?.iter();
            let with_attr = entries.map(|(name, id)| {
                let attr = tree.attr(*id);
                (
                    FolderEntry {
                        node: attr.node,
                        kind: attr.kind,
                        name: name.clone(),
                    },
                    attr,
                )
            });
            Ok(with_attr.collect())
        })
    }
    fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        self.with(|tree, _| {
            tree.inode(node.0)
                .xattrs
                .get(name)
                .cloned()
                .ok_or(OpError::NoAttribute)
        })
    }
    fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Op<()> {
        if !name.starts_with(b"user.") {
            return Err(OpError::Unsupported);
        }
        self.with(|tree, now| {
            let inode = tree.inode_mut(node.0);
            match (mode, inode.xattrs.contains_key(name)) {
                (XattrMode::Create, true) => return Err(OpError::Exists),
                (XattrMode::Replace, false) => return Err(OpError::NoAttribute),
                _ => {}
            }
            inode.xattrs.insert(name.to_vec(), value.to_vec());
            inode.ctime = now;
            Ok(())
        })
    }
    fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>> {
        self.with(|tree, _| Ok(tree.inode(node.0).xattrs.keys().cloned().collect()))
    }
    fn removexattr(&self, node: NodeId, name: &[u8]) -> Op<()> {
        self.with(|tree, now| {
            let inode = tree.inode_mut(node.0);
            inode.xattrs.remove(name).ok_or(OpError::NoAttribute)?;
            inode.ctime = now;
            Ok(())
        })
    }
    async fn provide(&self, need: &Need) -> Op<()> {
        panic!("everything is here, nothing can be needed: {need:?}");
    }
    fn invalidations(&self) -> async_channel::Receiver<Invalidation> {
        self.told.1.clone()
    }
}
