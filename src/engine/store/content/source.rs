//! A content handed out whole: to an upload, or as a descriptor.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::ContentError;
use super::flags::Flag;
use super::overlay::Part;
use super::state::{Content, State};
use crate::model::ContentId;
use crate::remote::Source;
use crate::store::persist::StoreFile;

impl Content {
    /// For an upload. It must be sealed, and stay whole while this is held. `replaces` is the content
    /// of the version on the server that it is to replace, where there is one: if this lies over it,
    /// only what differs needs to travel.
    pub fn source(self: &Arc<Self>, replaces: Option<ContentId>) -> Arc<dyn Source> {
        debug_assert!(self.is_sealed(), "only what is sealed may be sent");
        let changed = replaces.and_then(|earlier| self.changed_since(earlier));
        Arc::new(Upload { content: self.clone(), size: self.size(), changed })
    }

    /// For reading, with all of the content. Where it is a file of its own this is that file: what is
    /// written to a mutable one later shows. Else it is a copy. Nothing is compared with its sum on
    /// this way: where that matters, [`verify`](Self::verify) first.
    pub fn descriptor(&self) -> Result<OwnedFd, ContentError> {
        self.trim()?;
        let state = self.state.read();
        self.require(&state, 0..state.size)?;
        if state.overlay().is_none()
            && let Some(file) = self.store.handles.find(state.file)?
        {
            state.flags.set(Flag::HandedOut, true);
            return Ok(file.descriptor()?);
        }
        self.store.passing_copy(|file| {
            file.truncate(state.size)?;
            self.copy_to(&state, file, 0..state.size)
        })
    }

    /// Copies a range by the cheapest way. Where this has holes the target is as it was.
    fn copy_to(&self, state: &State, to: &Arc<dyn StoreFile>, range: Range<u64>) -> Result<(), ContentError> {
        let damaged = ContentError::Corrupt { content: self.id(), offset: range.start };
        let Some(overlay) = state.overlay() else {
            return self.copy_own(state, to, range);
        };
        for (part, kind) in overlay.parts(range) {
            match (kind, &overlay.under) {
                (Part::Own, _) => self.copy_own(state, to, part)?,
                (Part::Under, Some(under)) => under.copy_to(&under.state.read(), to, part)?,
                (Part::Under, None) => return Err(damaged),
                (Part::Zero, _) => {}
            }
        }
        Ok(())
    }

    fn copy_own(
        &self,
        state: &State,
        to: &Arc<dyn StoreFile>,
        range: Range<u64>,
    ) -> Result<(), ContentError> {
        let Some(from) = self.store.handles.find(state.file)? else {
            // An empty one may have no file, and of one that was never synced a crash may leave none.
            if range.is_empty() || !state.sealed {
                return Ok(());
            }
            return Err(ContentError::Corrupt { content: self.id(), offset: range.start });
        };
        let mut at = range.start;
        while let Some(start) = from.seek(at, true)?.filter(|start| *start < range.end) {
            let end = from.seek(start, false)?.unwrap_or(range.end).min(range.end);
            self.store.handles.files.copy(&*from, &**to, start..end)?;
            at = end;
        }
        Ok(())
    }
}

struct Upload {
    content: Arc<Content>,
    size: u64,
    changed: Option<Vec<Range<u64>>>,
}

impl Source for Upload {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.content.read_at(offset, buf)?)
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        // Where that cannot be told, all of it is data.
        self.content.data_ranges().unwrap_or_else(|_| std::iter::once(0..self.size).collect())
    }

    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        self.changed.clone()
    }
}
