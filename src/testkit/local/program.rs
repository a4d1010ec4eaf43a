//! A program: walks paths and holds files open, as system calls do.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_engine::fileops::{OpError, OpenMode, SetAttr, SetTime, XattrMode};
use holdfast_engine::model::{FileHandle, Kind, NodeId};

use super::fs::Op;
use super::kernel::Kernel;
use super::step::{Outcome, Step};

pub struct Program {
    pub kernel: Arc<Kernel>,
    slots: BTreeMap<u8, Open>,
}

#[derive(Clone, Copy)]
struct Open {
    node: NodeId,
    handle: FileHandle,
    write: bool,
}

impl Program {
    pub fn new(kernel: &Arc<Kernel>) -> Program {
        Program { kernel: kernel.clone(), slots: BTreeMap::new() }
    }

    /// Slots with open files.
    pub fn open_slots(&self) -> Vec<u8> {
        self.slots.keys().copied().collect()
    }

    /// The files that it has open.
    pub fn open_nodes(&self) -> Vec<NodeId> {
        self.slots.values().map(|open| open.node).collect()
    }

    /// The files that it has open and may write.
    pub fn written_nodes(&self) -> Vec<NodeId> {
        let written = self.slots.values().filter(|open| open.write);
        written.map(|open| open.node).collect()
    }

    /// The same program on another kernel, where its files have other numbers.
    pub async fn mirrored(&self, kernel: &Arc<Kernel>, nodes: &BTreeMap<NodeId, NodeId>) -> Op<Program> {
        let mut mirrored = Program::new(kernel);
        for (slot, open) in &self.slots {
            let node = *nodes.get(&open.node).ok_or(OpError::Stale)?;
            let mode = OpenMode { write: open.write, truncate: false };
            let handle = kernel.open(node, mode).await?.handle;
            let write = open.write;
            mirrored.slots.insert(*slot, Open { node, handle, write });
        }
        Ok(mirrored)
    }

    /// The program is gone: all its files are closed.
    pub fn exit(&mut self) {
        for (_, open) in std::mem::take(&mut self.slots) {
            self.kernel.release(open.node, open.handle);
        }
    }

    /// Runs steps until one fails.
    pub async fn run_all(&mut self, steps: &[Step]) -> Op<()> {
        for step in steps {
            self.run(step).await?;
        }
        Ok(())
    }

    pub async fn run(&mut self, step: &Step) -> Op<Outcome> {
        match step {
            Step::Open { slot, path, write, truncate, create, exclusive } => {
                let mode = OpenMode { write: *write, truncate: *truncate };
                let (create, exclusive) = (*create, *exclusive);
                self.open(*slot, path, mode, create, exclusive).await
            }
            Step::Write { slot, offset, data } => {
                let open = self.writable(*slot)?;
                self.kernel.write(open.node, open.handle, *offset, data).await?;
                Ok(Outcome::Done)
            }
            Step::Append { slot, data } => {
                let open = self.writable(*slot)?;
                let size = self.kernel.getattr(open.node).await?.size;
                self.kernel.write(open.node, open.handle, size, data).await?;
                Ok(Outcome::Done)
            }
            Step::Read { slot, offset, len } => {
                let open = self.slot(*slot)?;
                let bytes = self.kernel.read(open.node, open.handle, *offset, *len).await?;
                Ok(Outcome::Bytes(bytes))
            }
            Step::Fsync { slot } => {
                let open = self.slot(*slot)?;
                self.kernel.fsync(open.node, open.handle).await?;
                Ok(Outcome::Done)
            }
            Step::SetSize { slot, size } => {
                let open = self.writable(*slot)?;
                let set = SetAttr { size: Some(*size), ..SetAttr::default() };
                self.kernel.setattr(open.node, Some(open.handle), &set).await?;
                Ok(Outcome::Done)
            }
            Step::Close { slot } => {
                let open = self.slots.remove(slot).ok_or(OpError::BadHandle)?;
                self.kernel.release(open.node, open.handle);
                Ok(Outcome::Done)
            }
            _ => self.by_path(step).await,
        }
    }

    async fn by_path(&self, step: &Step) -> Op<Outcome> {
        let kernel = &self.kernel;
        match step {
            Step::ReadFile { path } => return self.read_file(path).await,
            Step::Stat { path } => return self.stat(path).await,
            Step::List { path } => {
                let folder = self.walk(path).await?;
                let entries = kernel.read_folder(folder).await?;
                let names = entries.into_iter().map(|e| (e.name, format!("{:?}", e.kind)));
                return Ok(Outcome::Names(names.collect()));
            }
            Step::ReadLink { path } => {
                let node = self.walk(path).await?;
                let attr = kernel.getattr(node).await?;
                if attr.kind != Kind::Symlink {
                    return Err(OpError::Invalid);
                }
                return Ok(Outcome::Bytes(kernel.readlink(node).await?));
            }
            Step::Mkdir { path } => {
                let (folder, name) = self.free(path).await?;
                kernel.mkdir(folder, name, 0o755).await?;
            }
            Step::Symlink { path, target } => {
                let (folder, name) = self.free(path).await?;
                kernel.symlink(folder, name, target).await?;
            }
            Step::Rmdir { path } => {
                let (folder, name) = self.parent(path).await?;
                kernel.rmdir(folder, name).await?;
            }
            Step::Unlink { path } => {
                let (folder, name) = self.parent(path).await?;
                kernel.unlink(folder, name).await?;
            }
            Step::Rename { from, to, mode } => {
                let (from, to) = (self.parent(from).await?, self.parent(to).await?);
                kernel.rename(from, to, *mode).await?;
            }
            Step::Link { existing, path } => {
                let node = self.walk(existing).await?;
                let (folder, name) = self.free(path).await?;
                if kernel.getattr(node).await?.kind == Kind::Folder {
                    return Err(OpError::NotPermitted);
                }
                kernel.link(node, folder, name).await?;
            }
            Step::Truncate { path, size } => {
                let set = SetAttr { size: Some(*size), ..SetAttr::default() };
                self.set(path, &set, true).await?;
            }
            Step::Chmod { path, mode } => {
                let set = SetAttr { mode: Some(*mode), ..SetAttr::default() };
                self.set(path, &set, false).await?;
            }
            Step::SetTime { path, mtime } => {
                let set = SetAttr { mtime: Some(SetTime::To(*mtime)), ..SetAttr::default() };
                self.set(path, &set, false).await?;
            }
            Step::SetXattr { path, name, value } => {
                let node = self.not_link(path).await?;
                kernel.setxattr(node, name, value, XattrMode::Any).await?;
            }
            Step::RemoveXattr { path, name } => {
                let node = self.not_link(path).await?;
                kernel.removexattr(node, name).await?;
            }
            _ => unreachable!("steps on slots are done in `run`"),
        }
        Ok(Outcome::Done)
    }

    fn slot(&self, slot: u8) -> Op<Open> {
        self.slots.get(&slot).copied().ok_or(OpError::BadHandle)
    }

    fn writable(&self, slot: u8) -> Op<Open> {
        self.slot(slot).and_then(|open| if open.write { Ok(open) } else { Err(OpError::BadHandle) })
    }

    /// Symbolic links are not followed anywhere: programs of a simulation know their tree.
    async fn walk(&self, path: &[u8]) -> Op<NodeId> {
        let mut at = self.kernel.root;
        for name in path.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
            at = self.kernel.lookup(at, name).await?;
        }
        Ok(at)
    }

    async fn parent<'p>(&self, path: &'p [u8]) -> Op<(NodeId, &'p [u8])> {
        let cut = path.iter().rposition(|&b| b == b'/');
        let (folder, name) = cut.map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]));
        if name.is_empty() {
            return Err(OpError::Exists);
        }
        Ok((self.walk(folder).await?, name))
    }

    /// The same where nothing is at the path; the kernel looks before it asks for a new name.
    async fn free<'p>(&self, path: &'p [u8]) -> Op<(NodeId, &'p [u8])> {
        let (folder, name) = self.parent(path).await?;
        match self.kernel.lookup(folder, name).await {
            Ok(_) => Err(OpError::Exists),
            Err(OpError::NotFound) => Ok((folder, name)),
            Err(error) => Err(error),
        }
    }

    async fn not_link(&self, path: &[u8]) -> Op<NodeId> {
        let node = self.walk(path).await?;
        match self.kernel.getattr(node).await?.kind {
            Kind::File | Kind::Folder => Ok(node),
            _ => Err(OpError::NotPermitted),
        }
    }

    async fn set(&self, path: &[u8], set: &SetAttr, size: bool) -> Op<()> {
        let node = self.not_link(path).await?;
        if size && self.kernel.getattr(node).await?.kind == Kind::Folder {
            return Err(OpError::IsFolder);
        }
        self.kernel.setattr(node, None, set).await.map(drop)
    }

    async fn open(
        &mut self,
        slot: u8,
        path: &[u8],
        mode: OpenMode,
        create: bool,
        exclusive: bool,
    ) -> Op<Outcome> {
        if let Some(old) = self.slots.remove(&slot) {
            self.kernel.release(old.node, old.handle);
        }
        let (folder, name) = self.parent(path).await?;
        let (node, opened) = match self.kernel.lookup(folder, name).await {
            Ok(_) if create && exclusive => return Err(OpError::Exists),
            Ok(node) => (node, self.kernel.open(node, mode).await?),
            Err(OpError::NotFound) if create => {
                let new = OpenMode { truncate: false, ..mode };
                self.kernel.create(folder, name, 0o644, new).await?
            }
            Err(error) => return Err(error),
        };
        let (handle, write) = (opened.handle, mode.write);
        self.slots.insert(slot, Open { node, handle, write });
        Ok(Outcome::Done)
    }

    async fn read_file(&self, path: &[u8]) -> Op<Outcome> {
        let node = self.walk(path).await?;
        let opened = self.kernel.open(node, OpenMode::default()).await?;
        let read = self.kernel.read(node, opened.handle, 0, usize::MAX).await;
        self.kernel.release(node, opened.handle);
        read.map(Outcome::Bytes)
    }

    async fn stat(&self, path: &[u8]) -> Op<Outcome> {
        let attr = self.kernel.getattr(self.walk(path).await?).await?;
        let plain = attr.kind != Kind::Folder;
        let (size, nlink) = (plain.then_some(attr.size), plain.then_some(attr.nlink));
        let mode = if attr.kind == Kind::Symlink { 0 } else { attr.mode };
        Ok(Outcome::Stat { kind: attr.kind, mode, size, nlink })
    }
}
