//! From the words of the system to those of FUSE.

use std::time::{Duration, UNIX_EPOCH};

use fuser::*;
use rustix::fs::{Stat, Timespec};

/// As long as the mount lets the kernel remember.
pub const REMEMBER: Duration = Duration::from_secs(24 * 60 * 60);

pub type Done<T> = rustix::io::Result<T>;

pub fn timespec(time: Option<TimeOrNow>) -> Timespec {
    let nsec = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match time {
        None => nsec(rustix::fs::UTIME_OMIT),
        Some(TimeOrNow::Now) => nsec(rustix::fs::UTIME_NOW),
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() }
        }
    }
}

pub fn attr(number: u64, stat: &Stat) -> FileAttr {
    let time = |secs: i64, nanos: u64| {
        UNIX_EPOCH + Duration::new(u64::try_from(secs).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
    };
    FileAttr {
        ino: INodeNo(number),
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: UNIX_EPOCH,
        kind: match stat.st_mode & 0o170_000 {
            0o040_000 => FileType::Directory,
            0o120_000 => FileType::Symlink,
            0o010_000 => FileType::NamedPipe,
            0o140_000 => FileType::Socket,
            0o020_000 => FileType::CharDevice,
            0o060_000 => FileType::BlockDevice,
            _ => FileType::RegularFile,
        },
        perm: (stat.st_mode & 0o7777) as u16,
        nlink: stat.st_nlink as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

pub fn entry(reply: ReplyEntry, result: Done<FileAttr>) {
    match result {
        Ok(attr) => reply.entry(&REMEMBER, &attr, Generation(0)),
        Err(error) => reply.error(errno(error)),
    }
}

pub fn empty(reply: ReplyEmpty, result: Done<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}
