//! Folders, links, removing and renaming.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use holdfast_engine::model::{LocPath, Meta, Version};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::moves::{self, Spot};
use super::place::{self, Place, proc_path, stat_at};
use super::token::Token;
use super::{errno, guard, list, meta, temp, xattr};
use crate::folder::protocol::{Failure, Lacking, WireMeta};
use crate::kinds::MODE_MASK;

pub fn create_folder(place: &Place, path: &LocPath, wanted: &WireMeta) -> Result<Meta, Failure> {
    let (folder, name) = place.parent(path)?;
    let mode = Mode::from_raw_mode(wanted.mode & MODE_MASK);
    match rustix::fs::mkdirat(&folder, &name, mode) {
        Err(Errno::EXIST) => return Err(guard::changed(place, &folder, &name)),
        other => other.map_err(errno::naming)?,
    }
    // The umask took bits; whoever put another folder there meanwhile keeps theirs.
    let mine = list::open_folder(&folder, &name)?;
    let chmod = rustix::fs::fchmod(&mine, mode);
    if Place::is(&place.modes) {
        chmod.map_err(errno::failure)?;
    }
    if let (Some(xattrs), true) = (&wanted.xattrs, Place::is(&place.xattrs)) {
        xattr::write(&proc_path(&mine), xattrs).map_err(errno::failure)?;
    }
    place::sync(&mine)?;
    place::sync_folder(&folder)?;
    meta::of(place, &folder, &name, false)
}

pub fn create_symlink(place: &Place, path: &LocPath, target: &[u8]) -> Result<Meta, Failure> {
    let (folder, name) = place.parent(path)?;
    match rustix::fs::symlinkat(target, &folder, &name) {
        Err(Errno::EXIST) => return Err(guard::changed(place, &folder, &name)),
        Err(e) if errno::lacks(e) || e == Errno::PERM => {
            return Err(Failure::Unsupported(Lacking::Symlinks));
        }
        other => other.map_err(errno::naming)?,
    }
    let made = match meta::of(place, &folder, &name, false) {
        // It takes such a link but does not let it be read: to us that is no link.
        Err(failure @ Failure::Forbidden(_)) => {
            let _ = moves::unlink(Spot { folder: &folder, name: &name });
            return Err(failure);
        }
        other => other?,
    };
    place::sync_folder(&folder)?;
    if made.link_target.as_deref() == Some(target) {
        Ok(made)
    } else {
        Err(Failure::Changed(Some(Box::new(made))))
    }
}

pub fn create_link(
    place: &Place,
    existing: &LocPath,
    version: &Version,
    path: &LocPath,
) -> Result<Meta, Failure> {
    if !Place::is(&place.hard_links) {
        return Err(Failure::Unsupported(Lacking::HardLinks));
    }
    let (old_folder, old_name) = place.parent(existing)?;
    let (folder, name) = place.parent(path)?;
    let old = guard::is(place, &old_folder, &old_name, version)?;
    place.gate("link");
    match rustix::fs::linkat(&old_folder, &old_name, &folder, &name, AtFlags::empty()) {
        Err(Errno::EXIST) => return Err(guard::changed(place, &folder, &name)),
        Err(e) if errno::lacks(e) => return Err(Failure::Unsupported(Lacking::HardLinks)),
        other => other.map_err(errno::naming)?,
    }
    let spot = Spot { folder: &folder, name: &name };
    if !guard::look(place, &folder, &name)?.same_but_ctime(&old) {
        // Another file had come to the old path, and now has this name too: it keeps the first.
        let _ = moves::unlink(spot);
        return Err(guard::changed(place, &old_folder, &old_name));
    }
    place::sync_folder(&folder)?;
    exactly(place, &folder, &name, &old)
}

/// What is at the name, if it still is the file that was meant.
fn exactly(place: &Place, folder: &OwnedFd, name: &CStr, file: &Token) -> Result<Meta, Failure> {
    let now = meta::of(place, folder, name, true)?;
    match Token::parse(&now.version) {
        Some(token) if token.same_but_ctime(file) => Ok(now),
        _ => Err(Failure::Changed(Some(Box::new(now)))),
    }
}

pub fn remove_file(place: &Place, path: &LocPath, version: &Version) -> Result<(), Failure> {
    let (folder, name) = place.parent(path)?;
    let old = guard::is(place, &folder, &name, version)?;
    if kind(&folder, &name)? == 0o040_000 {
        return Err(Failure::Forbidden("it is a folder".into()));
    }
    moves::remove(place, Spot { folder: &folder, name: &name }, &old)?;
    place::sync_folder(&folder)
}

fn kind(folder: &OwnedFd, name: &CStr) -> Result<u32, Failure> {
    Ok(u32::from(stat_at(folder, name, false).map_err(errno::failure)?.stx_mode) & 0o170_000)
}

pub fn remove_folder(place: &Place, path: &LocPath) -> Result<(), Failure> {
    let (folder, name) = place.parent(path)?;
    let rmdir = || rustix::fs::unlinkat(&folder, &name, AtFlags::REMOVEDIR);
    match rmdir() {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            clear_leftovers(place, path)?;
            rmdir().map_err(|e| if e == Errno::EXIST { Failure::NotEmpty } else { errno::failure(e) })?;
        }
        Err(Errno::NOTDIR) => return Err(guard::changed(place, &folder, &name)),
        other => other.map_err(errno::failure)?,
    }
    place::sync_folder(&folder)
}

/// Removes our own temporary names from a folder that holds nothing else. One that may hold somebody
/// else's bytes keeps the folder: who asked looks at it first.
fn clear_leftovers(place: &Place, path: &LocPath) -> Result<(), Failure> {
    let folder = place.folder(path)?;
    let names = list::names(&folder)?;
    if names.iter().any(|name| !temp::is_only_ours(place, name.to_bytes())) {
        return Err(Failure::NotEmpty);
    }
    for name in names.iter() {
        moves::unlink(Spot { folder: &folder, name }).map_err(errno::failure)?;
    }
    Ok(())
}

pub fn rename(
    place: &Place,
    from: &LocPath,
    version: Option<&Version>,
    to: &LocPath,
) -> Result<Meta, Failure> {
    let (old_folder, old_name) = place.parent(from)?;
    let (folder, name) = place.parent(to)?;
    let old = match version {
        Some(version) => guard::is(place, &old_folder, &old_name, version)?,
        None => guard::look(place, &old_folder, &old_name)?,
    };
    place.gate("rename");
    let first = Spot { folder: &old_folder, name: &old_name };
    let second = Spot { folder: &folder, name: &name };
    moves::no_replace(place, first, second)?;
    match exactly(place, &folder, &name, &old) {
        Ok(now) => {
            place::sync_folder(&folder)?;
            place::sync_folder(&old_folder)?;
            Ok(now)
        }
        // Not what was meant: back, unless somebody has taken the old name meanwhile.
        Err(_) => match moves::no_replace(place, second, first) {
            Ok(()) => Err(guard::changed(place, &old_folder, &old_name)),
            Err(_) => Err(Failure::Changed(None)),
        },
    }
}
