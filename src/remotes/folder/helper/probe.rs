//! What the file system under the location can do, tried on a temporary file in its root.
//!
//! Where nothing can be written there (a read-only or full share) what needs trying is told as missing;
//! exchange and hard links are still used once something can be.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_engine::model::{Confidence, Time};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::errno;
use super::moves::{self, Spot};
use super::place::{Place, proc_path, stat_at, stat_fd};
use super::temp::{self, Holds};
use super::token::time;
use super::upload::timestamps;
use crate::folder::protocol::{Failure, WireCapabilities};

/// Temporary files of the probe; gone when it is over.
struct Scratch<'a> {
    folder: &'a OwnedFd,
    names: Vec<CString>,
}

impl Scratch<'_> {
    fn file(&mut self, place: &Place) -> Result<Option<(CString, OwnedFd)>, Failure> {
        let name = temp::name(place, Holds::OnlyOurs)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(self.folder, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd,
            // It is so now, and can be otherwise later.
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::NOSPC | Errno::DQUOT) => return Ok(None),
            Err(e) => return Err(errno::failure(e)),
        };
        self.names.push(name.clone());
        Ok(Some((name, fd)))
    }

    fn name(&mut self, place: &Place) -> Result<CString, Failure> {
        let name = temp::name(place, Holds::OnlyOurs)?;
        self.names.push(name.clone());
        Ok(name)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = moves::unlink(Spot { folder: self.folder, name });
        }
    }
}

pub fn run(place: &Place) -> Result<WireCapabilities, Failure> {
    let root = place.root()?;
    let mut scratch = Scratch { folder: &root, names: Vec::new() };
    let mut found = WireCapabilities {
        exchange: false,
        atomic_replace: true,
        file_ids: place.fs.keeps.ino,
        symlinks: false,
        hard_links: false,
        modes: false,
        xattrs: false,
        set_times: false,
        time_step: place.fs.keeps.step,
        ranged_write: false,
        case_sensitive: true,
        watches: place.fs.local,
        confidence: if place.fs.local && place.fs.caveat.is_empty() {
            Confidence::Sure
        } else {
            Confidence::Guessed
        },
        caveat: place.fs.caveat.to_owned(),
    };
    if let Some((name, file)) = scratch.file(place)? {
        names(place, &mut scratch, &name, &mut found)?;
        attributes(place, &file, &mut found);
        found.ranged_write = clones(place, &mut scratch, &file)?;
        place.rename_flags.store(found.exchange, Ordering::Relaxed);
        place.hard_links.store(found.hard_links, Ordering::Relaxed);
    }
    if !found.exchange {
        let window =
            "Between the last look and a replacement lies a moment in which a change by others can be lost.";
        found.caveat =
            if found.caveat.is_empty() { window.into() } else { format!("{} {window}", found.caveat) };
        found.confidence = Confidence::Guessed;
    }
    place.xattrs.store(found.xattrs, Ordering::Relaxed);
    place.modes.store(found.modes, Ordering::Relaxed);
    place.set_times.store(found.set_times, Ordering::Relaxed);
    Ok(found)
}

fn names(
    place: &Place,
    scratch: &mut Scratch<'_>,
    name: &CStr,
    found: &mut WireCapabilities,
) -> Result<(), Failure> {
    let folder = scratch.folder;
    if !place.pretend.no_rename_flags
        && let Some((other, _)) = scratch.file(place)?
    {
        let flags = RenameFlags::EXCHANGE;
        found.exchange = rustix::fs::renameat_with(folder, name, folder, &other, flags).is_ok();
    }
    if !place.pretend.no_hard_links {
        let other = scratch.name(place)?;
        found.hard_links = rustix::fs::linkat(folder, name, folder, &other, AtFlags::empty()).is_ok();
    }
    let other = scratch.name(place)?;
    found.symlinks = rustix::fs::symlinkat(c"nowhere", folder, &other).is_ok();
    let upper = CString::new(name.to_bytes().to_ascii_uppercase()).expect("made of a CStr");
    found.case_sensitive = stat_at(folder, &upper, false).is_err();
    Ok(())
}

fn attributes(place: &Place, file: &OwnedFd, found: &mut WireCapabilities) {
    const ODD_MODE: u32 = 0o604;
    let path = proc_path(file);
    found.modes = rustix::fs::fchmod(file, Mode::from_raw_mode(ODD_MODE)).is_ok()
        && stat_fd(file).is_ok_and(|s| u32::from(s.stx_mode) & 0o777 == ODD_MODE);
    let name = c"user.holdfast.probe";
    found.xattrs = rustix::fs::setxattr(&path, name, b"1", XattrFlags::empty()).is_ok();
    const ODD_TIME: Time = Time(1_234_567_891_123_456_789);
    if rustix::fs::futimens(file, &timestamps(ODD_TIME)).is_ok()
        && let Ok(stat) = stat_fd(file)
    {
        let kept = time(stat.stx_mtime);
        found.set_times = kept.secs() / 2 == ODD_TIME.secs() / 2;
        found.time_step = place.fs.keeps.step.max(step(ODD_TIME.since(kept)));
    }
}

/// From how far a time was cut down to the steps that it is kept in.
fn step(cut: Duration) -> Duration {
    let steps = [1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000];
    let cut = cut.as_nanos();
    Duration::from_nanos(steps.into_iter().find(|&s| cut < u128::from(s)).unwrap_or(2_000_000_000))
}

/// Whether a new file can begin as a copy of an old one without its bytes being moved.
fn clones(place: &Place, scratch: &mut Scratch<'_>, file: &OwnedFd) -> Result<bool, Failure> {
    if place.pretend.copy_for_ranges {
        return Ok(true);
    }
    let Some((_, other)) = scratch.file(place)? else {
        return Ok(false);
    };
    Ok(rustix::io::pwrite(file, &[1; 4096], 0).is_ok() && rustix::fs::ioctl_ficlone(&other, file).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_what_was_cut() {
        assert_eq!(step(Duration::ZERO), Duration::from_nanos(1));
        assert_eq!(step(Duration::from_nanos(89)), Duration::from_nanos(100));
        assert_eq!(step(Duration::from_nanos(123_456_789)), Duration::from_secs(1));
        assert_eq!(step(Duration::from_nanos(1_123_456_789)), Duration::from_secs(2));
    }
}
