//! What a file system must offer to the simulated kernel: the engine's `Fileops`, or the oracle.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use holdfast_engine::fileops::{
    Attr, Caller, FolderEntry, Invalidation, Need, OpError, OpenMode, Opened, RenameMode, SetAttr, XattrMode,
};
use holdfast_engine::model::{FileHandle, Kind, LocPath, Name, NodeId};

use crate::snapshot::{Entry, Snapshot};

pub type Op<T> = Result<T, OpError>;

/// Who all programs of a simulation are.
pub const CALLER: Caller = Caller::new(1000, 1000, 4242);

/// The operations of `Fileops`, for one caller. What is not here is `NotHere`; `provide` gets it.
#[async_trait]
pub trait LocalFs: Send + Sync {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr>;
    fn may_cache_absence(&self, parent: NodeId) -> bool;
    fn forget(&self, node: NodeId, count: u64);
    fn getattr(&self, node: NodeId) -> Op<Attr>;
    fn setattr(&self, node: NodeId, handle: Option<FileHandle>, set: &SetAttr) -> Op<Attr>;
    fn readlink(&self, node: NodeId) -> Op<Vec<u8>>;
    fn mkdir(&self, parent: NodeId, name: &[u8], mode: u32) -> Op<Attr>;
    fn symlink(&self, parent: NodeId, name: &[u8], target: &[u8]) -> Op<Attr>;
    fn link(&self, node: NodeId, parent: NodeId, name: &[u8]) -> Op<Attr>;
    fn unlink(&self, parent: NodeId, name: &[u8]) -> Op<()>;
    fn rmdir(&self, parent: NodeId, name: &[u8]) -> Op<()>;
    fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), mode: RenameMode) -> Op<()>;
    fn create(&self, parent: NodeId, name: &[u8], mode: u32, open: OpenMode) -> Op<(Attr, Opened)>;
    fn open(&self, node: NodeId, mode: OpenMode) -> Op<Opened>;
    fn read(&self, node: NodeId, handle: FileHandle, offset: u64, buf: &mut [u8]) -> Op<usize>;
    fn write(&self, node: NodeId, handle: FileHandle, offset: u64, data: &[u8]) -> Op<()>;
    fn release(&self, node: NodeId, handle: FileHandle);
    fn fsync(&self, node: NodeId, handle: FileHandle) -> Op<()>;
    /// All entries but `.` and `..`; counts a reference for each.
    fn read_folder(&self, node: NodeId) -> Op<Vec<(FolderEntry, Attr)>>;
    fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>>;
    fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Op<()>;
    fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>>;
    fn removexattr(&self, node: NodeId, name: &[u8]) -> Op<()>;
    async fn provide(&self, need: &Need) -> Op<()>;
    fn invalidations(&self) -> async_channel::Receiver<Invalidation>;
}

/// Tries again as long as something is not here and can be got.
pub(super) async fn provided<T>(fs: &dyn LocalFs, mut call: impl FnMut() -> Op<T> + Send) -> Op<T> {
    let mut lacking = None;
    for _ in 0..10_000 {
        match call() {
            Err(OpError::NotHere(need)) => {
                fs.provide(&need).await?;
                lacking = Some(need);
            }
            answer => return answer,
        }
    }
    panic!("`provide` says that it is here, and the operation that it is not: {lacking:?}");
}

/// What is there, seen without any cache of the kernel; gets what is not here.
pub async fn snapshot(fs: &dyn LocalFs, root: NodeId) -> Op<Snapshot> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(LocPath::root(), root)];
    while let Some((at, folder)) = folders.pop() {
        let mut names = BTreeSet::new();
        for (entry, attr) in provided(fs, || fs.read_folder(folder)).await? {
            assert!(names.insert(entry.name.clone()), "{at} has a name twice: {entry:?}");
            let name = Name::new(&entry.name).map_err(|_| OpError::Invalid)?;
            let path = at.join(&name);
            if attr.kind == Kind::Folder {
                folders.push((path.clone(), attr.node));
            }
            let entry = look(fs, &attr).await?;
            fs.forget(attr.node, 1);
            found.insert(path, entry);
        }
    }
    Ok(Snapshot(found))
}

async fn look(fs: &dyn LocalFs, attr: &Attr) -> Op<Entry> {
    Ok(match attr.kind {
        Kind::Folder => Entry::Folder { mode: attr.mode },
        Kind::Symlink => Entry::Symlink { target: fs.readlink(attr.node)? },
        Kind::Special(bits) => Entry::Special { mode: bits | attr.mode },
        Kind::File => {
            let mut xattrs = BTreeMap::new();
            for name in fs.listxattr(attr.node)? {
                let value = fs.getxattr(attr.node, &name)?;
                xattrs.insert(name, value);
            }
            let opened = provided(fs, || fs.open(attr.node, OpenMode::default())).await?;
            let content = read_all(fs, attr, opened.handle).await;
            fs.release(attr.node, opened.handle);
            Entry::File { content: content?, mode: attr.mode, mtime: Some(attr.mtime), xattrs }
        }
    })
}

async fn read_all(fs: &dyn LocalFs, attr: &Attr, handle: FileHandle) -> Op<Vec<u8>> {
    let mut content = vec![0; usize::try_from(attr.size).map_err(|_| OpError::TooLarge)?];
    let read = provided(fs, || fs.read(attr.node, handle, 0, &mut content)).await?;
    // A read is short only at the end of the file.
    if read < content.len() {
        return Err(OpError::PastEnd);
    }
    Ok(content)
}
