//! Changing a mutable content.

use std::io;
use std::ops::Range;

use parking_lot::RwLockUpgradableReadGuard;

use super::account::own_bytes;
use super::flags::Flag;
use super::overlay::{MANY_RANGES, Overlay};
use super::state::{Content, State};
use super::{BLOCK, COPIED_WHOLE, ContentError};
use crate::store::persist::StoreFile;

impl Content {
    /// Writes, and makes the content longer where the data ends past it; what lies between is zero.
    /// Tells whether the row is another one now.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<bool, ContentError> {
        if data.is_empty() {
            return Ok(false);
        }
        let state = self.state.upgradable_read();
        let range = self.writable(&state, offset, data.len() as u64)?;
        if range.end > state.size {
            self.trim_in(&state)?;
        }
        let file = self.store.handles.open_or_create(state.file)?;
        let own = match state.overlay() {
            Some(overlay) => self.claim(&state, overlay, &*file, range.clone())?,
            None => range.clone(),
        };
        if offset > state.size {
            state.flags.set(Flag::Uneven, true);
        }
        let written = file.write_at(offset, data);
        state.set_dirty();
        if let Err(error) = written {
            state.flags.set(Flag::Tail, true);
            state.flags.set(Flag::Uneven, true);
            return Err(error.into());
        }
        let grows = range.end > state.size;
        let news = state.overlay().is_some_and(|overlay| !overlay.changed.contains_all(&own));
        if grows || news {
            let mut state = RwLockUpgradableReadGuard::upgrade(state);
            let before = own_bytes(&state);
            state.size = state.size.max(range.end);
            if let Some(overlay) = state.overlay_mut() {
                overlay.changed.insert(own);
            }
            self.count(&state.flags, before, own_bytes(&state));
        }
        Ok(grows || news)
    }

    /// Makes it as long as this; what is new is zero. Tells whether the row is another one now.
    ///
    /// What is cut off leaves the file only with the next change past the end or the next sync: until
    /// the row is in the journal a crash of the process must find it there.
    pub fn truncate(&self, size: u64) -> Result<bool, ContentError> {
        let state = self.state.upgradable_read();
        self.writable(&state, size, 0)?;
        if size == state.size {
            return Ok(false);
        }
        state.flags.set(Flag::Uneven, true);
        if size > state.size {
            self.trim_in(&state)?;
            if state.overlay().is_none() {
                self.store.handles.open_or_create(state.file)?.truncate(size)?;
            }
        }
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let before = own_bytes(&state);
        if size < state.size {
            state.flags.set(Flag::Tail, true);
            if let Some(overlay) = state.overlay_mut() {
                overlay.limit = overlay.limit.min(size);
                overlay.changed.remove(size..u64::MAX);
            }
        }
        state.size = size;
        self.count(&state.flags, before, own_bytes(&state));
        state.set_dirty();
        Ok(true)
    }

    /// The range reads as zero from now on; the size stays. Tells whether the row is another one now.
    pub fn punch(&self, range: Range<u64>) -> Result<bool, ContentError> {
        let state = self.state.upgradable_read();
        self.writable(&state, range.start, 0)?;
        let range = range.start..range.end.min(state.size);
        if range.start >= range.end {
            return Ok(false);
        }
        let file = self.store.handles.open_or_create(state.file)?;
        let Some(overlay) = state.overlay() else {
            state.flags.set(Flag::Uneven, true);
            file.punch(range)?;
            state.set_dirty();
            return Ok(false);
        };
        // Past the limit zero needs no range.
        let limit = overlay.limit;
        let below = range.start..range.end.min(limit);
        let above = range.start.max(limit)..range.end;
        let own = match below.is_empty() {
            true => below,
            false => self.claim(&state, overlay, &*file, below)?,
        };
        file.punch(range)?;
        state.set_dirty();
        let mut changed = overlay.changed.clone();
        changed.remove(above);
        changed.insert(own);
        if changed == overlay.changed {
            return Ok(false);
        }
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let before = own_bytes(&state);
        if let Some(overlay) = state.overlay_mut() {
            overlay.changed = changed;
        }
        self.count(&state.flags, before, own_bytes(&state));
        Ok(true)
    }

    /// Makes sure of the space for the range; the content grows up to its end unless `keep_size`.
    /// Tells whether the row is another one now.
    pub fn allocate(&self, range: Range<u64>, keep_size: bool) -> Result<bool, ContentError> {
        let state = self.state.upgradable_read();
        self.writable(&state, range.start, range.end.saturating_sub(range.start))?;
        let grows = !keep_size && range.end > state.size;
        if grows {
            self.trim_in(&state)?;
        }
        let file = self.store.handles.open_or_create(state.file)?;
        state.flags.set(Flag::Uneven, true);
        let keep_length = keep_size || state.overlay().is_some();
        if let Err(error) = file.allocate(range.clone(), keep_length) {
            state.flags.set(Flag::Tail, true);
            return Err(error.into());
        }
        state.set_dirty();
        if grows {
            let mut state = RwLockUpgradableReadGuard::upgrade(state);
            let before = own_bytes(&state);
            state.size = range.end;
            self.count(&state.flags, before, own_bytes(&state));
        }
        Ok(grows)
    }

    /// Makes the file as long as the content: what is past the end goes off it.
    pub(super) fn trim(&self) -> io::Result<()> {
        let needed = self.state.read().flags.is(Flag::Tail);
        if needed { self.trim_in(&self.state.upgradable_read()) } else { Ok(()) }
    }

    pub(super) fn trim_in(&self, state: &RwLockUpgradableReadGuard<'_, State>) -> io::Result<()> {
        if !state.flags.is(Flag::Tail) {
            return Ok(());
        }
        // A crash of the machine may have lost a file that was never synced.
        let file = self.store.handles.open_or_create(state.file)?;
        let len = file.len()?;
        if len > state.size || len < state.size && state.overlay().is_none() {
            file.truncate(state.size)?;
            state.set_dirty();
        }
        state.flags.set(Flag::Tail, false);
        Ok(())
    }

    /// The range, where it may be written.
    fn writable(&self, state: &State, offset: u64, len: u64) -> Result<Range<u64>, ContentError> {
        if state.sealed {
            return Err(ContentError::Sealed { content: self.id() });
        }
        match offset.checked_add(len) {
            Some(end) if end <= i64::MAX as u64 => Ok(offset..end),
            _ => Err(ContentError::Io(io::ErrorKind::FileTooLarge.into())),
        }
    }

    /// The range that becomes an overlay's own when `range` is written: where there are many already
    /// it is rounded to whole blocks, and the bytes around `range` are brought into the own file.
    fn claim(
        &self,
        state: &State,
        overlay: &Overlay,
        file: &dyn StoreFile,
        range: Range<u64>,
    ) -> Result<Range<u64>, ContentError> {
        if overlay.changed.len() < MANY_RANGES || overlay.changed.contains_all(&range) {
            return Ok(range);
        }
        let end = range.end.next_multiple_of(BLOCK).min(state.size.max(range.end));
        let outer = range.start / BLOCK * BLOCK..end;
        for around in [outer.start..range.start, range.end..outer.end] {
            for (piece, own) in overlay.changed.pieces(around) {
                if !own {
                    let mut data = vec![0; (piece.end - piece.start) as usize];
                    let here = state.size.clamp(piece.start, piece.end) - piece.start;
                    self.read_raw(state, piece.start, &mut data[..here as usize])?;
                    file.write_at(piece.start, &data)?;
                }
            }
        }
        Ok(outer)
    }

    /// Makes this new, empty content a copy of another.
    pub(super) fn copy_of(&self, of: &Content, size: u64) -> Result<(), ContentError> {
        let mut buf = vec![0; size.min(COPIED_WHOLE) as usize];
        let mut at = 0;
        while at < size {
            let got = of.read_at(at, &mut buf)?;
            if got == 0 {
                break;
            }
            let data = &buf[..got];
            if data.iter().any(|byte| *byte != 0) {
                self.write_at(at, data)?;
            }
            at += got as u64;
        }
        self.truncate(size)?;
        Ok(())
    }
}
