//! Where a content holds data and where it has holes.

use std::io;
use std::ops::Range;

use super::ContentError;
use super::overlay::Part;
use super::state::{Content, State};

impl Content {
    /// The first offset at or after `offset` that holds data, or a hole; there is a hole at the end.
    /// `None` at and past the end, and where no data follows. What is not whole counts as data.
    pub fn seek(&self, offset: u64, data: bool) -> Result<Option<u64>, ContentError> {
        let state = self.state.read();
        if offset >= state.size {
            return Ok(None);
        }
        Ok(match self.seek_within(&state, offset..state.size, data)? {
            None if !data => Some(state.size),
            found => found,
        })
    }

    /// Ranges that hold data; elsewhere it reads as zero.
    pub fn data_ranges(&self) -> Result<Vec<Range<u64>>, ContentError> {
        let size = self.size();
        let mut ranges = Vec::new();
        let mut at = 0;
        while let Some(start) = self.seek(at, true)? {
            let end = self.seek(start, false)?.unwrap_or(size);
            ranges.push(start..end);
            at = end;
        }
        Ok(ranges)
    }

    /// `None` where the range has none.
    fn seek_within(&self, state: &State, range: Range<u64>, data: bool) -> io::Result<Option<u64>> {
        let Some(overlay) = state.overlay() else {
            return self.seek_own(state, range, data);
        };
        for (part, kind) in overlay.parts(range) {
            let found = match (kind, &overlay.under) {
                (Part::Own, _) => self.seek_own(state, part, data)?,
                (Part::Under, Some(under)) => under.seek_within(&under.state.read(), part, data)?,
                (Part::Under, None) => data.then_some(part.start),
                (Part::Zero, _) => (!data).then_some(part.start),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn seek_own(&self, state: &State, range: Range<u64>, data: bool) -> io::Result<Option<u64>> {
        if !state.whole {
            return Ok(data.then_some(range.start));
        }
        let found = match self.store.handles.find(state.file)? {
            Some(file) => file.seek(range.start, data)?,
            None => None,
        };
        Ok(match found {
            Some(at) => (at < range.end).then_some(at),
            // Past the end of the file, or no data after this: a hole.
            None => (!data).then_some(range.start),
        })
    }
}
