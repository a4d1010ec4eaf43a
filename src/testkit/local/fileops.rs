//! The engine's `Fileops` as a [`LocalFs`].

use async_trait::async_trait;
use holdfast_engine::fileops::{
    Attr, Fileops, FolderEntry, Invalidation, Need, OpenMode, Opened, RenameMode, SetAttr, XattrMode,
};
use holdfast_engine::model::{FileHandle, NodeId};

use super::fs::{CALLER, LocalFs, Op};

#[async_trait]
impl LocalFs for Fileops {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr> {
        Fileops::lookup(self, parent, name)
    }
    fn may_cache_absence(&self, parent: NodeId) -> bool {
        Fileops::may_cache_absence(self, parent)
    }
    fn forget(&self, node: NodeId, count: u64) {
        Fileops::forget(self, node, count);
    }
    fn getattr(&self, node: NodeId) -> Op<Attr> {
        Fileops::getattr(self, node)
    }
    fn setattr(&self, node: NodeId, handle: Option<FileHandle>, set: &SetAttr) -> Op<Attr> {
        Fileops::setattr(self, CALLER, node, handle, set)
    }
    fn readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        Fileops::readlink(self, node)
    }
    fn mkdir(&self, parent: NodeId, name: &[u8], mode: u32) -> Op<Attr> {
        Fileops::mkdir(self, CALLER, parent, name, mode)
    }
    fn symlink(&self, parent: NodeId, name: &[u8], target: &[u8]) -> Op<Attr> {
        Fileops::symlink(self, CALLER, parent, name, target)
    }
    fn link(&self, node: NodeId, parent: NodeId, name: &[u8]) -> Op<Attr> {
        Fileops::link(self, CALLER, node, parent, name)
    }
    fn unlink(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        Fileops::unlink(self, CALLER, parent, name)
    }
    fn rmdir(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        Fileops::rmdir(self, CALLER, parent, name)
    }
    fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), mode: RenameMode) -> Op<()> {
        Fileops::rename(self, CALLER, from.0, from.1, to.0, to.1, mode)
    }
    fn create(&self, parent: NodeId, name: &[u8], mode: u32, open: OpenMode) -> Op<(Attr, Opened)> {
        Fileops::create(self, CALLER, parent, name, mode, open)
    }
    fn open(&self, node: NodeId, mode: OpenMode) -> Op<Opened> {
        Fileops::open(self, CALLER, node, mode)
    }
    fn read(&self, node: NodeId, handle: FileHandle, offset: u64, buf: &mut [u8]) -> Op<usize> {
        Fileops::read(self, node, handle, offset, buf)
    }
    fn write(&self, node: NodeId, handle: FileHandle, offset: u64, data: &[u8]) -> Op<()> {
        Fileops::write(self, node, handle, offset, data, false)
    }
    fn release(&self, node: NodeId, handle: FileHandle) {
        Fileops::release(self, node, handle);
    }
    fn fsync(&self, node: NodeId, handle: FileHandle) -> Op<()> {
        Fileops::fsync(self, node, handle)
    }
    fn read_folder(&self, node: NodeId) -> Op<Vec<(FolderEntry, Attr)>> {
        let handle = self.opendir(node)?;
        let mut found = Vec::new();
        let read = self.readdirplus(node, handle, 0, &mut |entry, _position, attr| {
            if entry.name != b"." && entry.name != b".." {
                found.push((entry.clone(), *attr));
            }
            true
        });
        self.releasedir(handle);
        read.map(|()| found)
    }
    fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        Fileops::getxattr(self, node, name)
    }
    fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Op<()> {
        Fileops::setxattr(self, CALLER, node, name, value, mode)
    }
    fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>> {
        Fileops::listxattr(self, node)
    }
    fn removexattr(&self, node: NodeId, name: &[u8]) -> Op<()> {
        Fileops::removexattr(self, CALLER, node, name)
    }
    async fn provide(&self, need: &Need) -> Op<()> {
        Fileops::provide(self, CALLER, need).await
    }
    fn invalidations(&self) -> async_channel::Receiver<Invalidation> {
        Fileops::invalidations(self)
    }
}
