//! Sealing: the digest and the sums of what is never written again; and checking them.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use parking_lot::RwLockUpgradableReadGuard;

use super::flags::Flag;
use super::map::{self, ABSENT, Blocks, Sum, bytes_of};
use super::read::{Halt, inherit};
use super::state::{Content, State};
use super::{BLOCK, ContentError};
use crate::model::Digest;

impl Content {
    /// From now on it is never written again. Takes as long as reading all of it, or of an overlay
    /// the blocks it has changed; writes wait, reads do not. `NotHere` for what is not whole.
    pub fn seal(&self) -> Result<Digest, ContentError> {
        // Who changes the file under a sealed one meanwhile holds nobody up.
        if self.is_sealed() {
            let state = self.state.read();
            self.require(&state, 0..state.size)?;
            return state.digest.ok_or(ContentError::Corrupt { content: self.id(), offset: 0 });
        }
        let state = self.state.upgradable_read();
        if state.sealed {
            return state.digest.ok_or(ContentError::Corrupt { content: self.id(), offset: 0 });
        }
        self.trim_in(&state)?;
        let (digest, blocks) = match state.size > BLOCK {
            true => self.seal_blocks(&state)?,
            false => {
                let mut data = vec![0; state.size as usize];
                self.read_raw(&state, 0, &mut data)?;
                (Digest::of(&data), None)
            }
        };
        state.set_dirty();
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        state.sealed = true;
        state.digest = Some(digest);
        state.flags.set(Flag::Checked, true);
        if let Some(blocks) = blocks {
            state.large.get_or_insert_default().blocks = OnceLock::from(blocks);
        }
        Ok(digest)
    }

    fn seal_blocks(&self, state: &State) -> Result<(Digest, Option<Blocks>), ContentError> {
        let blocks = Blocks::new(state.size, true);
        let mut sums = vec![ABSENT; map::count(state.size) as usize];
        if let Some(overlay) = state.overlay() {
            inherit(overlay, state.size, &mut sums)?;
        }
        let mut data = vec![0; BLOCK as usize];
        let mut own: Vec<Sum> = Vec::new();
        for block in 0..map::count(state.size) {
            if state.overlay().is_some_and(|overlay| overlay.inherits(block, state.size)) {
                self.flush_sums(state, block, &mut own)?;
                continue;
            }
            let bytes = bytes_of(block, state.size);
            let data = &mut data[..(bytes.end - bytes.start) as usize];
            self.read_raw(state, bytes.start, data)?;
            let sum = map::sum_of(block, data);
            sums[block as usize] = sum;
            own.push(sum);
            blocks.checked.set(block);
        }
        self.flush_sums(state, map::count(state.size), &mut own)?;
        Ok((map::digest_of(&sums, state.size), Some(blocks)))
    }

    /// Writes the sums of the blocks that end before this one.
    fn flush_sums(&self, state: &State, end: u64, sums: &mut Vec<Sum>) -> Result<(), ContentError> {
        if !sums.is_empty() {
            map::write_sums(&self.store.handles, state.file, end - sums.len() as u64, sums)?;
            sums.clear();
        }
        Ok(())
    }

    /// Reads everything that is here again and compares it with its sums and digest, in what lies
    /// under this too. `Corrupt` at the first block that is wrong; blocks of a version that is not
    /// whole are dropped instead. What is not sealed has nothing to be compared with.
    pub fn verify(&self) -> Result<(), ContentError> {
        let size = self.size();
        for block in 0..map::count(size) {
            match self.verify_block(block) {
                Ok(()) => {}
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Untrue(block)) => self.distrust(block)?,
            }
        }
        let state = self.state.read();
        let taken = self.blocks(&state)?.is_none_or(|blocks| blocks.taken.load(Ordering::Acquire));
        if !state.whole || taken {
            return Ok(());
        }
        match state.digest == Some(map::digest_of(&self.sums(&state)?, state.size)) {
            true => Ok(()),
            false => Err(ContentError::Corrupt { content: self.id(), offset: 0 }),
        }
    }

    fn verify_block(&self, block: u64) -> Result<(), Halt> {
        let state = self.state.read();
        let bytes = bytes_of(block, state.size);
        if !state.sealed || bytes.is_empty() {
            return Ok(());
        }
        if let Some(overlay) = state.overlay()
            && overlay.inherits(block, state.size)
        {
            let lost = ContentError::Corrupt { content: self.id(), offset: bytes.start };
            return overlay.under.as_ref().ok_or(lost)?.verify_block(block);
        }
        let (here, taken) = match self.blocks(&state)? {
            Some(blocks) => (blocks.is_present(block), blocks.taken.load(Ordering::Acquire)),
            None => (state.whole, false),
        };
        if !here || taken {
            return Ok(());
        }
        let mut data = vec![0; (bytes.end - bytes.start) as usize];
        self.read_raw(&state, bytes.start, &mut data)?;
        self.compare(&state, block, &data)
    }
}
