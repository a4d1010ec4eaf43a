//! Giving something another name without ever overwriting one, and putting new content in place of
//! old without ever losing what was there: as far as the file system lets us, best way first.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::place::{Place, stat_at};
use super::temp::{self, Holds};
use super::token::Token;
use super::{errno, guard, meta};
use crate::folder::protocol::Failure;

/// A name in an open folder.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    pub folder: &'a OwnedFd,
    pub name: &'a CStr,
}

pub fn unlink(spot: Spot<'_>) -> Result<(), Errno> {
    rustix::fs::unlinkat(spot.folder, spot.name, AtFlags::empty())
}

fn link(from: Spot<'_>, to: Spot<'_>) -> Result<(), Errno> {
    rustix::fs::linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())
}

/// Renames, unless something has the new name: then `Changed`.
///
/// By `RENAME_NOREPLACE`; else by a second name and removing the first; else by looking and then
/// renaming, where between the two calls somebody's new file could be overwritten (of folders only
/// an empty one).
pub fn no_replace(place: &Place, from: Spot<'_>, to: Spot<'_>) -> Result<(), Failure> {
    let taken = || guard::changed(place, to.folder, to.name);
    if Place::is(&place.rename_flags) {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from.folder, from.name, to.folder, to.name, flags) {
            Err(Errno::EXIST) => return Err(taken()),
            // A folder into itself is refused in the same words.
            Err(e) if errno::lacks(e) && !is_folder(from) => {
                place.rename_flags.store(false, Ordering::Relaxed)
            }
            Err(e) if errno::lacks(e) => {}
            other => return other.map_err(errno::naming),
        }
    }
    if Place::is(&place.hard_links) && !is_folder(from) {
        match link(from, to) {
            Ok(()) => return unlink_first_name(place, from, to),
            Err(Errno::EXIST) => return Err(taken()),
            Err(Errno::NOENT) => return Err(Failure::NotFound),
            Err(e) if errno::lacks(e) || e == Errno::PERM => {}
            Err(e) => return Err(errno::naming(e)),
        }
    }
    guard::absent(place, to.folder, to.name)?;
    rustix::fs::renameat(from.folder, from.name, to.folder, to.name).map_err(|e| match e {
        Errno::EXIST | Errno::NOTEMPTY | Errno::ISDIR => taken(),
        e => errno::naming(e),
    })
}

fn is_folder(spot: Spot<'_>) -> bool {
    stat_at(spot.folder, spot.name, false).is_ok_and(|s| u32::from(s.stx_mode) & 0o170_000 == 0o040_000)
}

/// The file has both names now. Where somebody put another file at the first in between, that stays.
fn unlink_first_name(place: &Place, from: Spot<'_>, to: Spot<'_>) -> Result<(), Failure> {
    let moved = guard::look(place, to.folder, to.name)?;
    match guard::look(place, from.folder, from.name) {
        Ok(first) if first == moved => unlink(from).map_err(errno::failure),
        _ => {
            let _ = unlink(to);
            Err(Failure::Changed(None))
        }
    }
}

/// How a replacement ended: the new content is at the path, or a failure says what is where.
pub struct Replacement<'a> {
    pub place: &'a Place,
    pub folder: &'a OwnedFd,
    pub name: &'a CStr,
    /// Where the new content lies, complete and synced.
    pub temp: &'a CStr,
    /// The marks of the new content.
    pub ours: &'a Token,
    /// The marks of what is to be replaced.
    pub old: &'a Token,
}

/// Whether the temporary name may be removed after a failure, or holds something.
pub enum Refused {
    /// The new content is still under the temporary name.
    Clean(Failure),
    /// What is under the temporary name must stay.
    Keep(Failure),
}

impl Replacement<'_> {
    fn spot(&self) -> Spot<'_> {
        Spot { folder: self.folder, name: self.name }
    }

    fn temp_spot(&self) -> Spot<'_> {
        Spot { folder: self.folder, name: self.temp }
    }

    fn look(&self, name: &CStr) -> Result<Token, Failure> {
        guard::look(self.place, self.folder, name)
    }

    fn changed(&self) -> Failure {
        guard::changed(self.place, self.folder, self.name)
    }

    /// Somebody's content lies at `kept`; what is at the path now is told with it.
    fn displaced(&self, kept: &CStr) -> Failure {
        match meta::of(self.place, self.folder, self.name, true) {
            Ok(now) => Failure::Displaced { kept: temp::to_name(kept), now: Box::new(now) },
            // The path was emptied meanwhile: back with it.
            Err(_) => match no_replace(self.place, Spot { folder: self.folder, name: kept }, self.spot()) {
                Ok(()) => self.changed(),
                Err(_) => Failure::Io(format!(
                    "what was on the server is kept under the name {}",
                    kept.to_string_lossy()
                )),
            },
        }
    }

    pub fn run(&self) -> Result<(), Refused> {
        self.place.gate("swap");
        if Place::is(&self.place.rename_flags) {
            match self.exchange() {
                Ok(()) => return self.check_swapped(),
                Err(Errno::NOENT) => return Err(Refused::Clean(Failure::NotFound)),
                Err(e) if errno::lacks(e) => self.place.rename_flags.store(false, Ordering::Relaxed),
                Err(e) => return Err(Refused::Clean(errno::failure(e))),
            }
        }
        if Place::is(&self.place.hard_links) {
            let kept = temp::name(self.place, Holds::PerhapsTheirs).map_err(Refused::Clean)?;
            let keep = Spot { folder: self.folder, name: &kept };
            match link(self.spot(), keep) {
                Ok(()) => return self.rename_over_kept(&kept),
                Err(Errno::NOENT) => return Err(Refused::Clean(Failure::NotFound)),
                // Not for this file, or not at all: as where there are none.
                Err(_) => {}
            }
        }
        self.look_again().map_err(Refused::Clean)?;
        self.rename_over().map_err(Refused::Clean)
    }

    fn exchange(&self) -> Result<(), Errno> {
        let flags = RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(self.folder, self.temp, self.folder, self.name, flags)
    }

    /// What was swapped out lies under the temporary name: is it what we meant to replace?
    fn check_swapped(&self) -> Result<(), Refused> {
        self.place.gate("swapped");
        let out = self.look(self.temp).map_err(Refused::Keep)?;
        if out.same_but_ctime(self.old) {
            let _ = unlink(self.temp_spot());
            return Ok(());
        }
        if self.exchange().is_err() {
            return Err(Refused::Keep(self.displaced(self.temp)));
        }
        match self.look(self.temp) {
            Ok(back) if back.same_but_ctime(self.ours) => Err(Refused::Clean(self.changed())),
            // A third content was there by then: it is the newest, and stays beside.
            _ => Err(Refused::Keep(self.displaced(self.temp))),
        }
    }

    /// Without exchange: the old content has a second name by now, so a write into it is seen
    /// afterwards. Another file renamed to the path between the look and the rename is not.
    fn rename_over_kept(&self, kept: &CStr) -> Result<(), Refused> {
        let keep = Spot { folder: self.folder, name: kept };
        if let Err(e) = self.look_again().and_then(|()| self.rename_over()) {
            let _ = unlink(keep);
            return Err(Refused::Clean(e));
        }
        match self.look(kept) {
            Ok(old) if old.same_but_ctime(self.old) => {
                let _ = unlink(keep);
                Ok(())
            }
            // The new content is at the path: the temporary name is gone.
            Ok(_) => Err(Refused::Keep(self.displaced(kept))),
            Err(e) => Err(Refused::Keep(e)),
        }
    }

    fn look_again(&self) -> Result<(), Failure> {
        let now = self.look(self.name)?;
        if now.same_but_ctime(self.old) { Ok(()) } else { Err(self.changed()) }
    }

    fn rename_over(&self) -> Result<(), Failure> {
        self.place.gate("late");
        rustix::fs::renameat(self.folder, self.temp, self.folder, self.name).map_err(errno::failure)
    }
}

/// Takes the file at a name away, if it is `old`: moved aside, looked at, and then removed or moved
/// back; where nothing can be moved without overwriting, looked at once more and removed.
pub fn remove(place: &Place, spot: Spot<'_>, old: &Token) -> Result<(), Failure> {
    place.gate("remove");
    if Place::is(&place.rename_flags) {
        let aside: CString = temp::name(place, Holds::PerhapsTheirs)?;
        let to = Spot { folder: spot.folder, name: &aside };
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(spot.folder, spot.name, to.folder, to.name, flags) {
            Ok(()) => {
                let failure = match guard::look(place, to.folder, to.name) {
                    Ok(now) if now.same_but_ctime(old) => match unlink(to) {
                        Ok(()) => return Ok(()),
                        Err(e) => Some(errno::failure(e)),
                    },
                    Ok(_) => None,
                    Err(e) => Some(e),
                };
                return Err(match no_replace(place, to, spot) {
                    Ok(()) => failure.unwrap_or_else(|| guard::changed(place, spot.folder, spot.name)),
                    Err(Failure::Changed(Some(now))) => {
                        Failure::Displaced { kept: temp::to_name(&aside), now }
                    }
                    Err(other) => other,
                });
            }
            Err(e) if errno::lacks(e) => place.rename_flags.store(false, Ordering::Relaxed),
            Err(e) => return Err(errno::failure(e)),
        }
    }
    if !guard::look(place, spot.folder, spot.name)?.same_but_ctime(old) {
        return Err(guard::changed(place, spot.folder, spot.name));
    }
    unlink(spot).map_err(errno::failure)
}
