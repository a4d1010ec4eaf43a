//! How many bytes of a location are here, and when each content was last used.
//!
//! The bytes are counted as they come and go; nothing is walked for it. Of a content that lies over
//! another only its own ranges count, and of one that is not whole the blocks that are here.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::contents::Contents;
use super::flags::{Flag, Flags};
use super::map::{self, Blocks, bytes_of, count};
use super::state::{Content, State};
use crate::model::ContentId;
use crate::store::room::RESERVE;

/// Number of the file that says when contents were last used.
///
/// ```text
/// 0    8    16      28
/// +----+----+-------+-------+--
/// | C  | N  | entry | entry | ...
/// +----+----+-------+-------+--
/// ```
///
/// N entries of 12 bytes: the content, and the seconds. C is a check of all that follows. Where it is
/// not right, as a crash may leave it, nothing is known, and what is older by number goes first.
pub(super) const USED: u64 = RESERVE | 1;

const ENTRY: usize = 12;
/// Of so many that were used last it is written down.
const MOST: usize = 100_000;

impl Content {
    /// Whoever opens or closes it says when, in seconds of the wall clock.
    pub fn use_at(&self, seconds: u32) {
        let state = self.state.read();
        if state.used.swap(seconds, Relaxed) != seconds {
            self.store.used.store(true, Relaxed);
        }
    }

    /// When it was last used, in seconds of the wall clock; 0 where that is not known.
    pub fn used(&self) -> u32 {
        self.state.read().used.load(Relaxed)
    }

    /// Bytes of its own that are here.
    pub fn own_bytes(&self) -> u64 {
        own_bytes(&self.state.read())
    }

    /// It is there from now on.
    pub(super) fn count_in(&self) {
        let state = self.state.read();
        self.count(&state.flags, 0, own_bytes(&state));
    }

    /// It is gone.
    pub(super) fn count_out(&self) {
        let state = self.state.write();
        self.count(&state.flags, own_bytes(&state), 0);
        state.flags.set(Flag::Gone, true);
    }

    /// It had so many bytes of its own and now has others. One that is gone does not count, whatever
    /// still comes for it.
    pub(super) fn count(&self, flags: &Flags, before: u64, now: u64) {
        if flags.is(Flag::Gone) {
            return;
        }
        self.store.here.fetch_add(now.wrapping_sub(before) as i64, Relaxed);
    }
}

/// What counts of a content. Of a map that is not loaded yet nothing does; loading it counts.
pub(super) fn own_bytes(state: &State) -> u64 {
    match (state.whole, state.overlay(), &state.large) {
        (true, Some(overlay), _) => {
            overlay.changed.as_slice().iter().map(|range| range.end - range.start).sum()
        }
        (true, None, _) => state.size,
        (false, _, Some(large)) => large.blocks.get().map_or(0, |blocks| present_bytes(blocks, state.size)),
        (false, _, None) => 0,
    }
}

pub(super) fn present_bytes(blocks: &Blocks, size: u64) -> u64 {
    let Some(present) = &blocks.present else {
        return size;
    };
    let last = count(size) - 1;
    let bytes = |block: u64| bytes_of(block, size).end - bytes_of(block, size).start;
    let whole = present.count() - u64::from(present.get(last));
    whole * super::BLOCK + if present.get(last) { bytes(last) } else { 0 }
}

impl Contents {
    /// Writes down when contents were last used, if that has changed. Only roughly kept: not synced.
    pub fn note_used(&self) -> io::Result<()> {
        if !self.store.used.swap(false, Relaxed) {
            return Ok(());
        }
        let mut used: Vec<(u32, ContentId)> = self
            .all()
            .iter()
            .map(|content| (content.used(), content.id()))
            .filter(|(at, _)| *at > 0)
            .collect();
        if used.len() > MOST {
            used.select_nth_unstable_by(MOST, |a, b| b.cmp(a));
            used.truncate(MOST);
        }
        let mut bytes = vec![0; 8];
        bytes.extend((used.len() as u64).to_le_bytes());
        for (at, id) in used {
            bytes.extend(id.0.to_le_bytes());
            bytes.extend(at.to_le_bytes());
        }
        let check = check_of(&bytes[8..]);
        bytes[..8].copy_from_slice(&check);
        let file = self.store.handles.open_or_create(USED)?;
        file.write_at(0, &bytes)?;
        file.truncate(bytes.len() as u64)
    }

    /// What was written down at last.
    pub fn recall_used(&self) {
        let Ok(Some(file)) = self.store.handles.find(USED) else { return };
        let mut bytes = vec![0; file.len().unwrap_or(0).min((16 + ENTRY * MOST) as u64) as usize];
        if map::read_full(&*file, 0, &mut bytes).is_err()
            || bytes.len() < 16
            || bytes[..8] != check_of(&bytes[8..])
        {
            return;
        }
        for entry in bytes[16..].chunks_exact(ENTRY) {
            let (id, at) = entry.split_at(8);
            let id = ContentId(u64::from_le_bytes(id.try_into().unwrap_or_default()));
            if let Some(content) = self.get(id) {
                content
                    .state
                    .read()
                    .used
                    .store(u32::from_le_bytes(at.try_into().unwrap_or_default()), Relaxed);
            }
        }
    }
}

fn check_of(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}
