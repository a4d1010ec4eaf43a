//! Filling a version of the server's with the bytes that come from there.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLockUpgradableReadGuard;

use super::account::own_bytes;
use super::flags::Flag;
use super::map::{self, ABSENT, Blocks, Sum, bytes_of};
use super::read::Halt;
use super::state::{Content, State};
use super::{BLOCK, ContentError};
use crate::model::Digest;
use crate::store::persist::StoreFile;

/// What a fill brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filled {
    /// Bytes that are here and were not before.
    pub new_bytes: u64,
    /// All of it is here now, and was not before: the row is another one.
    pub completed: bool,
}

const NOTHING: Filled = Filled { new_bytes: 0, completed: false };

impl Content {
    /// Takes bytes of the server's version in. `offset` is that of a block; bytes of a last block that
    /// is not complete are left, and blocks that are here stay as they are. With the last one that
    /// was missing the content becomes whole and its digest known; `Differs` where it had another
    /// digest before, and then nothing of it is here.
    pub fn fill(&self, offset: u64, data: &[u8]) -> Result<Filled, ContentError> {
        let state = self.state.upgradable_read();
        let range = offset..offset.saturating_add(data.len() as u64);
        if !offset.is_multiple_of(BLOCK) || range.end > state.size {
            return Err(ContentError::Misfit { content: self.id(), range });
        }
        if state.whole {
            return Ok(NOTHING);
        }
        if data.is_empty() {
            let completed = self.complete_present(state)?;
            return Ok(Filled { completed, ..NOTHING });
        }
        if state.size <= BLOCK { self.fill_small(state, data) } else { self.fill_blocks(state, range, data) }
    }

    fn fill_small(
        &self,
        state: RwLockUpgradableReadGuard<'_, State>,
        data: &[u8],
    ) -> Result<Filled, ContentError> {
        if (data.len() as u64) < state.size {
            return Ok(NOTHING);
        }
        let digest = Digest::of(data);
        if state.digest.is_some_and(|before| before != digest) {
            return Err(ContentError::Differs { content: self.id() });
        }
        let file = self.store.handles.open_or_create(state.file)?;
        let written = file.write_at(0, data);
        state.set_dirty();
        written?;
        let new_bytes = state.size;
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        state.whole = true;
        self.count(&state.flags, 0, new_bytes);
        state.digest = Some(digest);
        state.flags.set(Flag::Checked, true);
        Ok(Filled { new_bytes, completed: true })
    }

    fn fill_blocks(
        &self,
        state: RwLockUpgradableReadGuard<'_, State>,
        range: Range<u64>,
        data: &[u8],
    ) -> Result<Filled, ContentError> {
        let Some(blocks) = self.blocks(&state)? else {
            return Ok(NOTHING);
        };
        let Some(present) = &blocks.present else {
            return Ok(NOTHING);
        };
        // Whole blocks, and the last one of the content.
        let last = if range.end == state.size { map::count(range.end) } else { range.end / BLOCK };
        let mut new_bytes = 0;
        let mut run = range.start / BLOCK..range.start / BLOCK;
        while run.start < last {
            run.end = run.start;
            while run.end < last && !present.get(run.end) {
                run.end += 1;
            }
            if run.is_empty() {
                run.start += 1;
                continue;
            }
            let bytes = run.start * BLOCK..bytes_of(run.end - 1, state.size).end;
            let inside = (bytes.start - range.start) as usize..(bytes.end - range.start) as usize;
            self.fill_run(&state, run.start, &data[inside])?;
            for block in run.clone() {
                blocks.checked.set(block);
                present.set(block);
            }
            self.count(&state.flags, 0, bytes.end - bytes.start);
            new_bytes += bytes.end - bytes.start;
            run.start = run.end;
        }
        let completed = present.count() == map::count(state.size) && self.complete(state)?;
        Ok(Filled { new_bytes, completed })
    }

    /// Writes blocks that follow one another, then their sums.
    fn fill_run(
        &self,
        state: &RwLockUpgradableReadGuard<'_, State>,
        first: u64,
        data: &[u8],
    ) -> Result<(), ContentError> {
        let file = self.store.handles.open_or_create(state.file)?;
        if file.len()? != state.size {
            file.truncate(state.size)?;
        }
        let sums: Vec<Sum> =
            (first..).zip(data.chunks(BLOCK as usize)).map(|(b, d)| map::sum_of(b, d)).collect();
        let written = write_sparse(&file, first * BLOCK, data)
            .and_then(|()| map::write_sums(&self.store.handles, state.file, first, &sums));
        state.set_dirty();
        Ok(written?)
    }

    /// Blocks may all have come before a kill that let nobody note that they are all. Whether the content
    /// has become whole by it.
    pub fn complete_if_all_here(&self) -> Result<bool, ContentError> {
        self.complete_present(self.state.upgradable_read())
    }

    fn complete_present(&self, state: RwLockUpgradableReadGuard<'_, State>) -> Result<bool, ContentError> {
        if state.whole || state.size <= BLOCK {
            return Ok(false);
        }
        let all_here = match self.blocks(&state)?.map(|blocks| &blocks.present) {
            Some(Some(present)) => present.count() == map::count(state.size),
            _ => false,
        };
        Ok(all_here && self.complete(state)?)
    }

    /// All blocks are here. Those of an earlier run are compared first: a crash may have left sums
    /// without them.
    fn complete(&self, state: RwLockUpgradableReadGuard<'_, State>) -> Result<bool, ContentError> {
        let Some(blocks) = self.blocks(&state)? else {
            return Ok(false);
        };
        let mut all_true = true;
        let mut data = vec![0; BLOCK as usize];
        for block in (0..map::count(state.size)).filter(|block| !blocks.checked.get(*block)) {
            let bytes = bytes_of(block, state.size);
            let data = &mut data[..(bytes.end - bytes.start) as usize];
            self.read_raw(&state, bytes.start, data)?;
            match self.compare(&state, block, data) {
                Ok(()) => {}
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Untrue(block)) => {
                    all_true = false;
                    self.distrust_in(&state, block)?;
                }
            }
        }
        if !all_true {
            return Ok(false);
        }
        let digest = map::digest_of(&self.sums(&state)?, state.size);
        let differs = state.digest.is_some_and(|before| before != digest);
        let after = Blocks::new(state.size, !differs);
        if differs {
            let none = vec![ABSENT; map::count(state.size) as usize];
            map::write_sums(&self.store.handles, state.file, 0, &none)?;
            state.set_dirty();
        } else {
            (0..map::count(state.size)).for_each(|block| after.checked.set(block));
        }
        let mut state = RwLockUpgradableReadGuard::upgrade(state);
        let before = own_bytes(&state);
        state.large.get_or_insert_default().blocks = OnceLock::from(after);
        if differs {
            self.count(&state.flags, before, own_bytes(&state));
            return Err(ContentError::Differs { content: self.id() });
        }
        state.whole = true;
        state.digest = Some(digest);
        Ok(true)
    }
}

/// Writes, with holes for blocks that are all zero.
fn write_sparse(file: &Arc<dyn StoreFile>, offset: u64, data: &[u8]) -> io::Result<()> {
    let is_zero = |block: &&[u8]| block.iter().all(|byte| *byte == 0);
    let blocks: Vec<&[u8]> = data.chunks(BLOCK as usize).collect();
    let mut at = 0;
    for alike in blocks.chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len: usize = alike.iter().map(|block| block.len()).sum();
        let start = offset + at as u64;
        match is_zero(&alike[0]) {
            true => file.punch(start..start + len as u64)?,
            false => file.write_at(start, &data[at..at + len])?,
        }
        at += len;
    }
    Ok(())
}
