//! From the words of the engine to those of FUSE and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo, OpenAccMode, OpenFlags, RenameFlags, Request, TimeOrNow};
use holdfast_engine::fileops::{Allocate, Attr, Caller, OpError, OpenMode, RenameMode, SetTime};
use holdfast_engine::model::{Kind, NodeId, RequestId, Time};

/// What `stat` names as the best size for reading and writing.
const BLOCK_BYTES: u32 = 4096;

pub(crate) fn errno(error: &OpError) -> Errno {
    Errno::from_i32(error.errno())
}

/// The bit of a request's number that says that it is sent again.
const AGAIN: u64 = 1 << 63;

/// `mount` is the connection's number.
pub(crate) fn caller(mount: u64, request: &Request) -> Caller {
    let number = request.unique().0;
    Caller {
        uid: request.uid(),
        gid: request.gid(),
        pid: request.pid(),
        request: Some(RequestId { mount, number: number & !AGAIN }),
        again: number & AGAIN != 0,
    }
}

pub(crate) fn node(number: INodeNo) -> NodeId {
    NodeId(number.0)
}

pub(crate) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.node.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: (attr.mode & 0o7777) as u16,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// The attributes of a name that is remembered as absent: number 0 says it.
pub(crate) fn absent_attr() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

pub(crate) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Folder => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Special(0o010_000) => FileType::NamedPipe,
        Kind::Special(0o020_000) => FileType::CharDevice,
        Kind::Special(0o060_000) => FileType::BlockDevice,
        Kind::Special(_) => FileType::Socket,
    }
}

pub(crate) fn system_time(time: Time) -> SystemTime {
    let nanos = Duration::from_nanos(u64::from(time.subsec_nanos()));
    match u64::try_from(time.secs()) {
        Ok(secs) => UNIX_EPOCH + Duration::from_secs(secs) + nanos,
        Err(_) => UNIX_EPOCH - Duration::from_secs(time.secs().unsigned_abs()) + nanos,
    }
}

/// A time to set. Before 1970 fuser 0.18 subtracts the nanoseconds that are to be added; the pair
/// the kernel sent is got back from what that made.
pub(crate) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::To(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Time::new(seconds(after), after.subsec_nanos()),
            Err(before) => Time::new(-seconds(before.duration()), before.duration().subsec_nanos()),
        }),
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

pub(crate) fn open_mode(flags: OpenFlags) -> OpenMode {
    OpenMode {
        write: flags.acc_mode() != OpenAccMode::O_RDONLY,
        truncate: has(flags.0, rustix::fs::OFlags::TRUNC),
    }
}

pub(crate) fn has(flags: i32, flag: rustix::fs::OFlags) -> bool {
    flags as u32 & flag.bits() != 0
}

/// `RENAME_WHITEOUT` and combinations are not for a file system like this.
pub(crate) fn rename_mode(flags: RenameFlags) -> Result<RenameMode, OpError> {
    match flags {
        f if f.is_empty() => Ok(RenameMode::Replace),
        RenameFlags::RENAME_NOREPLACE => Ok(RenameMode::NoReplace),
        RenameFlags::RENAME_EXCHANGE => Ok(RenameMode::Exchange),
        _ => Err(OpError::Invalid),
    }
}

/// `fallocate`'s modes; what shifts the rest of the file is not supported.
pub(crate) fn allocate(mode: i32) -> Result<Allocate, OpError> {
    use rustix::fs::FallocateFlags as Flags;
    let flags = Flags::from_bits_retain(mode as u32);
    let keep_size = flags.contains(Flags::KEEP_SIZE);
    match flags.difference(Flags::KEEP_SIZE) {
        f if f.is_empty() && keep_size => Ok(Allocate::KeepSize),
        f if f.is_empty() => Ok(Allocate::Extend),
        Flags::PUNCH_HOLE if keep_size => Ok(Allocate::PunchHole),
        Flags::ZERO_RANGE => Ok(Allocate::ZeroRange { keep_size }),
        _ => Err(OpError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for time in [
            Time::new(0, 0),
            Time::new(7, 5),
            Time::new(-1, 5),
            Time::new(-1, 0),
            Time::new(-5, 999_999_999),
            Time(i64::MIN + 1_000_000_000),
            Time(i64::MAX),
        ] {
            let to_kernel = system_time(time);
            let exact = match to_kernel.duration_since(UNIX_EPOCH) {
                Ok(d) => i128::from(d.as_secs()) * 1_000_000_000 + i128::from(d.subsec_nanos()),
                Err(e) => -(e.duration().as_nanos() as i128),
            };
            assert_eq!(exact, i128::from(time.0));
            // What fuser makes of the pair (secs, nanos) that the kernel sends.
            let from_kernel = match u64::try_from(time.secs()) {
                Ok(secs) => UNIX_EPOCH + Duration::new(secs, time.subsec_nanos()),
                Err(_) => UNIX_EPOCH - Duration::new(time.secs().unsigned_abs(), time.subsec_nanos()),
            };
            assert_eq!(set_time(TimeOrNow::SpecificTime(from_kernel)), SetTime::To(time));
        }
    }

    #[test]
    fn flags_of_rename_and_fallocate() {
        assert_eq!(rename_mode(RenameFlags::RENAME_NOREPLACE), Ok(RenameMode::NoReplace));
        assert_eq!(rename_mode(RenameFlags::RENAME_WHITEOUT), Err(OpError::Invalid));
        let both = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
        assert_eq!(rename_mode(both), Err(OpError::Invalid));
        assert_eq!(allocate(0), Ok(Allocate::Extend));
        assert_eq!(allocate(1), Ok(Allocate::KeepSize));
        assert_eq!(allocate(3), Ok(Allocate::PunchHole));
        assert_eq!(allocate(0x11), Ok(Allocate::ZeroRange { keep_size: true }));
        for collapse_insert_or_bare_punch in [0x08, 0x20, 0x02] {
            assert_eq!(allocate(collapse_insert_or_bare_punch), Err(OpError::Unsupported));
        }
    }
}
