//! The operations of a file system on the local tree: what a program does lands here.
//!
//! Each changes tree, content and log in one step and returns when it stands where a kill of the
//! engine does not lose it. Nothing here waits for the network: what is not here is answered with
//! [`OpError::NotHere`], and [`Fileops::provide`] is what fetches it.
//!
//! Checks of permission bits are the kernel's (`default_permissions`); what the kernel leaves to
//! the file system (sticky folders are its; set-gid inheritance, clearing of set-id bits on write
//! and chown) is done here.

mod types;

pub use types::{
    Allocate, Attr, Caller, FolderEntry, Invalidation, Need, OpError, OpenMode, Opened, RenameMode, SetAttr,
    SetTime, Statfs, XattrMode,
};

use crate::model::{FileHandle, NodeId};

type Op<T> = Result<T, OpError>;

/// Cheap to clone; used by many threads at once.
#[derive(Clone)]
pub struct Fileops {}

impl Fileops {
    /// Counts one more reference of the kernel on the node ([`Fileops::forget`] gives them back).
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr> {
        todo!()
    }

    /// Whether a name that is not there may be remembered as absent.
    pub fn may_cache_absence(&self, parent: NodeId) -> bool {
        todo!()
    }

    pub fn forget(&self, node: NodeId, count: u64) {
        todo!()
    }

    pub fn getattr(&self, node: NodeId) -> Op<Attr> {
        todo!()
    }

    pub fn setattr(
        &self,
        caller: Caller,
        node: NodeId,
        handle: Option<FileHandle>,
        set: &SetAttr,
    ) -> Op<Attr> {
        todo!()
    }

    pub fn readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        todo!()
    }

    /// A regular file, fifo, socket or device node. `mode` holds the `S_IFMT` bits; the kernel has
    /// applied the umask. Counts a reference, as do all that make an entry.
    pub fn mknod(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32, rdev: u32) -> Op<Attr> {
        todo!()
    }

    pub fn mkdir(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32) -> Op<Attr> {
        todo!()
    }

    pub fn symlink(&self, caller: Caller, parent: NodeId, name: &[u8], target: &[u8]) -> Op<Attr> {
        todo!()
    }

    pub fn link(&self, node: NodeId, parent: NodeId, name: &[u8]) -> Op<Attr> {
        todo!()
    }

    pub fn unlink(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        todo!()
    }

    pub fn rmdir(&self, parent: NodeId, name: &[u8]) -> Op<()> {
        todo!()
    }

    pub fn rename(
        &self,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name: &[u8],
        mode: RenameMode,
    ) -> Op<()> {
        todo!()
    }

    pub fn create(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        open: OpenMode,
    ) -> Op<(Attr, Opened)> {
        todo!()
    }

    pub fn open(&self, caller: Caller, node: NodeId, mode: OpenMode) -> Op<Opened> {
        todo!()
    }

    /// Fills `buf`; short only at the end of the file.
    pub fn read(&self, node: NodeId, handle: FileHandle, offset: u64, buf: &mut [u8]) -> Op<usize> {
        todo!()
    }

    /// All of `data` or an error. `kill_suid` as FUSE asks for it.
    pub fn write(
        &self,
        node: NodeId,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        kill_suid: bool,
    ) -> Op<()> {
        todo!()
    }

    /// The last descriptor of this open file is gone.
    pub fn release(&self, node: NodeId, handle: FileHandle) {
        todo!()
    }

    /// Waits until content and tree are on the disk.
    pub fn fsync(&self, node: NodeId, handle: FileHandle) -> Op<()> {
        todo!()
    }

    pub fn fsyncdir(&self, node: NodeId) -> Op<()> {
        todo!()
    }

    pub fn allocate(&self, node: NodeId, handle: FileHandle, offset: u64, len: u64, how: Allocate) -> Op<()> {
        todo!()
    }

    /// `SEEK_DATA` (`data`) or `SEEK_HOLE`.
    pub fn seek(&self, node: NodeId, handle: FileHandle, offset: u64, data: bool) -> Op<u64> {
        todo!()
    }

    /// Takes a picture of the folder, `.` and `..` first; positions in it stay valid until closed.
    pub fn opendir(&self, node: NodeId) -> Op<FileHandle> {
        todo!()
    }

    /// Hands over entries from `position` (0 at first) with the position after each, until `take`
    /// answers false.
    pub fn readdir(
        &self,
        handle: FileHandle,
        position: u64,
        take: &mut dyn FnMut(&FolderEntry, u64) -> bool,
    ) -> Op<()> {
        todo!()
    }

    /// As `readdir`, with attributes; counts a reference for each entry taken, except `.` and `..`.
    pub fn readdirplus(
        &self,
        handle: FileHandle,
        position: u64,
        take: &mut dyn FnMut(&FolderEntry, u64, &Attr) -> bool,
    ) -> Op<()> {
        todo!()
    }

    pub fn releasedir(&self, handle: FileHandle) {
        todo!()
    }

    pub fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        todo!()
    }

    pub fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Op<()> {
        todo!()
    }

    pub fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>> {
        todo!()
    }

    pub fn removexattr(&self, node: NodeId, name: &[u8]) -> Op<()> {
        todo!()
    }

    pub fn statfs(&self) -> Op<Statfs> {
        todo!()
    }

    /// Fetches what an operation lacked, by the policy of its location; after `Ok` the operation
    /// is to be tried again.
    pub async fn provide(&self, caller: Caller, need: &Need) -> Op<()> {
        todo!()
    }

    /// What the kernel is to forget from now on. One reader.
    pub fn invalidations(&self) -> async_channel::Receiver<Invalidation> {
        todo!()
    }
}
