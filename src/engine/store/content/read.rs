//! Reading, and the comparison of blocks with their sums.

use std::ops::Range;

use parking_lot::RwLockUpgradableReadGuard;

use super::flags::Flag;
use super::map::{self, ABSENT, Sum, bytes_of};
use super::overlay::Part;
use super::state::{Content, State};
use super::{BLOCK, ContentError};
use crate::model::Digest;

/// Why a read did not come to its end.
pub(super) enum Halt {
    Error(ContentError),
    /// A block of a version that is not whole does not match its sum: a crash left it.
    Untrue(u64),
}

impl<E: Into<ContentError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Error(error.into())
    }
}

impl Content {
    /// Fills `buf` from `offset`; short only at the end of the content. Nothing is served that is
    /// not here, and of a sealed content nothing that does not match its sum.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, ContentError> {
        loop {
            let state = self.state.read();
            let len = (buf.len() as u64).min(state.size.saturating_sub(offset)) as usize;
            match self.read_checked(&state, offset, &mut buf[..len]) {
                Ok(()) => return Ok(len),
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Untrue(block)) => {
                    drop(state);
                    self.distrust(block)?;
                }
            }
        }
    }

    fn read_checked(&self, state: &State, offset: u64, buf: &mut [u8]) -> Result<(), Halt> {
        if !state.sealed || buf.is_empty() {
            return Ok(self.read_raw(state, offset, buf)?);
        }
        let end = offset + buf.len() as u64;
        self.require(state, offset..end)?;
        // Bytes from `from` on are of blocks known to be right, and not read yet.
        let mut from = offset;
        let mut scratch = Vec::new();
        for block in offset / BLOCK..map::count(end) {
            if self.is_checked(state, block)? {
                continue;
            }
            let bytes = bytes_of(block, state.size);
            let here = bytes.start.max(offset)..bytes.end.min(end);
            self.read_raw(state, from, &mut buf[(from - offset) as usize..(here.start - offset) as usize])?;
            let target = &mut buf[(here.start - offset) as usize..(here.end - offset) as usize];
            if here == bytes {
                self.read_raw(state, bytes.start, target)?;
                self.compare(state, block, target)?;
            } else {
                scratch.resize((bytes.end - bytes.start) as usize, 0);
                self.read_raw(state, bytes.start, &mut scratch)?;
                self.compare(state, block, &scratch)?;
                let inside = (here.start - bytes.start) as usize..(here.end - bytes.start) as usize;
                target.copy_from_slice(&scratch[inside]);
            }
            from = here.end;
        }
        Ok(self.read_raw(state, from, &mut buf[(from - offset) as usize..])?)
    }

    /// `NotHere`, from the first to the last block that is missing in the range.
    pub(super) fn require(&self, state: &State, range: Range<u64>) -> Result<(), ContentError> {
        if state.whole || range.is_empty() {
            return Ok(());
        }
        let not_here = |range| ContentError::NotHere { content: self.id(), range };
        let blocks = range.start / BLOCK..map::count(range.end);
        let Some(known) = self.blocks(state)? else {
            return Err(not_here(0..state.size));
        };
        let Some(first) = blocks.clone().find(|block| !known.is_present(*block)) else {
            return Ok(());
        };
        let last = blocks.rev().find(|block| !known.is_present(*block)).unwrap_or(first);
        Err(not_here(first * BLOCK..bytes_of(last, state.size).end))
    }

    /// The block needs no comparison before it is served.
    fn is_checked(&self, state: &State, block: u64) -> Result<bool, ContentError> {
        if state.overlay().is_some_and(|overlay| overlay.inherits(block, state.size)) {
            // Compared where it is read: in the content under this.
            return Ok(true);
        }
        Ok(match self.blocks(state)? {
            Some(blocks) => {
                blocks.checked.get(block) || blocks.taken.load(std::sync::atomic::Ordering::Acquire)
            }
            None => state.flags.is(Flag::Checked),
        })
    }

    /// Compares a block, as it was just read, with its sum.
    pub(super) fn compare(&self, state: &State, block: u64, data: &[u8]) -> Result<(), Halt> {
        let right = match self.blocks(state)? {
            Some(blocks) => {
                let sums = map::read_sums(&self.store.handles, state.file, block..block + 1)?;
                let right = sums.first() == Some(&map::sum_of(block, data));
                if right {
                    blocks.checked.set(block);
                }
                // Its file may have been taken over since it was read.
                right || blocks.taken.load(std::sync::atomic::Ordering::Acquire)
            }
            None => {
                let right = state.digest == Some(Digest::of(data));
                state.flags.set(Flag::Checked, right);
                right
            }
        };
        match right {
            true => Ok(()),
            false if state.whole => {
                tracing::error!(content = self.id().0, block, "block does not match its sum");
                Err(ContentError::Corrupt { content: self.id(), offset: block * BLOCK }.into())
            }
            false => Err(Halt::Untrue(block)),
        }
    }

    /// A block that is said to be here and did not match its sum: from now on it is not here, unless
    /// it came anew meanwhile.
    pub(super) fn distrust(&self, block: u64) -> Result<(), ContentError> {
        let state = self.state.upgradable_read();
        self.distrust_in(&state, block)
    }

    pub(super) fn distrust_in(
        &self,
        state: &RwLockUpgradableReadGuard<'_, State>,
        block: u64,
    ) -> Result<(), ContentError> {
        if state.whole || block >= map::count(state.size) {
            return Ok(());
        }
        let Some(blocks) = self.blocks(state)? else {
            return Ok(());
        };
        let Some(present) = &blocks.present else {
            return Ok(());
        };
        let bytes = bytes_of(block, state.size);
        let mut data = vec![0; (bytes.end - bytes.start) as usize];
        self.read_raw(state, bytes.start, &mut data)?;
        if let Err(Halt::Untrue(_)) = self.compare(state, block, &data) {
            tracing::warn!(content = self.id().0, block, "block was lost in a crash");
            map::write_sums(&self.store.handles, state.file, block, &[ABSENT])?;
            blocks.checked.clear(block);
            present.clear(block);
            self.count(&state.flags, bytes.end - bytes.start, 0);
            state.set_dirty();
        }
        Ok(())
    }

    /// The bytes as the files have them, within the size. What comes from a content under this one
    /// is compared with its sums there.
    pub(super) fn read_raw(&self, state: &State, offset: u64, buf: &mut [u8]) -> Result<(), ContentError> {
        if buf.is_empty() {
            return Ok(());
        }
        let Some(overlay) = state.overlay() else {
            return self.read_own(state, offset, buf);
        };
        for (range, part) in overlay.parts(offset..offset + buf.len() as u64) {
            let buf = &mut buf[(range.start - offset) as usize..(range.end - offset) as usize];
            match part {
                Part::Own => self.read_own(state, range.start, buf)?,
                Part::Zero => buf.fill(0),
                Part::Under => {
                    let damaged = ContentError::Corrupt { content: self.id(), offset: range.start };
                    let got = overlay.under.as_ref().ok_or(damaged)?.read_at(range.start, buf)?;
                    buf[got..].fill(0);
                }
            }
        }
        Ok(())
    }

    fn read_own(&self, state: &State, offset: u64, buf: &mut [u8]) -> Result<(), ContentError> {
        match self.store.handles.find(state.file)? {
            Some(file) => Ok(map::read_full(&*file, offset, buf)?),
            None if state.whole && state.sealed => Err(ContentError::Corrupt { content: self.id(), offset }),
            None => {
                buf.fill(0);
                Ok(())
            }
        }
    }

    /// The sums of all blocks of a sealed content of more than one block, those of the contents
    /// under it among them.
    pub(super) fn sums(&self, state: &State) -> Result<Vec<Sum>, ContentError> {
        let mut sums = map::read_sums(&self.store.handles, state.file, 0..map::count(state.size))?;
        if let Some(overlay) = state.overlay() {
            inherit(overlay, state.size, &mut sums)?;
        }
        Ok(sums)
    }
}

/// Puts the sums of the blocks an overlay inherits in their places.
pub(super) fn inherit(
    overlay: &super::overlay::Overlay,
    size: u64,
    sums: &mut [Sum],
) -> Result<(), ContentError> {
    let Some(under) = &overlay.under else {
        return Ok(());
    };
    if overlay.under_size <= BLOCK {
        return Ok(());
    }
    let below = under.sums(&under.state.read())?;
    for (block, (sum, below)) in sums.iter_mut().zip(below).enumerate() {
        if overlay.inherits(block as u64, size) {
            *sum = below;
        }
    }
    Ok(())
}
