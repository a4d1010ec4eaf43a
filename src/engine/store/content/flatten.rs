//! Taking the file of the content under one over, when nothing else needs it: chains stay short, and
//! one file holds what two did.
//!
//! The own ranges are copied down into the other's file. Until the new row is committed the old one
//! holds: what was copied down is still covered by the own ranges. The content under it no longer
//! matches its sums from the first byte on, so its map says first, and synced, who takes it over.
//! Doing it again after a crash does the same.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use super::account::own_bytes;
use super::contents::{Contents, Freed};
use super::flags::Flag;
use super::map::{self, MAP, Sum};
use super::overlay::Overlay;
use super::state::{Content, Large, State};
use super::{BLOCK, ContentError, RangeSet};
use crate::model::ContentId;
use crate::store::persist::StoreFile;
use crate::store::rows::{ContentRow, Over};

/// A content whose bytes are in the file of the one under it, but whose row does not say so yet.
#[derive(Debug)]
#[must_use = "the row is to be committed, then `Contents::finish` called"]
pub struct Flattened {
    /// To be committed, together with the removal of the row of `gone`.
    pub row: ContentRow,
    /// The content that was under it. Its file belongs to `row` now: it is not discarded.
    pub gone: ContentId,
    from: u64,
}

/// A content that reads from the file of what was under it.
#[must_use = "`freed` is to be freed once the row is committed"]
pub struct Finished {
    pub freed: Freed,
    content: ContentId,
    under: Arc<Content>,
    was: Option<Box<Large>>,
}

impl Finished {
    /// What was under it.
    pub fn gone(&self) -> ContentId {
        self.under.id()
    }
}

impl Contents {
    /// First half: copies down, synced. `None` where there is nothing to do: the content is not
    /// sealed, lies over none, another one lies over the same, or somebody holds a descriptor of that.
    /// Nobody may read the content under it by itself any more. Between this and
    /// [`finish`](Self::finish) it must not be evicted.
    pub fn flatten(&self, id: ContentId) -> Result<Option<Flattened>, ContentError> {
        let Some(content) = self.get(id) else {
            return Ok(None);
        };
        let Some(under) = content.under() else {
            return Ok(None);
        };
        let lies_over_it = |other: &ContentId| {
            *other != id && self.get(*other).and_then(|other| other.over()) == Some(under.id())
        };
        if self.laid_over().iter().any(lies_over_it) || under.state.read().flags.is(Flag::HandedOut) {
            return Ok(None);
        }
        content.copy_down(&under)
    }

    /// Second half: reads go to the one file. From here on the row is the new one; the file that is no
    /// longer needed may go once it is committed.
    pub fn finish(&self, flattened: Flattened) -> io::Result<Finished> {
        let Flattened { row, gone, from } = flattened;
        let content = self.get(row.id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut state = content.state.write();
        let under = state.overlay().and_then(|overlay| overlay.under.clone());
        let under = under.filter(|under| state.file == from && under.id() == gone);
        let Some(under) = under else {
            return Err(io::Error::other("the content was changed while it was flattened"));
        };
        let before = own_bytes(&state) + under.own_bytes();
        let below = under.under();
        let overlay = row.over.map(|over| Overlay::load(over, below, RangeSet::from_ranges(row.changed)));
        state.file = row.file;
        let large = Large { overlay, blocks: OnceLock::new() };
        let was = state.large.replace(Box::new(large));
        state.flags.set(Flag::Checked, false);
        content.count(&state.flags, before, own_bytes(&state));
        drop(state);
        self.shared.all.write().remove(&gone);
        let mut laid_over = self.shared.laid_over.lock();
        laid_over.remove(&gone);
        if row.over.is_none() {
            laid_over.remove(&row.id);
        }
        Ok(Finished { freed: Freed(from), content: row.id, under, was })
    }

    /// The row could not be written down: as before [`finish`](Self::finish).
    pub(in crate::store) fn take_back(&self, finished: Finished) {
        let Finished { freed, content, under, was } = finished;
        let (gone, under_bytes) = (under.id(), under.own_bytes());
        let mut laid_over = self.shared.laid_over.lock();
        laid_over.insert(content);
        laid_over.extend(under.over().map(|_| gone));
        drop(laid_over);
        self.shared.all.write().insert(gone, under);
        if let Some(content) = self.get(content) {
            let mut state = content.state.write();
            let before = own_bytes(&state);
            state.file = freed.0;
            state.large = was;
            content.count(&state.flags, before, own_bytes(&state) + under_bytes);
        }
    }
}

impl Content {
    fn copy_down(&self, under: &Arc<Content>) -> Result<Option<Flattened>, ContentError> {
        let state = self.state.upgradable_read();
        let below = under.state.read();
        let (Some(overlay), Some(below_blocks)) = (state.overlay(), under.blocks(&below)?) else {
            return Ok(None);
        };
        if !(state.sealed && state.whole && below.whole && overlay.under_id == under.id()) {
            return Ok(None);
        }
        let handles = &self.store.handles;
        map::set_taker(handles, below.file, self.id().0)?;
        handles.files.sync(&[handles.open(below.file | MAP)?])?;
        below_blocks.taken.store(true, Ordering::Release);

        let from = handles.open(state.file)?;
        let to = handles.open(below.file)?;
        for range in overlay.changed.as_slice() {
            self.copy_range(&from, &to, range.clone())?;
        }
        let row = self.row_below(&state, overlay, &below);
        if row.over.is_none() {
            for (hole, own) in overlay.changed.pieces(overlay.limit.min(state.size)..state.size) {
                if !own {
                    to.punch(hole)?;
                }
            }
            to.truncate(state.size)?;
        }
        self.copy_sums(&state, overlay, below.file)?;
        handles.files.sync(&[to, handles.open(below.file | MAP)?])?;
        Ok(Some(Flattened { row, gone: under.id(), from: state.file }))
    }

    /// Copies what is data, and makes holes where there are some.
    fn copy_range(
        &self,
        from: &Arc<dyn StoreFile>,
        to: &Arc<dyn StoreFile>,
        range: Range<u64>,
    ) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let data = from.seek(at, true)?.map_or(range.end, |data| data.min(range.end));
            if at < data {
                to.punch(at..data)?;
                at = data;
                continue;
            }
            let hole = from.seek(at, false)?.map_or(range.end, |hole| hole.min(range.end));
            self.store.handles.files.copy(&**from, &**to, at..hole)?;
            at = hole;
        }
        Ok(())
    }

    /// The row that has the bytes in the file of what is under it, over what that lies over.
    fn row_below(&self, state: &State, overlay: &Overlay, below: &State) -> ContentRow {
        let (over, changed) = match below.overlay() {
            None => (None, Vec::new()),
            Some(lower) => {
                let over = Over { content: lower.under_id, limit: lower.limit.min(overlay.limit) };
                let mut changed = lower.changed.clone();
                changed.remove(overlay.limit..u64::MAX);
                let both = changed.into_vec().into_iter().chain(overlay.changed.as_slice().iter().cloned());
                (Some(over), RangeSet::from_ranges(both).into_vec())
            }
        };
        ContentRow {
            id: self.id(),
            file: below.file,
            size: state.size,
            over,
            changed,
            whole: true,
            sealed: true,
            digest: state.digest,
        }
    }

    /// Brings the sums of the blocks that are its own into the other map.
    fn copy_sums(&self, state: &State, overlay: &Overlay, file: u64) -> io::Result<()> {
        if state.size <= BLOCK {
            return Ok(());
        }
        let handles = &self.store.handles;
        let sums = map::read_sums(handles, state.file, 0..map::count(state.size))?;
        let own: Vec<(u64, Sum)> =
            (0..).zip(sums).filter(|(block, _)| !overlay.inherits(*block, state.size)).collect();
        for run in own.chunk_by(|a, b| a.0 + 1 == b.0) {
            let sums: Vec<Sum> = run.iter().map(|(_, sum)| *sum).collect();
            map::write_sums(handles, file, run[0].0, &sums)?;
        }
        Ok(())
    }
}
