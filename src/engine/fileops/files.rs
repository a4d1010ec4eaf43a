//! Operations on the bytes of files.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{ContentId, FileHandle, Kind, NodeId};
use crate::store::Tx;
use crate::store::content::{Content, ContentError};

use super::attrs::{note_change, without_set_ids};
use super::errors::from_content;
use super::{Allocate, Fileops, Need, Op, OpError, bind, views};

/// Largest file: as large as the kernel's offsets go.
const MAX_SIZE: u64 = i64::MAX as u64;

impl Fileops {
    /// Fills `buf`; short only at the end of the file.
    pub fn read(&self, node: NodeId, _handle: FileHandle, offset: u64, buf: &mut [u8]) -> Op<usize> {
        if views::is_view(node) {
            return self.view_read(node, offset, buf);
        }
        let content = {
            let tree = self.store().read();
            tree.node(node).ok_or(OpError::Stale)?.row.content
        };
        let Some(content) = content else { return Ok(0) };
        let content = self.store().contents().get(content).ok_or(OpError::Io)?;
        read_content(node, &content, offset, buf)
    }

    /// All of `data` or an error. `kill_suid` as FUSE asks for it.
    pub fn write(
        &self,
        node: NodeId,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        kill_suid: bool,
    ) -> Op<()> {
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > MAX_SIZE) {
            return Err(OpError::TooLarge);
        }
        self.change(node, kill_suid, |content| content.write_at(offset, data))
    }

    /// `kill_suid`: who asks may not leave set-id bits on what they change.
    pub(super) fn set_size(
        &self,
        node: NodeId,
        size: u64,
        kill_suid: bool,
        handle: Option<FileHandle>,
    ) -> Op<()> {
        if size > MAX_SIZE {
            return Err(OpError::TooLarge);
        }
        {
            let tree = self.store().read();
            let live = tree.node(node).ok_or(OpError::Stale)?;
            match live.row.kind {
                Kind::File => {}
                Kind::Folder => return Err(OpError::IsFolder),
                _ => return Err(OpError::Invalid),
            }
        }
        if self.store().read().node(node).is_some_and(|live| live.superseded) {
            return Err(OpError::Stale);
        }
        if size == 0 {
            self.empty(node, kill_suid)?;
        } else {
            self.change(node, kill_suid, |content| content.truncate(size))?;
        }
        if handle.is_none() {
            self.close_if_unopened(node);
        }
        Ok(())
    }

    pub fn allocate(
        &self,
        node: NodeId,
        _handle: FileHandle,
        offset: u64,
        len: u64,
        how: Allocate,
    ) -> Op<()> {
        let end = offset.checked_add(len).filter(|end| *end <= MAX_SIZE).ok_or(OpError::TooLarge)?;
        let range = offset..end;
        self.change(node, false, |content| match how {
            Allocate::Extend => content.allocate(range.clone(), false),
            Allocate::KeepSize => content.allocate(range.clone(), true),
            Allocate::PunchHole => content.punch(range.start..range.end.min(content.size())),
            Allocate::ZeroRange { keep_size } => {
                let changed = content.punch(range.start..range.end.min(content.size()))?;
                if !keep_size && range.end > content.size() {
                    return content.allocate(range.clone(), false);
                }
                Ok(changed)
            }
        })
    }

    /// `SEEK_DATA` (`data`) or `SEEK_HOLE`.
    pub fn seek(&self, node: NodeId, _handle: FileHandle, offset: u64, data: bool) -> Op<u64> {
        let (content, size) = {
            let tree = self.store().read();
            let live = tree.node(node).ok_or(OpError::Stale)?;
            (live.row.content, live.row.size)
        };
        if offset >= size {
            return Err(OpError::PastEnd);
        }
        let Some(content) = content.and_then(|id| self.store().contents().get(id)) else {
            return if data { Err(OpError::PastEnd) } else { Ok(offset) };
        };
        // Where bytes are missing, nobody knows the holes.
        if !content.is_whole() {
            return Ok(if data { offset } else { size });
        }
        content.seek(offset, data).map_err(from_content)?.ok_or(OpError::PastEnd)
    }

    /// Makes the content one that may be written, changes it, records it.
    fn change(
        &self,
        node: NodeId,
        kill_suid: bool,
        change: impl Fn(&Content) -> Result<bool, ContentError>,
    ) -> Op<()> {
        self.with_room(|| self.try_change(node, kill_suid, &change))
    }

    fn try_change(
        &self,
        node: NodeId,
        kill_suid: bool,
        change: impl Fn(&Content) -> Result<bool, ContentError>,
    ) -> Op<()> {
        self.refuse_views(node)?;
        self.store().room.admit()?;
        while !self.change_once(node, kill_suid, &change)? {}
        Ok(())
    }

    /// Tells whether it could be done: meanwhile the content may have been sealed for sending, or
    /// another thread may have been first with a new one.
    fn change_once(
        &self,
        node: NodeId,
        kill_suid: bool,
        change: impl Fn(&Content) -> Result<bool, ContentError>,
    ) -> Op<bool> {
        let Writable { content, instead_of } = self.writable(node)?;
        let fresh = instead_of.is_some();
        // First the record that it is being written: on a full disk nothing is touched. A new
        // content is nobody's before it is recorded.
        if !fresh {
            self.begin_writing(node)?;
        }
        let was = content.size();
        let row_changed = match change(&content) {
            Ok(row_changed) => row_changed,
            Err(ContentError::Sealed { .. }) if !fresh => return Ok(false),
            Err(error) => {
                match fresh {
                    true => discard(self, content.id()),
                    false => self.close_if_unopened(node),
                }
                return Err(from_content(error));
            }
        };
        let record = |tx: &mut Tx<'_>| {
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            let set_ids = without_set_ids(live.row.mode) != live.row.mode;
            if let Some(expected) = instead_of {
                if live.row.content != expected {
                    return Ok(false);
                }
                tx.add_content(content.id());
            } else if row_changed {
                tx.touch_content(content.id());
            }
            let size = content.size();
            let now = tx.now();
            tx.edit_node(node, |row| {
                if fresh {
                    row.content = Some(content.id());
                }
                row.size = size;
                row.mtime = now;
                row.ctime = now;
                row.writing = true;
                if kill_suid {
                    row.mode = without_set_ids(row.mode);
                }
            });
            if kill_suid && set_ids {
                // The kernel asks again for `stat`, but not before it runs the file.
                tx.invalidate_node(node);
            }
            record_write(tx, node);
            Ok(true)
        };
        let recorded = match fresh {
            true => self.store().write(record),
            // The bytes are changed: that they are is recorded even where the disk became full meanwhile.
            false => self.store().write_in_reserve(record),
        };
        match (&recorded, fresh) {
            (Ok(true), _) => {}
            (_, true) => discard(self, content.id()),
            // What is not recorded has not happened: the size is the one that the row says.
            (_, false) => {
                if content.size() != was
                    && let Err(error) = content.truncate(was)
                {
                    tracing::error!(node = node.0, %error, "a file has another size than its row");
                }
            }
        }
        recorded
    }

    /// The row says that the file is being written before its content changes.
    fn begin_writing(&self, node: NodeId) -> Op<()> {
        let begun = self.store().read().node(node).is_none_or(|live| live.row.writing);
        if begun {
            return Ok(());
        }
        self.store().write(|tx| {
            tx.edit_node(node, |row| row.writing = true);
            Ok(())
        })
    }

    /// A content for the node that may be written: its own, or a new one that begins as it.
    fn writable(&self, node: NodeId) -> Op<Writable> {
        let current = {
            let tree = self.store().read();
            let live = tree.node(node).ok_or(OpError::Stale)?;
            if live.row.kind != Kind::File {
                return Err(OpError::Invalid);
            }
            live.row.content
        };
        let contents = self.store().contents();
        let before = current.map(|id| contents.get(id).ok_or(OpError::Io)).transpose()?;
        if let Some(content) = before.as_ref().filter(|content| !content.is_whole())
            && content.complete_if_all_here().map_err(from_content)?
        {
            self.store().write(|tx| {
                tx.touch_content(content.id());
                Ok::<_, OpError>(())
            })?;
        }
        if let Some(content) = &before
            && content.is_whole()
            && !content.is_sealed()
        {
            return Ok(Writable { content: content.clone(), instead_of: None });
        }
        let (id, file) = (ContentId(self.store().new_id()), self.store().new_id());
        let content = match &before {
            Some(content) => contents
                .derive(content, id, file)
                .map_err(|error| not_here(node, content, 0..content.size(), error))?,
            None => self.create_content(node, id, file)?,
        };
        Ok(Writable { content, instead_of: Some(current) })
    }

    fn create_content(&self, node: NodeId, id: ContentId, file: u64) -> Op<Arc<Content>> {
        let location = {
            let tree = self.store().read();
            let item = tree.node(node).and_then(|live| live.links.first()).and_then(|id| tree.item(*id));
            item.map(|item| item.location)
        };
        let contents = self.store().contents();
        match location {
            Some(location) => contents.within(location).create(id, file),
            None => contents.create(id, file),
        }
        .map_err(from_content)
    }

    /// Truncation to nothing: a new, empty content. What it replaces is kept until the last writer
    /// has closed the file, for a crash in between.
    pub(super) fn empty(&self, node: NodeId, kill_suid: bool) -> Op<()> {
        self.refuse_views(node)?;
        loop {
            let (current, kind) = {
                let tree = self.store().read();
                let live = tree.node(node).ok_or(OpError::Stale)?;
                (live.row.content, live.row.kind)
            };
            if kind != Kind::File {
                return Err(OpError::Invalid);
            }
            let (id, file) = (ContentId(self.store().new_id()), self.store().new_id());
            let fresh = self.create_content(node, id, file)?;
            match self.set_empty(node, current, &fresh, kill_suid) {
                Ok(true) => return Ok(()),
                Ok(false) => discard(self, id),
                Err(error) => {
                    discard(self, id);
                    return Err(error);
                }
            }
        }
    }

    /// Gives the node a content that is empty, if it still has the expected one.
    fn set_empty(
        &self,
        node: NodeId,
        expected: Option<ContentId>,
        fresh: &Arc<Content>,
        kill_suid: bool,
    ) -> Op<bool> {
        self.store().write(|tx| {
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            if live.row.content != expected {
                return Ok(false);
            }
            let was_closed = !live.row.writing;
            // `base` keeps what it has: then the place is for what only is here.
            let kept_by_base = |content: Option<ContentId>| {
                live.links.iter().any(|id| {
                    let base = tx.tree().item(*id).and_then(|i| i.base.as_deref());
                    content.is_some() && base.is_some_and(|b| b.content == content)
                })
            };
            let may_replace = was_closed || live.row.replaced.is_none() || kept_by_base(live.row.replaced);
            let now = tx.now();
            tx.add_content(fresh.id());
            tx.edit_node(node, |row| {
                row.content = Some(fresh.id());
                row.size = fresh.size();
                if kill_suid {
                    row.mode = without_set_ids(row.mode);
                }
                row.mtime = now;
                row.ctime = now;
                row.writing = true;
                if may_replace {
                    row.replaced = expected;
                }
            });
            record_write(tx, node);
            Ok(true)
        })
    }
}

/// A content that may be written.
struct Writable {
    content: Arc<Content>,
    /// Of a new one: what the node has until it is recorded.
    instead_of: Option<Option<ContentId>>,
}

fn discard(ops: &Fileops, id: ContentId) {
    let contents = ops.store().contents();
    if let Some(freed) = contents.discard(id)
        && let Err(error) = contents.free(freed)
    {
        tracing::warn!(content = id.0, %error, "an unused content stays on the disk");
    }
}

fn record_write(tx: &mut Tx<'_>, node: NodeId) {
    note_change(tx, node);
    let links = tx.tree().node(node).map(|l| l.links.clone()).unwrap_or_default();
    links.into_iter().for_each(|item| tx.relog(item));
    bind::reap(tx, node);
}

pub(super) fn not_here(node: NodeId, content: &Content, range: Range<u64>, error: ContentError) -> OpError {
    match error {
        ContentError::NotHere { content: lacking, .. } => {
            let range = if lacking == content.id() { range } else { 0..u64::MAX };
            OpError::NotHere(Need::Bytes { node, content: lacking, range })
        }
        error => from_content(error),
    }
}

pub(super) fn read_content(node: NodeId, content: &Content, offset: u64, buf: &mut [u8]) -> Op<usize> {
    let end = offset.saturating_add(buf.len() as u64).min(content.size());
    content.read_at(offset, buf).map_err(|error| not_here(node, content, offset..end.max(offset), error))
}
