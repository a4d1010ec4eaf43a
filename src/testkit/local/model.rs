//! The oracle: what a POSIX tree does, as plainly as it can be written. Everything is always here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_engine::fileops::{
    Attr, FolderEntry, Invalidation, Need, OpError, OpenMode, Opened, RenameMode, SetAttr, SetTime, XattrMode,
};
use holdfast_engine::model::{FileHandle, NodeId, Time};
use holdfast_engine::world::World;
use parking_lot::Mutex;

use super::fs::{LocalFs, Op};
use super::tree::{Body, Tree};

/// Cheap to clone; all clones are one tree.
#[derive(Clone)]
pub struct ModelFs {
    tree: Arc<Mutex<Tree>>,
    world: Arc<dyn World>,
    told: (async_channel::Sender<Invalidation>, async_channel::Receiver<Invalidation>),
}

impl ModelFs {
    pub fn new(world: &Arc<dyn World>) -> ModelFs {
        let tree = Tree::new(world.now());
        ModelFs { tree: Arc::new(Mutex::new(tree)), world: world.clone(), told: async_channel::unbounded() }
    }

    pub(super) fn on(tree: Tree, world: &Arc<dyn World>) -> ModelFs {
        ModelFs { tree: Arc::new(Mutex::new(tree)), world: world.clone(), told: async_channel::unbounded() }
    }

    /// Changes a file's bytes behind the kernel's back, as news from a server would; `told` says
    /// whether the kernel hears of it.
    pub fn change_behind(&self, node: NodeId, content: &[u8], told: bool) {
        self.tree.lock().inode_mut(node.0).body = Body::File(content.to_vec());
        if told {
            self.tell(Invalidation::Node(node));
        }
    }

    /// The bytes of a file.
    pub fn content(&self, node: NodeId) -> Option<Vec<u8>> {
        self.tree.lock().file_mut(node.0).ok().map(|bytes| bytes.clone())
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
                (FolderEntry { node: attr.node, kind: attr.kind, name: name.clone() }, attr)
            });
            Ok(with_attr.collect())
        })
    }
    fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        self.with(|tree, _| tree.inode(node.0).xattrs.get(name).cloned().ok_or(OpError::NoAttribute))
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
