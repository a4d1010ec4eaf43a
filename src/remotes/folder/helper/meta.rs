//! From what the system tells of a file to what the engine is told.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use holdfast_engine::model::{Kind, Meta, Xattrs};
use rustix::fs::{Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::place::{Place, proc_path, stat_at, stat_fd};
use super::token::{self, Token, time};
use super::{errno, xattr};
use crate::folder::protocol::Failure;
use crate::kinds::{MODE_MASK, special};

/// What is under a name now, in full. `fresh` asks the server past this computer's cache.
pub fn of(place: &Place, folder: &OwnedFd, name: &CStr, fresh: bool) -> Result<Meta, Failure> {
    let stat = stat_at(folder, name, fresh).map_err(errno::failure)?;
    with(place, folder, name, &stat)
}

/// As [`of`], where something may be there or not.
pub fn seen(place: &Place, folder: &OwnedFd, name: &CStr) -> Option<Box<Meta>> {
    of(place, folder, name, true).ok().map(Box::new)
}

/// As [`of`], after the `stat`.
pub fn with(place: &Place, folder: &OwnedFd, name: &CStr, stat: &Statx) -> Result<Meta, Failure> {
    match Kind::from_mode(u32::from(stat.stx_mode)) {
        Kind::Special(bits) => Err(Failure::Io(special(bits).into())),
        Kind::Folder if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) && name != c"." => {
            Err(Failure::Forbidden("another file system is mounted there".into()))
        }
        Kind::Symlink => {
            let target = rustix::fs::readlinkat(folder, name, Vec::new()).map_err(errno::failure)?;
            Ok(build(place, stat, Some(target.to_bytes()), None))
        }
        kind => {
            let xattrs = if Place::is(&place.xattrs) {
                attributes(xattr::read(&xattr::path_in(folder, name), false), kind)?
            } else {
                None
            };
            Ok(build(place, stat, None, xattrs))
        }
    }
}

/// What an open file is now, whatever its name.
pub fn of_fd(place: &Place, fd: &OwnedFd) -> Result<Meta, Failure> {
    let stat = stat_fd(fd).map_err(errno::failure)?;
    let xattrs = if Place::is(&place.xattrs) {
        attributes(xattr::read(&proc_path(fd), true), Kind::File)?
    } else {
        None
    };
    Ok(build(place, &stat, None, xattrs))
}

/// Attributes that may not be read are not known; other failures are the file's.
fn attributes(read: Result<Option<Xattrs>, Errno>, kind: Kind) -> Result<Option<Xattrs>, Failure> {
    match read {
        Ok(xattrs) => Ok(xattrs),
        Err(Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) if kind == Kind::Folder => Ok(None),
        Err(e) => Err(errno::failure(e)),
    }
}

fn build(place: &Place, stat: &Statx, target: Option<&[u8]>, xattrs: Option<Xattrs>) -> Meta {
    let kind = Kind::from_mode(u32::from(stat.stx_mode));
    Meta {
        kind,
        mode: u32::from(stat.stx_mode) & MODE_MASK,
        size: match (kind, target) {
            (Kind::Symlink, Some(target)) => target.len() as u64,
            (Kind::File, _) => stat.stx_size,
            _ => 0,
        },
        mtime: time(stat.stx_mtime),
        link_target: target.map(Arc::from),
        xattrs,
        version: token::of(stat, &place.fs.keeps, target).version(),
        file_id: place.fs.keeps.ino.then(|| file_id(stat)),
    }
}

/// The inode, and when it was made: the number of a removed file is given to the next new one, which
/// must not be taken for the old one under another name.
fn file_id(stat: &Statx) -> u64 {
    if stat.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return stat.stx_ino;
    }
    let made = (stat.stx_btime.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(stat.stx_btime.tv_nsec));
    stat.stx_ino ^ made.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

/// The marks of what is under a name, without more calls than that takes.
pub fn token(place: &Place, folder: &OwnedFd, name: &CStr, stat: &Statx) -> Result<Token, Errno> {
    let target = if u32::from(stat.stx_mode) & 0o170_000 == 0o120_000 {
        Some(rustix::fs::readlinkat(folder, name, Vec::new())?)
    } else {
        None
    };
    Ok(token::of(stat, &place.fs.keeps, target.as_ref().map(|t| t.to_bytes())))
}
