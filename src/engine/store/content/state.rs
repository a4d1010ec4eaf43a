//! One content: its state, and what can be asked of it without reading its bytes.
//!
//! Whoever changes a content holds the upgradable lock from beginning to end, so changes come one
//! after the other; readers go on until the moment the state itself changes, and then see all of the
//! change: the bytes are in the file before the state speaks of them.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::account::{own_bytes, present_bytes};
use super::contents::{Freed, Store};
use super::flags::{Flag, Flags};
use super::map::{self, Blocks, MAP};
use super::overlay::Overlay;
use super::{BLOCK, ContentError};
use crate::model::{ContentId, Digest};
use crate::store::persist::StoreFile;
use crate::store::rows::{ContentRow, Over};

/// A version of a file's bytes. Used by many threads at once.
pub struct Content {
    id: ContentId,
    pub(super) store: Arc<Store>,
    pub(super) state: RwLock<State>,
}

/// There may be a million of these: what only large contents need is behind one pointer.
pub(super) struct State {
    pub file: u64,
    pub size: u64,
    pub digest: Option<Digest>,
    pub whole: bool,
    pub sealed: bool,
    pub flags: Flags,
    /// See `account`.
    pub used: AtomicU32,
    /// Written to since the last sync, or not known.
    /// Counts changes; what is synced is dirty again with the next one.
    pub changes: AtomicU32,
    /// `changes` as the last sync that succeeded found it.
    pub synced: AtomicU32,
    pub large: Option<Box<Large>>,
}

#[derive(Default)]
pub(super) struct Large {
    pub overlay: Option<Overlay>,
    /// Of a sealed content of more than one block.
    pub blocks: OnceLock<Blocks>,
}

impl State {
    /// As a row has it. What is not whole is never written to, whatever the row says.
    pub fn load(file: u64, size: u64, whole: bool, sealed: bool, digest: Option<Digest>) -> State {
        let sealed = sealed || !whole;
        let flags = Flags::default();
        flags.set(Flag::Tail, !sealed);
        flags.set(Flag::Uneven, !sealed);
        State {
            file,
            size,
            digest,
            whole,
            sealed,
            flags,
            used: AtomicU32::new(0),
            changes: AtomicU32::new(1),
            synced: AtomicU32::new(0),
            large: (sealed && size > BLOCK).then(Box::default),
        }
    }

    pub fn mutable(file: u64, size: u64) -> State {
        let flags = Flags::default();
        flags.set(Flag::Uneven, size > 0);
        State { flags, ..State::load(file, size, true, false, None) }
    }

    /// Its file, and the map where there may be one.
    pub fn files(&self) -> impl Iterator<Item = u64> + use<> {
        let map = self.large.is_some().then_some(self.file | MAP);
        std::iter::once(self.file).chain(map)
    }

    pub fn overlay(&self) -> Option<&Overlay> {
        self.large.as_ref()?.overlay.as_ref()
    }

    pub fn overlay_mut(&mut self) -> Option<&mut Overlay> {
        self.large.as_mut()?.overlay.as_mut()
    }

    pub fn set_dirty(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl Content {
    pub(super) fn new(id: ContentId, store: Arc<Store>, state: State) -> Content {
        Content { id, store, state: RwLock::new(state) }
    }

    pub(super) fn set_overlay(&self, overlay: Overlay) {
        let mut state = self.state.write();
        state.flags.set(Flag::Uneven, true);
        state.large.get_or_insert_default().overlay = Some(overlay);
    }

    /// As it is now, for the journal.
    pub fn row(&self) -> ContentRow {
        let state = self.state.read();
        let overlay = state.overlay();
        ContentRow {
            id: self.id,
            file: state.file,
            size: state.size,
            over: overlay.map(|overlay| Over { content: overlay.under_id, limit: overlay.limit }),
            changed: overlay.map_or_else(Vec::new, |overlay| overlay.changed.as_slice().to_vec()),
            whole: state.whole,
            sealed: state.sealed,
            digest: state.digest,
        }
    }

    pub fn id(&self) -> ContentId {
        self.id
    }

    pub fn size(&self) -> u64 {
        self.state.read().size
    }

    /// All bytes are here.
    pub fn is_whole(&self) -> bool {
        self.state.read().whole
    }

    /// Never written again.
    pub fn is_sealed(&self) -> bool {
        self.state.read().sealed
    }

    /// Of a sealed content that is whole, or was.
    pub fn digest(&self) -> Option<Digest> {
        self.state.read().digest
    }

    /// The content this one lies over.
    pub fn over(&self) -> Option<ContentId> {
        self.state.read().overlay().map(|overlay| overlay.under_id)
    }

    pub(super) fn under(&self) -> Option<Arc<Content>> {
        self.state.read().overlay()?.under.clone()
    }

    pub(super) fn file(&self) -> u64 {
        self.state.read().file
    }

    /// Ranges within this one that are not here, as whole blocks cut to the size. Where the map
    /// cannot be read nothing is here.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let state = self.state.read();
        let end = range.end.min(state.size);
        if state.whole || range.start >= end {
            return Vec::new();
        }
        let blocks = self.blocks(&state).ok().flatten();
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in range.start / BLOCK..map::count(end) {
            if blocks.is_some_and(|blocks| blocks.is_present(block)) {
                continue;
            }
            let bytes = map::bytes_of(block, state.size);
            match missing.last_mut() {
                Some(last) if last.end == bytes.start => last.end = bytes.end,
                _ => missing.push(bytes),
            }
        }
        missing
    }

    /// Bytes that are here.
    pub fn present_bytes(&self) -> u64 {
        let size = self.size();
        let missing: u64 = self.missing(0..size).iter().map(|range| range.end - range.start).sum();
        size - missing
    }

    /// Bytes on the disk, its own alone: not those of the content under it. Of what was written from
    /// its start to its end the file need not be asked.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let files = {
            let state = self.state.read();
            if !state.sealed && state.overlay().is_none() && !state.flags.is(Flag::Uneven) {
                return Ok(state.size);
            }
            state.files()
        };
        let mut bytes = 0;
        for number in files {
            if let Some(file) = self.store.handles.find(number)? {
                bytes += file.disk_bytes()?;
            }
        }
        Ok(bytes)
    }

    /// Drops all bytes of a sealed server's version, which can be fetched again; the digest stays.
    /// They are no longer served, and `file` is where they will come to; the file they were in is
    /// freed once the new row is committed. Nothing may lie over this.
    pub fn evict(&self, file: u64) -> Result<Freed, ContentError> {
        let mut state = self.state.write();
        if !state.sealed {
            return Err(ContentError::Io(io::Error::other("a content that is written to cannot be evicted")));
        }
        let freed = Freed(state.file);
        let empty = state.size == 0;
        self.count(&state.flags, own_bytes(&state), 0);
        *state = State::load(file, state.size, empty, true, state.digest);
        Ok(freed)
    }

    /// What is known of the blocks of a sealed content, `None` for one block at most.
    pub(super) fn blocks<'s>(&self, state: &'s State) -> io::Result<Option<&'s Blocks>> {
        if state.size <= BLOCK || !state.sealed {
            return Ok(None);
        }
        let Some(large) = &state.large else {
            return Ok(None);
        };
        if let Some(blocks) = large.blocks.get() {
            return Ok(Some(blocks));
        }
        let blocks = Blocks::load(&self.store.handles, self.id.0, state.file, state.size, state.whole)?;
        // Another thread may have been first; what it has may already know more.
        let known = large.blocks.get_or_init(|| {
            if !state.whole {
                self.count(&state.flags, 0, present_bytes(&blocks, state.size));
            }
            blocks
        });
        Ok(Some(known))
    }

    pub(super) fn is_dirty(&self) -> bool {
        let state = self.state.read();
        state.synced.load(Ordering::Acquire) != state.changes.load(Ordering::Acquire)
    }

    /// A sync that began with these changes has succeeded.
    pub(super) fn synced(&self, changes: u32) {
        self.state.read().synced.store(changes, Ordering::Release);
    }

    /// Hands up the files to sync, and the changes that are in them. It stays dirty until they are
    /// on the disk, so nobody else takes it for synced meanwhile.
    pub(super) fn begin_sync(&self, files: &mut Vec<Arc<dyn StoreFile>>) -> io::Result<u32> {
        self.trim()?;
        let state = self.state.read();
        let changes = state.changes.load(Ordering::Acquire);
        for number in state.files() {
            files.extend(self.store.handles.find(number)?);
        }
        Ok(changes)
    }
}
