//! The requests of the kernel, each one or two calls on the folder.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fuser::*;
use parking_lot::{Mutex, RwLock};
use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Timestamps, Uid};

use crate::convert::{Done, REMEMBER, attr, empty, entry, errno, timespec};
use crate::nodes::{self, Nodes};

pub struct Bare {
    nodes: RwLock<Nodes>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    files: HashMap<u64, Arc<File>>,
    folders: HashMap<u64, Arc<Vec<OsString>>>,
}

impl Bare {
    pub fn over(folder: &Path) -> io::Result<Bare> {
        let root = OwnedFd::from(File::open(folder)?);
        Ok(Bare { nodes: RwLock::new(Nodes::with_root(root)), open: Mutex::default() })
    }

    /// Attributes of a name, and one more reference.
    fn look_up(&self, parent: u64, name: &OsStr) -> Done<FileAttr> {
        let nodes = self.nodes.read();
        let stat = nodes::stat(&(nodes.folder(parent)?, name.to_owned()))?;
        let known = nodes.known(parent, name);
        drop(nodes);
        let number = known.map_or_else(|| self.nodes.write().learn(parent, name, &stat), Ok)?;
        Ok(attr(number, &stat))
    }

    fn attr(&self, node: u64, handle: Option<FileHandle>) -> Done<FileAttr> {
        let stat = match handle.and_then(|h| self.file(h)) {
            Some(file) => rustix::fs::fstat(&file)?,
            None => nodes::stat(&self.nodes.read().place(node)?)?,
        };
        Ok(attr(node, &stat))
    }

    fn file(&self, handle: FileHandle) -> Option<Arc<File>> {
        self.open.lock().files.get(&handle.0).cloned()
    }

    fn keep(&self, file: OwnedFd) -> FileHandle {
        let mut open = self.open.lock();
        open.last += 1;
        let handle = open.last;
        open.files.insert(handle, Arc::new(file.into()));
        FileHandle(handle)
    }

    /// Makes something, then looks it up.
    fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        make: impl FnOnce(&OwnedFd) -> Done<()>,
        reply: ReplyEntry,
    ) {
        let folder = self.nodes.read().folder(parent.0);
        let made = folder.and_then(|f| make(&f)).and_then(|()| self.look_up(parent.0, name));
        entry(reply, made);
    }

    fn remove(&self, parent: INodeNo, name: &OsStr, flags: AtFlags, reply: ReplyEmpty) {
        let folder = self.nodes.read().folder(parent.0);
        let removed = folder.and_then(|f| rustix::fs::unlinkat(&f, name, flags));
        if removed.is_ok() {
            self.nodes.write().unlink(parent.0, name);
        }
        empty(reply, removed);
    }

    fn set(&self, node: u64, handle: Option<FileHandle>, set: &Set) -> Done<FileAttr> {
        let place = self.nodes.read().place(node)?;
        if let Some(size) = set.size {
            let file = handle.and_then(|h| self.file(h)).map_or_else(
                || Ok::<_, rustix::io::Errno>(Arc::new(open(&place, OFlags::WRONLY)?.into())),
                Ok,
            )?;
            rustix::fs::ftruncate(&file, size)?;
        }
        if let Some(mode) = set.mode {
            rustix::fs::chmodat(&place.0, &*place.1, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?;
        }
        if set.uid.is_some() || set.gid.is_some() {
            let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
            rustix::fs::chownat(&place.0, &*place.1, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if set.atime.is_some() || set.mtime.is_some() {
            let times =
                Timestamps { last_access: timespec(set.atime), last_modification: timespec(set.mtime) };
            rustix::fs::utimensat(&place.0, &*place.1, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.attr(node, handle)
    }

    /// For calls that know no folder's descriptor.
    fn path(&self, node: u64) -> Done<PathBuf> {
        let (folder, name) = self.nodes.read().place(node)?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
    }

    fn names(&self, handle: FileHandle) -> Arc<Vec<OsString>> {
        self.open.lock().folders.get(&handle.0).cloned().unwrap_or_default()
    }
}

struct Set {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    atime: Option<TimeOrNow>,
    mtime: Option<TimeOrNow>,
}

fn open(place: &(Arc<OwnedFd>, OsString), flags: OFlags) -> Done<OwnedFd> {
    rustix::fs::openat(&place.0, &*place.1, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

impl Filesystem for Bare {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        holdfast_mount::agree(config);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.look_up(parent.0, name) {
            // Number 0: remembered as absent.
            Err(rustix::io::Errno::NOENT) => {
                let absent = rustix::fs::fstat(&*self.nodes.read().folder(nodes::ROOT).unwrap()).unwrap();
                reply.entry(&REMEMBER, &attr(0, &absent), Generation(0));
            }
            result => entry(reply, result),
        }
    }

    fn forget(&self, _: &Request, node: INodeNo, count: u64) {
        self.nodes.write().forget(node.0, count);
    }

    fn getattr(&self, _: &Request, node: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(node.0, handle) {
            Ok(attr) => reply.attr(&REMEMBER, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.set(node.0, handle, &Set { mode, uid, gid, size, atime, mtime }) {
            Ok(attr) => reply.attr(&REMEMBER, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        let place = self.nodes.read().place(node.0);
        match place.and_then(|p| rustix::fs::readlinkat(&p.0, &*p.1, Vec::new())) {
            Ok(target) => reply.data(target.to_bytes()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let make = |f: &OwnedFd| rustix::fs::mkdirat(f, name, Mode::from_raw_mode(mode & 0o7777));
        self.make(parent, name, make, reply);
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(parent, name, |f| rustix::fs::symlinkat(target, f, name), reply);
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = (|| {
            let nodes = self.nodes.read();
            let (place, folder) = (nodes.place(node.0)?, nodes.folder(parent.0)?);
            rustix::fs::linkat(&place.0, &*place.1, &folder, name, AtFlags::empty())
        })();
        let linked = linked.and_then(|()| {
            self.nodes.write().link(node.0, parent.0, name);
            self.attr(node.0, None)
        });
        entry(reply, linked);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, AtFlags::empty(), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, AtFlags::REMOVEDIR, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = (|| {
            let nodes = self.nodes.read();
            let (from, to) = (nodes.folder(parent.0)?, nodes.folder(new_parent.0)?);
            let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
            rustix::fs::renameat_with(&from, name, &to, new_name, flags)
        })();
        if renamed.is_ok() {
            self.nodes.write().rename((parent.0, name), (new_parent.0, new_name));
        }
        empty(reply, renamed);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let created = (|| {
            let folder = self.nodes.read().folder(parent.0)?;
            let excl = OFlags::from_bits_retain(flags as u32) & OFlags::EXCL;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | excl;
            let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(mode & 0o7777))?;
            let stat = rustix::fs::fstat(&file)?;
            let number = self.nodes.write().learn(parent.0, name, &stat)?;
            Ok((attr(number, &stat), self.keep(file)))
        })();
        match created {
            Ok((attr, handle)) => {
                reply.created(&REMEMBER, &attr, Generation(0), handle, FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn open(&self, _: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let wanted = OFlags::from_bits_retain(flags.0 as u32) & (OFlags::RWMODE | OFlags::TRUNC);
        let place = self.nodes.read().place(node.0);
        match place.and_then(|p| open(&p, wanted)) {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut buffer = vec![0; size as usize];
        match self.file(handle).ok_or(io::ErrorKind::NotFound.into()).and_then(|f| {
            let read: io::Result<usize> = f.read_at(&mut buffer, offset);
            read
        }) {
            Ok(read) => reply.data(&buffer[..read]),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(handle).map(|f| f.write_all_at(data, offset)) {
            Some(Ok(())) => reply.written(data.len() as u32),
            _ => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let closed = self.open.lock().files.remove(&handle.0);
        drop(closed);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.file(handle).map(|f| f.sync_all()) {
            Some(Ok(())) => reply.ok(),
            _ => reply.error(Errno::EIO),
        }
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let names = self.nodes.read().folder(node.0).and_then(|fd| {
            let entries = Dir::read_from(&fd)?;
            entries.map(|e| Ok(OsString::from_vec(e?.file_name().to_bytes().to_vec()))).collect()
        });
        match names {
            Ok(names) => {
                let mut open = self.open.lock();
                open.last += 1;
                let handle = open.last;
                open.folders.insert(handle, Arc::new(names));
                drop(open);
                let kept = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
                reply.opened(FileHandle(handle), kept);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        position: u64,
        mut reply: ReplyDirectory,
    ) {
        let folder = self.nodes.read().folder(node.0);
        for (at, name) in self.names(handle).iter().enumerate().skip(position as usize) {
            let Ok(stat) = folder.clone().and_then(|f| nodes::stat(&(f, name.clone()))) else { continue };
            if reply.add(INodeNo(stat.st_ino), at as u64 + 1, attr(0, &stat).kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        position: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        for (at, name) in self.names(handle).iter().enumerate().skip(position as usize) {
            let dots = matches!(name.as_bytes(), b"." | b"..");
            let found = if dots { self.attr(node.0, None) } else { self.look_up(node.0, name) };
            let Ok(found) = found else { continue };
            if reply.add(found.ino, at as u64 + 1, name, &REMEMBER, &found, Generation(0)) {
                if !dots {
                    self.nodes.write().forget(found.ino.0, 1);
                }
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&self, _: &Request, node: INodeNo, name: &OsStr, room: u32, reply: ReplyXattr) {
        let mut value = vec![0; room as usize];
        let got = self.path(node.0).and_then(|path| rustix::fs::lgetxattr(path, name, &mut value[..]));
        match got {
            Ok(len) if room == 0 => reply.size(len as u32),
            Ok(len) => reply.data(&value[..len]),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn listxattr(&self, _: &Request, node: INodeNo, room: u32, reply: ReplyXattr) {
        let mut names = vec![0_u8; room as usize];
        match self.path(node.0).and_then(|path| rustix::fs::llistxattr(path, &mut names[..])) {
            Ok(len) if room == 0 => reply.size(len as u32),
            Ok(len) => reply.data(&names[..len]),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setxattr(
        &self,
        _: &Request,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::XattrFlags::from_bits_retain(flags as u32);
        empty(reply, self.path(node.0).and_then(|path| rustix::fs::lsetxattr(path, name, value, flags)));
    }

    fn removexattr(&self, _: &Request, node: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.path(node.0).and_then(|path| rustix::fs::lremovexattr(path, name)));
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.open.lock().folders.remove(&handle.0);
        reply.ok();
    }
}
