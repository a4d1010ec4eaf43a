//! What is in a folder.
//!
//! The names are read first, and again where the folder changed meanwhile: a name that somebody
//! gives an entry during the reading could be missed, and must not look deleted. Then the entries
//! are looked at in parts, by all threads, and sent as they come.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_engine::model::{LocPath, Meta, Name};
use holdfast_engine::remote::TEMP_PREFIX;
use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::place::{self, Place, stat_at, stat_fd};
use super::pool::{Pool, progress};
use super::token::time;
use super::{errno, meta, output::Output, temp};
use crate::folder::protocol::{Answer, Failure};

/// A folder with more is refused: memory is bounded for any listing.
const MAX_NAMES: usize = 5_000_000;
/// So many entries are one part of the work.
const PART: usize = 256;
const TRIES: usize = 3;
const BUFFER_BYTES: usize = 64 << 10;

/// Names end to end, each with its NUL.
#[derive(Default)]
pub struct Names {
    bytes: Vec<u8>,
    count: usize,
}

impl Names {
    fn push(&mut self, name: &CStr) {
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.count += 1;
    }

    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.bytes.split_inclusive(|&b| b == 0).filter_map(|n| CStr::from_bytes_with_nul(n).ok())
    }
}

/// A folder for reading, by its name in another; never through a link.
pub fn open_folder(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(errno::failure)
}

/// All names in a folder, temporary ones too.
pub fn names(folder: &OwnedFd) -> Result<Names, Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        let fd = place::readable(folder).map_err(errno::failure)?;
        let stamp = || stat_fd(&fd).map(|s| (time(s.stx_mtime), time(s.stx_ctime))).map_err(errno::failure);
        let before = stamp()?;
        let found = read_names(&fd)?;
        if tries == TRIES || before == stamp()? {
            return Ok(found);
        }
    }
}

fn read_names(fd: &OwnedFd) -> Result<Names, Failure> {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut dir = RawDir::new(fd, &mut buffer);
    let mut found = Names::default();
    while let Some(entry) = dir.next() {
        match entry {
            Ok(entry) => match entry.file_name().to_bytes() {
                b"." | b".." => {}
                _ if found.count == MAX_NAMES => {
                    return Err(Failure::Io(format!("the folder holds more than {MAX_NAMES} names")));
                }
                _ => found.push(entry.file_name()),
            },
            Err(Errno::INTR) => {}
            Err(e) => return Err(errno::failure(e)),
        }
        if found.count % 1024 == 0 {
            progress();
        }
    }
    Ok(found)
}

/// One listing under way.
struct Run {
    place: Arc<Place>,
    folder: Arc<OwnedFd>,
    output: Arc<Output>,
    id: u64,
    parts_left: AtomicUsize,
    failure: Mutex<Option<Failure>>,
}

pub fn list(
    place: Arc<Place>,
    pool: &Arc<Pool>,
    output: Arc<Output>,
    id: u64,
    path: &LocPath,
) -> Result<(), Failure> {
    if path.is_root() {
        // A look at everything begins here: it must not see a folder that was moved away since.
        place.forget_root(false);
    }
    let folder = place.folder(path)?;
    let names = names(&folder)?;
    let visible = names.iter().filter(|n| !n.to_bytes().starts_with(TEMP_PREFIX));
    let mut parts = vec![Names::default()];
    for name in visible {
        if parts.last().is_some_and(|p| p.count == PART) {
            parts.push(Names::default());
        }
        if let Some(part) = parts.last_mut() {
            part.push(name);
        }
    }
    let run = Arc::new(Run {
        place,
        folder,
        output,
        id,
        parts_left: AtomicUsize::new(parts.len()),
        failure: Mutex::new(None),
    });
    let mut parts = parts.into_iter();
    let mine = parts.next();
    for part in parts {
        let run = run.clone();
        pool.push_first(move || run.part(&part));
    }
    if let Some(part) = mine {
        run.part(&part);
    }
    Ok(())
}

impl Run {
    fn part(&self, names: &Names) {
        if let Err(e) = self.look(names) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        }
        if self.parts_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.output.send(self.id, &failure.map_or(Answer::Done, Answer::Failed));
        }
    }

    fn look(&self, names: &Names) -> Result<(), Failure> {
        let mut entries = Vec::with_capacity(names.count);
        let mut refused = Vec::new();
        for name in names.iter() {
            match entry(&self.place, &self.folder, name) {
                Ok(entry) => entries.push(entry),
                // It vanished in between.
                Err(Failure::NotFound) => {}
                Err(failure) => {
                    refused.push((name.to_bytes().to_vec(), sentence(self.place.judge(failure))?))
                }
            }
            progress();
        }
        self.output.send(self.id, &Answer::Entries { entries, refused });
        Ok(())
    }
}

fn entry(place: &Place, folder: &OwnedFd, name: &CStr) -> Result<(Name, Meta), Failure> {
    let valid = Name::new(name.to_bytes()).map_err(|e| Failure::BadName(e.to_string()))?;
    let look = || {
        let stat = stat_at(folder, name, false).map_err(errno::failure)?;
        meta::with(place, folder, name, &stat)
    };
    // A cached handle of what was replaced on the server: the second look finds the new one.
    let meta = match look() {
        Err(Failure::Io(_)) => look(),
        other => other,
    };
    Ok((valid, meta?))
}

/// Why one entry cannot be had; what concerns the whole server fails the listing.
fn sentence(failure: Failure) -> Result<String, Failure> {
    match failure {
        Failure::Gone(_) => Err(failure),
        Failure::Forbidden(text) | Failure::BadName(text) | Failure::Io(text) | Failure::NoSpace(text) => {
            Ok(text)
        }
        _ => Ok("it cannot be read".into()),
    }
}

/// Our own temporary names in a folder.
pub fn leftovers(place: &Place, path: &LocPath) -> Result<Vec<(Name, Meta)>, Failure> {
    let folder = place.folder(path)?;
    let mut found = Vec::new();
    for name in names(&folder)?.iter().filter(|n| temp::is_ours(place, n.to_bytes())) {
        match entry(place, &folder, name) {
            Ok(entry) => found.push(entry),
            Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

/// The folders in a folder.
pub fn folders(folder: &OwnedFd) -> Result<Vec<CString>, Failure> {
    let found = names(folder)?;
    let is_folder = |name: &&CStr| {
        stat_at(folder, name, false).is_ok_and(|s| u32::from(s.stx_mode) & 0o170_000 == 0o040_000)
    };
    Ok(found.iter().filter(is_folder).map(CStr::to_owned).collect())
}
