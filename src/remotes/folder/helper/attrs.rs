//! Changing attributes of what is there already.

use std::os::fd::OwnedFd;

use holdfast_engine::model::{LocPath, Meta, Version};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::place::{self, Place, proc_path, stat_fd};
use super::token::{self, Token};
use super::upload::timestamps;
use super::{errno, guard, meta, xattr};
use crate::folder::protocol::{Failure, WireSet};
use crate::kinds::MODE_MASK;

/// Between the look and the change somebody can write: seen afterwards by size and time, except
/// that a time which we set covers theirs.
pub fn set(place: &Place, path: &LocPath, version: Option<&Version>, set: &WireSet) -> Result<Meta, Failure> {
    let (folder, name) = place.parent(path)?;
    let before = match version {
        Some(version) => guard::is(place, &folder, &name, version)?,
        None => guard::look(place, &folder, &name)?,
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&folder, &name, flags, Mode::empty()).map_err(errno::failure)?;
    let stat = stat_fd(&fd).map_err(errno::failure)?;
    if u32::from(stat.stx_mode) & 0o170_000 == 0o120_000 {
        if let (Some(mtime), true) = (set.mtime, Place::is(&place.set_times)) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(&folder, &name, &timestamps(mtime), flags).map_err(errno::failure)?;
        }
        return meta::of(place, &folder, &name, true);
    }
    if version.is_some() && token::of(&stat, &place.fs.keeps, None) != before {
        return Err(guard::changed(place, &folder, &name));
    }
    change(place, &fd, set)?;
    let now = meta::of_fd(place, &fd)?;
    let after = Token::parse(&now.version);
    let same = |after: &Token| {
        after.same_file_and_size(&before) && (set.mtime.is_some() || after.same_mtime(&before))
    };
    if version.is_some() && !after.as_ref().is_some_and(same) {
        return Err(Failure::Changed(Some(Box::new(now))));
    }
    Ok(now)
}

fn change(place: &Place, fd: &OwnedFd, set: &WireSet) -> Result<(), Failure> {
    let path = proc_path(fd);
    if let (Some(mode), true) = (set.mode, Place::is(&place.modes)) {
        let mode = Mode::from_raw_mode(mode & MODE_MASK);
        rustix::fs::chmodat(CWD, &path, mode, AtFlags::empty()).map_err(errno::failure)?;
    }
    if let (Some(xattrs), true) = (&set.xattrs, Place::is(&place.xattrs)) {
        xattr::write(&path, xattrs).map_err(errno::failure)?;
    }
    if let (Some(mtime), true) = (set.mtime, Place::is(&place.set_times)) {
        rustix::fs::utimensat(CWD, &path, &timestamps(mtime), AtFlags::empty()).map_err(errno::failure)?;
    }
    match rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(readable) => place::sync(&readable),
        // A file that may not be read: its attributes come to disk when the system likes.
        Err(Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(e) => Err(errno::failure(e)),
    }
}
