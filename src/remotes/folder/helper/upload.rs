//! New content on its way: written under a temporary name, sealed, then put in place.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_engine::model::Meta;
use rustix::fs::{Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::moves::{self, Refused, Replacement, Spot};
use super::place::{self, Place, proc_path, stat_at, stat_fd};
use super::pool::progress;
use super::temp::{self, Holds};
use super::token::{self, Token};
use super::{errno, guard, meta, xattr};
use crate::folder::protocol::{Failure, Upload as Request, WireMeta};
use crate::kinds::MODE_MASK;

/// One call writes so much: over a slow network each is to end well within the deadline.
const LOCAL_STEP_BYTES: usize = 1 << 20;
const NETWORK_STEP_BYTES: usize = 128 << 10;
const MIN_FLUSH_BYTES: u64 = 256 << 10;
const MAX_FLUSH_BYTES: u64 = 64 << 20;

pub struct Upload {
    place: Arc<Place>,
    request: Request,
    folder: Arc<OwnedFd>,
    name: CString,
    temp: CString,
    /// The temporary name is no longer ours to remove.
    settled: AtomicBool,
    fd: OwnedFd,
    end: AtomicU64,
    unflushed: AtomicU64,
    flush_every: AtomicU64,
}

impl Upload {
    pub fn begin(place: &Arc<Place>, request: Request) -> Result<Upload, Failure> {
        let (folder, name) = place.parent(&request.path)?;
        match &request.replaces {
            None => guard::absent(place, &folder, &name)?,
            Some(version) => {
                guard::is(place, &folder, &name, version)?;
            }
        }
        // An exchange puts the old content under this name.
        let swaps = request.replaces.is_some() && Place::is(&place.rename_flags);
        let temp = temp::name(place, if swaps { Holds::PerhapsTheirs } else { Holds::OnlyOurs })?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&folder, &temp, flags, Mode::RUSR | Mode::WUSR).map_err(errno::failure)?;
        let upload = Upload {
            place: place.clone(),
            folder,
            name,
            temp,
            settled: AtomicBool::new(false),
            fd,
            end: AtomicU64::new(0),
            unflushed: AtomicU64::new(0),
            flush_every: AtomicU64::new(if place.fs.local { 8 << 20 } else { 1 << 20 }),
            request,
        };
        if upload.request.from_old {
            upload.copy_old()?;
        }
        Ok(upload)
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let step = if self.place.fs.local { LOCAL_STEP_BYTES } else { NETWORK_STEP_BYTES };
        let mut at = offset;
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                let n = match rustix::io::pwrite(&self.fd, rest, at) {
                    Ok(0) => return Err(Failure::Io("nothing can be written".into())),
                    Ok(n) => n,
                    Err(Errno::INTR) => continue,
                    Err(e) => return Err(errno::failure(e)),
                };
                at += n as u64;
                rest = &rest[n..];
                progress();
            }
        }
        self.end.fetch_max(at, Ordering::Relaxed);
        self.flush_some(bytes.len() as u64)
    }

    /// So that the last `fsync` has little left: one that takes minutes looks like a hung server.
    fn flush_some(&self, written: u64) -> Result<(), Failure> {
        let every = self.flush_every.load(Ordering::Relaxed);
        if self.unflushed.fetch_add(written, Ordering::Relaxed) + written < every {
            return Ok(());
        }
        self.unflushed.store(0, Ordering::Relaxed);
        let start = Instant::now();
        match rustix::fs::fdatasync(&self.fd) {
            Err(e) if !errno::lacks(e) => return Err(errno::failure(e)),
            _ => progress(),
        }
        let took = start.elapsed();
        if took > Duration::from_secs(1) {
            self.flush_every.store((every / 2).max(MIN_FLUSH_BYTES), Ordering::Relaxed);
        } else if took < Duration::from_millis(250) {
            self.flush_every.store((every * 2).min(MAX_FLUSH_BYTES), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The content of the version that is replaced, as the start of the new one.
    fn copy_old(&self) -> Result<(), Failure> {
        let Some(version) = &self.request.replaces else {
            return Ok(());
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let old =
            rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()).map_err(errno::failure)?;
        if rustix::fs::ioctl_ficlone(&self.fd, &old).is_err() {
            let (mut from, mut to) = (0, 0);
            let copy = |from: &mut u64, to: &mut u64| {
                rustix::fs::copy_file_range(&old, Some(from), &self.fd, Some(to), 8 << 20)
            };
            while copy(&mut from, &mut to).map_err(errno::failure)? > 0 {
                progress();
            }
        }
        let stat = stat_fd(&old).map_err(errno::failure)?;
        self.end.store(stat.stx_size, Ordering::Relaxed);
        if token::of(&stat, &self.place.fs.keeps, None).version() != *version {
            return Err(guard::changed(&self.place, &self.folder, &self.name));
        }
        Ok(())
    }

    /// Everything has been written: puts it in place.
    pub fn finish(&self) -> Result<Meta, Failure> {
        if self.request.replaces.is_some() {
            self.take_owner();
        }
        let ours = self.seal()?;
        let spot = Spot { folder: &self.folder, name: &self.name };
        let temp = Spot { folder: &self.folder, name: &self.temp };
        match &self.request.replaces {
            None => {
                self.place.gate("swap");
                moves::no_replace(&self.place, temp, spot)?;
            }
            Some(version) => {
                let old = guard::is(&self.place, &self.folder, &self.name, version)?;
                let replacement = Replacement {
                    place: &self.place,
                    folder: &self.folder,
                    name: &self.name,
                    temp: &self.temp,
                    ours: &ours,
                    old: &old,
                };
                match replacement.run() {
                    Ok(()) => {}
                    Err(Refused::Clean(failure)) => return Err(failure),
                    Err(Refused::Keep(failure)) => {
                        self.settled.store(true, Ordering::Relaxed);
                        return Err(failure);
                    }
                }
            }
        }
        self.settled.store(true, Ordering::Relaxed);
        progress();
        place::sync_folder(&self.folder)?;
        self.now(&ours)
    }

    /// Gives the file its length and attributes and brings it to disk; the marks it has then.
    fn seal(&self) -> Result<Token, Failure> {
        if self.end.load(Ordering::Relaxed) != self.request.size {
            rustix::fs::ftruncate(&self.fd, self.request.size).map_err(errno::failure)?;
        }
        if !self.place.fs.local {
            // Before the times are set: what is written later would change them.
            place::sync(&self.fd)?;
            progress();
        }
        set_attributes(&self.place, &self.fd, &self.request.meta)?;
        place::sync(&self.fd)?;
        progress();
        self.mine()
    }

    fn mine(&self) -> Result<Token, Failure> {
        let stat = stat_fd(&self.fd).map_err(errno::failure)?;
        Ok(token::of(&stat, &self.place.fs.keeps, None))
    }

    /// Owner, group and access list of what is replaced, as far as we may give them. They do not
    /// count for a version, and nothing fails for want of them.
    fn take_owner(&self) {
        let (Ok(old), Ok(new)) = (stat_at(&self.folder, &self.name, false), stat_fd(&self.fd)) else {
            return;
        };
        xattr::copy_access_list(&xattr::path_in(&self.folder, &self.name), &proc_path(&self.fd));
        if (old.stx_uid, old.stx_gid) == (new.stx_uid, new.stx_gid) {
            return;
        }
        let gid = Some(rustix::fs::Gid::from_raw(old.stx_gid));
        if rustix::fs::fchown(&self.fd, Some(rustix::fs::Uid::from_raw(old.stx_uid)), gid).is_err() {
            let _ = rustix::fs::fchown(&self.fd, None, gid);
        }
    }

    /// What the engine is told. Read off the open file, not the name: there may be another by now.
    /// Where somebody wrote into it already, the version is the one it had before that, which
    /// never comes again: the engine will see a change.
    fn now(&self, ours: &Token) -> Result<Meta, Failure> {
        let mut now = meta::of_fd(&self.place, &self.fd)?;
        if !Token::parse(&now.version).is_some_and(|t| t.same_but_ctime(ours)) {
            now.version = ours.version();
        }
        Ok(now)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Relaxed) {
            let _ = moves::unlink(Spot { folder: &self.folder, name: &self.temp });
        }
    }
}

pub fn timestamps(mtime: holdfast_engine::model::Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs(), tv_nsec: mtime.subsec_nanos().into() },
    }
}

/// What the location cannot represent is left out.
pub fn set_attributes(place: &Place, fd: &OwnedFd, meta: &WireMeta) -> Result<(), Failure> {
    let wanted = |result: Result<(), Errno>, kept: bool| match result {
        Err(e) if kept => Err(errno::failure(e)),
        _ => Ok(()),
    };
    let mode = Mode::from_raw_mode(meta.mode & MODE_MASK);
    wanted(rustix::fs::fchmod(fd, mode), Place::is(&place.modes))?;
    if let (Some(xattrs), true) = (&meta.xattrs, Place::is(&place.xattrs)) {
        xattr::write(&proc_path(fd), xattrs).map_err(errno::failure)?;
    }
    wanted(rustix::fs::futimens(fd, &timestamps(meta.mtime)), Place::is(&place.set_times))
}
