//! A content that lies over another one and holds only what differs from it.
//!
//! Every byte comes from the first of these that has it: its own file, within the `changed` ranges;
//! the content under it, below `limit`; else it is zero. What else is in its own file means nothing.
//! Truncating lowers the limit for good, so that what was cut off does not come back.

use std::ops::Range;
use std::sync::Arc;

use super::map::bytes_of;
use super::state::Content;
use super::{BLOCK, RangeSet};
use crate::model::ContentId;
use crate::store::rows::Over;

/// From so many changed ranges on, a write takes the rest of its blocks along, so that their number
/// (and with it the row) stays bounded. Few in tests, so that they come there.
pub(super) const MANY_RANGES: usize = if cfg!(test) { 6 } else { 256 };

pub(super) struct Overlay {
    pub under_id: ContentId,
    /// `None` only where the rows are damaged.
    pub under: Option<Arc<Content>>,
    /// What is under it is sealed: this does not change.
    pub under_size: u64,
    pub limit: u64,
    pub changed: RangeSet,
}

/// Where a range of an overlay comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Own,
    Under,
    Zero,
}

impl Overlay {
    pub fn new(under: Arc<Content>, limit: u64) -> Overlay {
        Overlay {
            under_id: under.id(),
            under_size: under.size(),
            under: Some(under),
            limit,
            changed: RangeSet::new(),
        }
    }

    pub fn load(over: Over, under: Option<Arc<Content>>, changed: RangeSet) -> Overlay {
        let under_size = under.as_ref().map_or(0, |under| under.size());
        Overlay { under_id: over.content, under, under_size, limit: over.limit, changed }
    }

    /// The range, cut by where its bytes come from.
    pub fn parts(&self, range: Range<u64>) -> Vec<(Range<u64>, Part)> {
        let mut parts = Vec::new();
        for (piece, own) in self.changed.pieces(range) {
            if own {
                parts.push((piece, Part::Own));
                continue;
            }
            let cut = self.limit.clamp(piece.start, piece.end);
            if piece.start < cut {
                parts.push((piece.start..cut, Part::Under));
            }
            if cut < piece.end {
                parts.push((cut..piece.end, Part::Zero));
            }
        }
        parts
    }

    /// A block of a content of `size` bytes is exactly the block of the content under it, whose sum
    /// holds for it too. Its own map says nothing of it.
    pub fn inherits(&self, block: u64, size: u64) -> bool {
        let bytes = bytes_of(block, size);
        size > BLOCK
            && self.under_size > BLOCK
            && bytes.end <= self.limit
            && bytes.end == bytes_of(block, self.under_size).end
            && !self.changed.intersects(&bytes)
    }
}

impl Content {
    /// Where this differs from the content under it, as far as that is as long; `None` where it lies
    /// over none.
    pub fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        self.changed_since(self.over()?)
    }

    /// Where this differs from an earlier content, as far as that is as long, if this lies over it,
    /// directly or by way of others. Sizes are compared apart.
    pub fn changed_since(&self, earlier: ContentId) -> Option<Vec<Range<u64>>> {
        if self.id() == earlier {
            return Some(Vec::new());
        }
        let (own, limit, under) = {
            let state = self.state.read();
            let overlay = state.overlay()?;
            let mut own = overlay.changed.clone();
            own.insert(overlay.limit..state.size);
            (own.into_vec(), overlay.limit, overlay.under.clone()?)
        };
        let below = under.changed_since(earlier)?.into_iter();
        let below = below.map(|range| range.start..range.end.min(limit));
        Some(RangeSet::from_ranges(own.into_iter().chain(below)).into_vec())
    }
}
