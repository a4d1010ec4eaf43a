//! The kernel's part of a FUSE mount with endless lifetimes: what it remembers it does not ask for
//! again until it is told to forget.
//!
//! Kept simple on purpose: names (present and absent), attributes, pages with write-through. Where
//! the real kernel forgets more than this one, this one is the harder test.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_engine::fileops::{
    Attr, FolderEntry, Invalidation, OpError, OpenMode, Opened, RenameMode, SetAttr, XattrMode,
};
use holdfast_engine::model::{FileHandle, Kind, NodeId};
use parking_lot::Mutex;

use super::fs::{LocalFs, Op, provided};
use super::pages::{PAGE, Pages, touched};

/// One mount of one file system. Calls may run at once.
pub struct Kernel {
    pub fs: Arc<dyn LocalFs>,
    pub root: NodeId,
    told: async_channel::Receiver<Invalidation>,
    caches: Mutex<Caches>,
}

#[derive(Default)]
struct Caches {
    names: BTreeMap<(NodeId, Vec<u8>), Option<NodeId>>,
    inodes: BTreeMap<NodeId, Inode>,
}

struct Inode {
    kind: Kind,
    attr: Option<Attr>,
    pages: Pages,
    /// References that the file system has counted for us.
    lookups: u64,
    opens: u32,
}

impl Caches {
    fn note(&mut self, attr: &Attr, lookups: u64) {
        let fresh = || Inode { kind: attr.kind, attr: None, pages: Pages::default(), lookups: 0, opens: 0 };
        let inode = self.inodes.entry(attr.node).or_insert_with(fresh);
        // A new size from the file system cuts what is remembered, as the real one does.
        if inode.attr.is_none_or(|old| old.size != attr.size) {
            inode.pages.truncate(attr.size);
        }
        inode.attr = Some(*attr);
        inode.lookups += lookups;
    }

    fn forget_attr(&mut self, node: NodeId) {
        if let Some(inode) = self.inodes.get_mut(&node) {
            inode.attr = None;
        }
    }

    fn pages(&mut self, node: NodeId) -> Option<&mut Pages> {
        self.inodes.get_mut(&node).map(|inode| &mut inode.pages)
    }
}

impl Kernel {
    pub fn new(fs: Arc<dyn LocalFs>, root: NodeId) -> Arc<Kernel> {
        let told = fs.invalidations();
        Arc::new(Kernel { fs, root, told, caches: Mutex::default() })
    }

    /// Carries out one message of the file system.
    pub fn invalidate(&self, what: Invalidation) {
        let mut caches = self.caches.lock();
        match what {
            Invalidation::Node(node) => {
                if let Some(inode) = caches.inodes.get_mut(&node) {
                    inode.attr = None;
                    inode.pages.clear();
                }
            }
            Invalidation::Entry { parent, name } => {
                caches.names.remove(&(parent, name.as_bytes().to_vec()));
                caches.forget_attr(parent);
            }
            Invalidation::Barrier(done) => {
                drop(caches);
                drop(done);
            }
        }
    }

    /// Carries out all messages that are there.
    pub fn invalidate_all(&self) {
        while let Ok(what) = self.told.try_recv() {
            self.invalidate(what);
        }
    }

    /// Carries out messages as they come, each after a pause: spawn it in the engine's life.
    pub async fn obey(self: Arc<Kernel>, mut pause: impl FnMut() -> holdfast_engine::world::Task + Send) {
        while let Ok(what) = self.told.recv().await {
            pause().await;
            self.invalidate(what);
        }
    }

    /// Memory is short: all that is not open is forgotten, and the file system told so. Not while
    /// an operation is under way.
    pub fn drop_caches(&self) {
        let forgotten: Vec<(NodeId, u64)> = {
            let mut caches = self.caches.lock();
            caches.names.clear();
            let all = std::mem::take(&mut caches.inodes);
            let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.into_iter().partition(|(_, inode)| inode.opens > 0);
            caches.inodes = kept;
            dropped.into_iter().map(|(node, inode)| (node, inode.lookups)).collect()
        };
        for (node, lookups) in forgotten.into_iter().filter(|(node, _)| *node != self.root) {
            self.fs.forget(node, lookups);
        }
    }

    pub(super) fn known_names(&self) -> BTreeMap<(NodeId, Vec<u8>), Option<NodeId>> {
        self.caches.lock().names.clone()
    }

    pub(super) fn known_attrs(&self) -> Vec<(NodeId, Attr)> {
        let caches = self.caches.lock();
        caches.inodes.iter().filter_map(|(node, inode)| Some((*node, inode.attr?))).collect()
    }

    pub(super) fn known_pages(&self) -> Vec<(NodeId, BTreeMap<u64, Vec<u8>>)> {
        let caches = self.caches.lock();
        caches.inodes.iter().map(|(node, inode)| (*node, inode.pages.all().clone())).collect()
    }

    async fn ask<T>(&self, call: impl FnMut() -> Op<T> + Send) -> Op<T> {
        provided(self.fs.as_ref(), call).await
    }

    pub async fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<NodeId> {
        if self.kind(parent).await? != Kind::Folder {
            return Err(OpError::NotFolder);
        }
        let key = (parent, name.to_vec());
        let known = self.caches.lock().names.get(&key).copied();
        match known {
            Some(Some(node)) => Ok(node),
            Some(None) => Err(OpError::NotFound),
            None => match self.ask(|| self.fs.lookup(parent, name)).await {
                Ok(attr) => Ok(self.entered(parent, name, &attr)),
                Err(OpError::NotFound) => {
                    if self.fs.may_cache_absence(parent) {
                        self.caches.lock().names.insert(key, None);
                    }
                    Err(OpError::NotFound)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// A name was answered with a node: both are remembered.
    fn entered(&self, parent: NodeId, name: &[u8], attr: &Attr) -> NodeId {
        let mut caches = self.caches.lock();
        caches.note(attr, 1);
        caches.names.insert((parent, name.to_vec()), Some(attr.node));
        attr.node
    }

    async fn kind(&self, node: NodeId) -> Op<Kind> {
        let known = self.caches.lock().inodes.get(&node).map(|inode| inode.kind);
        match known {
            Some(kind) => Ok(kind),
            None => Ok(self.getattr(node).await?.kind),
        }
    }

    pub async fn getattr(&self, node: NodeId) -> Op<Attr> {
        let known = self.caches.lock().inodes.get(&node).and_then(|inode| inode.attr);
        if let Some(attr) = known {
            return Ok(attr);
        }
        let attr = self.ask(|| self.fs.getattr(node)).await?;
        self.caches.lock().note(&attr, 0);
        Ok(attr)
    }

    pub async fn setattr(&self, node: NodeId, handle: Option<FileHandle>, set: &SetAttr) -> Op<Attr> {
        let answer = self.ask(|| self.fs.setattr(node, handle, set)).await;
        if matches!(answer, Err(OpError::Io)) {
            // An engine that is killed gives no answer: the kernel asks its successor.
            let mut caches = self.caches.lock();
            caches.forget_attr(node);
            if let Some(pages) = caches.pages(node) {
                pages.truncate(0);
            }
        }
        let attr = answer?;
        let mut caches = self.caches.lock();
        caches.note(&attr, 0);
        if let (Some(size), Some(pages)) = (set.size, caches.pages(node)) {
            pages.truncate(size);
        }
        Ok(attr)
    }

    pub async fn readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        self.ask(|| self.fs.readlink(node)).await
    }

    pub async fn mkdir(&self, parent: NodeId, name: &[u8], mode: u32) -> Op<()> {
        let attr = self.ask(|| self.fs.mkdir(parent, name, mode)).await?;
        self.made(parent, name, &attr);
        Ok(())
    }

    pub async fn symlink(&self, parent: NodeId, name: &[u8], target: &[u8]) -> Op<()> {
        let attr = self.ask(|| self.fs.symlink(parent, name, target)).await?;
        self.made(parent, name, &attr);
        Ok(())
    }

    pub async fn link(&self, node: NodeId, parent: NodeId, name: &[u8]) -> Op<()> {
        let attr = self.ask(|| self.fs.link(node, parent, name)).await?;
        self.made(parent, name, &attr);
        Ok(())
    }

    fn made(&self, parent: NodeId, name: &[u8], attr: &Attr) {
        self.entered(parent, name, attr);
        self.caches.lock().forget_attr(parent);
    }

    pub async fn unlink(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        let node = self.lookup(parent, name).await?;
        if self.kind(node).await? == Kind::Folder {
            return Err(OpError::IsFolder);
        }
        self.ask(|| self.fs.unlink(parent, name)).await?;
        self.unlinked(parent, name, node);
        Ok(())
    }

    pub async fn rmdir(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        let node = self.lookup(parent, name).await?;
        if self.kind(node).await? != Kind::Folder {
            return Err(OpError::NotFolder);
        }
        self.ask(|| self.fs.rmdir(parent, name)).await?;
        self.unlinked(parent, name, node);
        Ok(())
    }

    fn unlinked(&self, parent: NodeId, name: &[u8], node: NodeId) {
        let mut caches = self.caches.lock();
        caches.names.remove(&(parent, name.to_vec()));
        caches.forget_attr(parent);
        caches.forget_attr(node);
    }

    pub async fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), mode: RenameMode) -> Op<()> {
        let moved = self.lookup(from.0, from.1).await?;
        let there = match self.lookup(to.0, to.1).await {
            Ok(node) => Some(node),
            Err(OpError::NotFound) => None,
            Err(error) => return Err(error),
        };
        if mode == RenameMode::NoReplace && there.is_some() {
            return Err(OpError::Exists);
        }
        if there == Some(moved) && mode != RenameMode::Exchange {
            return Ok(());
        }
        self.ask(|| self.fs.rename(from, to, mode)).await?;
        let mut caches = self.caches.lock();
        let left = (from.0, from.1.to_vec());
        match (mode, there) {
            (RenameMode::Exchange, Some(there)) => caches.names.insert(left, Some(there)),
            _ => caches.names.remove(&left),
        };
        caches.names.insert((to.0, to.1.to_vec()), Some(moved));
        for node in [Some(moved), there, Some(from.0), Some(to.0)].into_iter().flatten() {
            caches.forget_attr(node);
        }
        Ok(())
    }

    pub async fn create(
        &self,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        open: OpenMode,
    ) -> Op<(NodeId, Opened)> {
        let (attr, opened) = self.ask(|| self.fs.create(parent, name, mode, open)).await?;
        self.made(parent, name, &attr);
        self.opened(attr.node, 1);
        Ok((attr.node, opened))
    }

    pub async fn open(&self, node: NodeId, mode: OpenMode) -> Op<Opened> {
        match self.kind(node).await? {
            Kind::File => {}
            Kind::Folder => return Err(OpError::IsFolder),
            _ => return Err(OpError::Invalid),
        }
        let opened = self.ask(|| self.fs.open(node, mode)).await?;
        self.opened(node, 1);
        let mut caches = self.caches.lock();
        if let Some(pages) = caches.pages(node).filter(|_| mode.truncate || !opened.keep_cache) {
            pages.clear();
        }
        if mode.truncate || !opened.keep_cache {
            caches.forget_attr(node);
        }
        Ok(opened)
    }

    fn opened(&self, node: NodeId, by: i32) {
        if let Some(inode) = self.caches.lock().inodes.get_mut(&node) {
            inode.opens = inode.opens.saturating_add_signed(by);
        }
    }

    pub fn release(&self, node: NodeId, handle: FileHandle) {
        self.fs.release(node, handle);
        self.opened(node, -1);
    }

    pub async fn read(&self, node: NodeId, handle: FileHandle, offset: u64, len: usize) -> Op<Vec<u8>> {
        loop {
            let size = self.getattr(node).await?.size;
            let len = (size.saturating_sub(offset)).min(len as u64) as usize;
            let mut bytes = vec![0; len];
            if self.caches.lock().pages(node).is_some_and(|pages| pages.copy_to(offset, &mut bytes)) {
                return Ok(bytes);
            }
            let pages: Vec<u64> = touched(offset, len).map(|(page, ..)| page).collect();
            for page in pages {
                let known = self.caches.lock().pages(node).is_some_and(|pages| pages.has(page));
                if known {
                    continue;
                }
                let mut bytes = vec![0; PAGE as usize];
                let read = self.ask(|| self.fs.read(node, handle, page * PAGE, &mut bytes)).await?;
                bytes.truncate(read);
                if let Some(pages) = self.caches.lock().pages(node) {
                    pages.keep(page, bytes);
                }
            }
        }
    }

    pub async fn write(&self, node: NodeId, handle: FileHandle, offset: u64, data: &[u8]) -> Op<()> {
        self.ask(|| self.fs.write(node, handle, offset, data)).await?;
        let mut caches = self.caches.lock();
        if let Some(inode) = caches.inodes.get_mut(&node) {
            inode.pages.write(offset, data);
            // Size and times are asked for again.
            inode.attr = None;
        }
        Ok(())
    }

    pub async fn fsync(&self, node: NodeId, handle: FileHandle) -> Op<()> {
        self.ask(|| self.fs.fsync(node, handle)).await
    }

    pub async fn read_folder(&self, node: NodeId) -> Op<Vec<FolderEntry>> {
        if self.kind(node).await? != Kind::Folder {
            return Err(OpError::NotFolder);
        }
        let listed = self.ask(|| self.fs.read_folder(node)).await?;
        for (entry, attr) in &listed {
            self.entered(node, &entry.name, attr);
        }
        Ok(listed.into_iter().map(|(entry, _)| entry).collect())
    }

    pub async fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        self.ask(|| self.fs.getxattr(node, name)).await
    }

    pub async fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Op<()> {
        self.ask(|| self.fs.setxattr(node, name, value, mode)).await?;
        self.caches.lock().forget_attr(node);
        Ok(())
    }

    pub async fn removexattr(&self, node: NodeId, name: &[u8]) -> Op<()> {
        self.ask(|| self.fs.removexattr(node, name)).await?;
        self.caches.lock().forget_attr(node);
        Ok(())
    }

    pub async fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>> {
        self.ask(|| self.fs.listxattr(node)).await
    }
}
