//! The requests of the kernel, one by one. Each is translated and handed on.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use fuser::*;
use holdfast_engine::fileops::{OpError, SetAttr, is_lasting};
use holdfast_engine::model;
use rustix::fs::OFlags;

use crate::answer;
use crate::convert::{self, node, open_mode, set_time};
use crate::server::{Server, guarded_quietly};

/// The largest request; the kernel's own limit is the same.
const LARGEST_BYTES: u32 = 1 << 20;

/// Requests the kernel may have under way on nobody's behalf (reading ahead).
const MOST_IN_BACKGROUND: u16 = 64;

/// What is agreed on with the kernel, whatever serves the requests.
pub fn agree(config: &mut KernelConfig) {
    // HANDLE_KILLPRIV_V2: we clear set-id bits, and the kernel does not ask for
    // `security.capability` before each write. ATOMIC_O_TRUNC: opening and truncating is one
    // step. No WRITEBACK_CACHE, ever; no locks: the kernel's own are right for one machine.
    let wanted = InitFlags::FUSE_DO_READDIRPLUS
        | InitFlags::FUSE_READDIRPLUS_AUTO
        | InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_CACHE_SYMLINKS
        | InitFlags::FUSE_ATOMIC_O_TRUNC
        | InitFlags::FUSE_HANDLE_KILLPRIV_V2;
    if let Err(unknown) = config.add_capabilities(wanted) {
        tracing::info!(?unknown, "an older kernel");
        // What is left is known: it was just told.
        let _ = config.add_capabilities(wanted.difference(unknown));
    }
    let _ = config.set_max_write(LARGEST_BYTES);
    if let Err(most) = config.set_max_readahead(LARGEST_BYTES) {
        let _ = config.set_max_readahead(most);
    }
    let _ = config.set_max_background(MOST_IN_BACKGROUND);
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.resends.store(config.capabilities().contains(InitFlags::FUSE_HAS_RESEND), Relaxed);
        agree(config);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (parent, name) = (node(parent), name.as_bytes().to_vec());
        self.serve(
            self.caller(request),
            reply,
            move |fileops, _| match fileops.lookup(parent, &name) {
                Ok(attr) => Ok(Some(attr)),
                Err(OpError::NotFound) if fileops.may_cache_absence(parent) => Ok(None),
                Err(error) => Err(error),
            },
            answer::entry_or_absence,
        );
    }

    fn forget(&self, _: &Request, number: INodeNo, count: u64) {
        guarded_quietly(|| self.fileops.forget(node(number), count));
    }

    fn getattr(&self, request: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.serve(
            self.caller(request),
            reply,
            move |fileops, _| fileops.getattr(node(number)),
            answer::attr,
        );
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
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
        let caller = self.caller(request);
        let handle = handle.map(open_file);
        let set = SetAttr {
            mode: mode.map(|m| m & 0o7777),
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
        };
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.setattr(caller, node(number), handle, &set),
            answer::attr,
        );
    }

    fn readlink(&self, request: &Request, number: INodeNo, reply: ReplyData) {
        self.serve(
            self.caller(request),
            reply,
            move |fileops, _| fileops.readlink(node(number)),
            answer::bytes,
        );
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.mknod(caller, node(parent), &name, mode, rdev),
            answer::entry,
        );
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.mkdir(caller, node(parent), &name, mode),
            answer::entry,
        );
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        let target = target.as_os_str().as_bytes().to_vec();
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.symlink(caller, node(parent), &name, &target),
            answer::entry,
        );
    }

    fn link(&self, request: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.link(caller, node(number), node(parent), &name),
            answer::entry,
        );
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.unlink(caller, node(parent), &name),
            answer::empty,
        );
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.rmdir(caller, node(parent), &name),
            answer::empty,
        );
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let caller = self.caller(request);
        let (name, new_name) = (name.as_bytes().to_vec(), new_name.as_bytes().to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| {
                let mode = convert::rename_mode(flags)?;
                fileops.rename(caller, node(parent), &name, node(new_parent), &new_name, mode)
            },
            answer::empty,
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (caller, name) = (self.caller(request), name.as_bytes().to_vec());
        let open = open_mode(OpenFlags(flags));
        let exclusive = convert::has(flags, OFlags::EXCL);
        self.serve(
            caller,
            reply,
            move |fileops, _| match fileops.create(caller, node(parent), &name, mode, open) {
                // It came into being since the kernel looked: ESTALE makes it look again.
                Err(OpError::Exists) if !exclusive => Err(OpError::Stale),
                result => result,
            },
            answer::created,
        );
    }

    fn open(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let (caller, mode) = (self.caller(request), open_mode(flags));
        self.serve(caller, reply, move |fileops, _| fileops.open(caller, node(number), mode), answer::opened);
    }

    fn read(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.read_content(self.caller(request), node(number), open_file(handle), offset, size, reply);
    }

    fn write(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let kill_suid = flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let at = (node(number), open_file(handle), offset);
        self.write_content(self.caller(request), at, data, kill_suid, reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Only kernels ask that do not know the flag which says that nobody need; and once.
        reply.error(Errno::ENOSYS);
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        guarded_quietly(|| self.fileops.release(node(number), open_file(handle)));
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        self.serve_slowly(
            reply,
            move |fileops| fileops.fsync(node(number), open_file(handle)),
            answer::empty,
        );
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.serve_slowly(reply, move |fileops| fileops.fsyncdir(node(number)), answer::empty);
    }

    fn fallocate(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let at = (node(number), open_file(handle), offset);
        self.allocate_content(self.caller(request), at, length, mode, reply);
    }

    fn lseek(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.seek_content(self.caller(request), node(number), open_file(handle), offset, whence, reply);
    }

    fn opendir(&self, request: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.serve(
            self.caller(request),
            reply,
            move |fileops, _| Ok((fileops.opendir(node(number))?, is_lasting(node(number)))),
            answer::opened_folder,
        );
    }

    fn readdir(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        position: u64,
        reply: ReplyDirectory,
    ) {
        self.list(self.caller(request), (node(number), open_file(handle)), position, reply);
    }

    fn readdirplus(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        position: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.list_plus(self.caller(request), (node(number), open_file(handle)), position, reply);
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        guarded_quietly(|| self.fileops.releasedir(open_file(handle)));
        reply.ok();
    }

    fn statfs(&self, request: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.serve(self.caller(request), reply, |fileops, _| fileops.statfs(), answer::statfs);
    }

    fn getxattr(&self, request: &Request, number: INodeNo, name: &OsStr, room: u32, reply: ReplyXattr) {
        self.get_attribute(self.caller(request), node(number), name.as_bytes(), room, reply);
    }

    fn listxattr(&self, request: &Request, number: INodeNo, room: u32, reply: ReplyXattr) {
        self.list_attributes(self.caller(request), node(number), room, reply);
    }

    fn setxattr(
        &self,
        request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        self.set_attribute(self.caller(request), node(number), name.as_bytes(), value, flags, reply);
    }

    fn removexattr(&self, request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove_attribute(self.caller(request), node(number), name.as_bytes(), reply);
    }

    // What the kernel does better by itself: ENOSYS makes it do so and never ask again.

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: PollNotifier,
        _: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn bmap(&self, _: &Request, _: INodeNo, _: u32, _: u64, reply: ReplyBmap) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}

fn open_file(handle: FileHandle) -> model::FileHandle {
    model::FileHandle(handle.0)
}
