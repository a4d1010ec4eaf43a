//! Opening and closing files, and what a close makes of what was written.

use std::sync::atomic::Ordering::Relaxed;

use crate::model::{FileHandle, Kind, Needs, NodeId};
use crate::store::persist::StoreError;
use crate::store::tree::Live;
use crate::store::{Store, Tx};

use super::{Caller, Fileops, Op, OpError, OpenMode, Opened, bind, views};

impl Fileops {
    pub fn open(&self, caller: Caller, node: NodeId, mode: OpenMode) -> Op<Opened> {
        if views::is_view(node) {
            return self.view_open(node, mode);
        }
        {
            let tree = self.store().read();
            let live = tree.node(node).ok_or(OpError::Stale)?;
            if live.row.kind != Kind::File {
                return Err(if live.row.kind == Kind::Folder { OpError::IsFolder } else { OpError::Invalid });
            }
        }
        // A program that rewrites a file is not let begin where it could not go on: its old content
        // would be gone.
        if mode.write && mode.truncate {
            self.with_room(|| Ok(self.store().room.admit_rewrite()?))?;
        }
        // Counted first: what a truncation replaces is kept until this writer has closed the file.
        let handle = self.count_open(caller, node, mode.write)?;
        if mode.write
            && mode.truncate
            && let Err(error) = self.empty(node, caller.uid != 0)
        {
            self.release(node, handle);
            return Err(error);
        }
        self.note_use(node);
        Ok(Opened { handle, keep_cache: true })
    }

    /// What was used longest ago is the first to go where room is needed.
    fn note_use(&self, node: NodeId) {
        let content = self.store().read().node(node).and_then(|live| live.row.content);
        if let Some(content) = content.and_then(|id| self.store().contents().get(id)) {
            content.use_at(self.store().world().now().seconds());
        }
    }

    /// The last descriptor of this open file is gone.
    pub fn release(&self, node: NodeId, handle: FileHandle) {
        self.note_use(node);
        let Some(file) = self.0.handles.lock().file(handle) else {
            return;
        };
        let closed = self.store().write_in_reserve(|tx| {
            if let Some(live) = tx.tree_mut().live_mut(file.node) {
                live.opens = live.opens.saturating_sub(1);
                live.writers = live.writers.saturating_sub(u32::from(file.write));
            }
            let closed = file.write && close(tx, file.node);
            bind::reap(tx, file.node);
            Ok::<_, OpError>(closed)
        });
        if let Err(error) = closed {
            tracing::error!(node = node.0, %error, "a close cannot be recorded");
            self.store().unrecorded.store(true, Relaxed);
        }
        // Only now: where the engine ends before, the next one is asked again.
        self.0.handles.lock().remove_file(handle);
        if file.write {
            // What the server did to an open file waits for its close, written to or not.
            self.store().changed.notify(usize::MAX);
        }
    }

    /// Waits until content and tree are on the disk.
    pub fn fsync(&self, node: NodeId, _handle: FileHandle) -> Op<()> {
        let content = {
            let tree = self.store().read();
            tree.node(node).and_then(|l| l.row.content)
        };
        if let Some(content) = content.and_then(|id| self.store().contents().get(id)) {
            self.store().contents().sync(&[content]).map_err(|e| super::errors::from_io(&e))?;
        }
        self.store().flush().map_err(OpError::from)
    }

    /// A change by path (`truncate`) has no close of its own to wait for. What was done is done: a close
    /// that cannot be recorded now is recorded later.
    pub(super) fn close_if_unopened(&self, node: NodeId) {
        let closed = self.store().write_in_reserve(|tx| {
            close(tx, node);
            Ok::<_, OpError>(())
        });
        if let Err(error) = closed {
            tracing::warn!(node = node.0, %error, "a close is recorded later");
            self.store().unrecorded.store(true, Relaxed);
        }
    }
}

/// Records the closes that could not be recorded, on a full disk say: without it what was written would
/// count as being written for ever.
pub(crate) fn close_unrecorded(store: &Store) -> Result<(), StoreError> {
    if !store.unrecorded.swap(false, Relaxed) {
        return Ok(());
    }
    let left: Vec<NodeId> = {
        let tree = store.read();
        let is_left = |live: &&Live| live.opens == 0 && (live.row.writing || live.links.is_empty());
        tree.nodes().filter(is_left).map(|live| live.row.id).collect()
    };
    let closed = store.write_in_reserve(|tx| {
        for node in left {
            close(tx, node);
            bind::reap(tx, node);
        }
        Ok(())
    });
    if closed.is_err() {
        store.unrecorded.store(true, Relaxed);
    }
    closed
}

/// Where no writer is left: what was written is complete.
fn close(tx: &mut Tx<'_>, node: NodeId) -> bool {
    let complete = tx.tree().node(node).is_some_and(|live| live.writers == 0 && live.row.writing);
    if complete {
        written(tx, node);
    }
    complete
}

/// The last writer has closed it: what it holds is whole, whatever was cut off before.
fn written(tx: &mut Tx<'_>, node: NodeId) {
    let content = tx.tree().node(node).and_then(|l| l.row.content);
    tx.edit_node(node, |row| {
        row.writing = false;
        row.replaced = None;
    });
    if let Some(content) = content {
        tx.sync_content(content);
    }
    bind::forget_problem(tx, node, Needs::Unfinished);
}
