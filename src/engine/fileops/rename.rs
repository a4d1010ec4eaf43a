//! Renames, with the rules POSIX and Linux have for them.

use crate::model::{ItemId, Kind, Needs, NodeId, Side};
use crate::store::Tx;

use super::attrs::{note_change, touch_folder};
use super::names::{child, entry_node, new_name};
use super::{Caller, Fileops, Need, Op, OpError, RenameMode, bind};

impl Fileops {
    pub fn rename(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name_bytes: &[u8],
        mode: RenameMode,
    ) -> Op<()> {
        if self.was_done(caller) {
            return Ok(());
        }
        self.refuse_views(parent)?;
        self.refuse_views(new_parent)?;
        for name in [name, new_name_bytes] {
            if matches!(name, b"." | b"..") {
                return Err(OpError::Invalid);
            }
        }
        self.store().write_in_reserve(|tx| {
            tx.answer(caller.request);
            bind::folder(tx.tree(), parent)?;
            let folder = bind::folder(tx.tree(), new_parent)?;
            let moved = child(tx, parent, name)?;
            let new_name = new_name(new_name_bytes)?;
            let over = match child(tx, new_parent, new_name_bytes) {
                Ok(id) => Some(id),
                Err(OpError::NotFound) => None,
                Err(error) => return Err(error),
            };
            let node = entry_node(tx, moved)?;
            match (mode, over) {
                (RenameMode::NoReplace, Some(_)) => return Err(OpError::Exists),
                (RenameMode::Exchange, None) => return Err(OpError::NotFound),
                _ => {}
            }
            must_stay_inside(tx, moved, folder)?;
            let from_folder = bind::folder(tx.tree(), parent)?;
            if over.is_some_and(|over| tx.tree().lies_in(from_folder, over, Side::Local)) {
                return Err(match mode {
                    RenameMode::Exchange => OpError::Invalid,
                    _ => OpError::NotEmpty,
                });
            }
            if let (RenameMode::Exchange, Some(over)) = (mode, over) {
                return exchange(tx, (moved, parent), (over, new_parent));
            }
            let over_node = over.map(|id| entry_node(tx, id)).transpose()?;
            if over_node == Some(node) {
                // Two names of one file: POSIX leaves both.
                return Ok(());
            }
            if let Some(over_node) = over_node {
                may_replace(tx, node, over_node)?;
            }
            let now = tx.now();
            if let Some(over_node) = over_node {
                bring_data_first(tx, node, over_node);
            }
            bind::bind_moved(tx, moved, over, folder, new_parent, &new_name)?;
            bind::forget_problem(tx, node, Needs::Name);
            tx.edit_node(node, |row| row.ctime = now);
            note_change(tx, node);
            touch_folder(tx, parent, now);
            touch_folder(tx, new_parent, now);
            if let Some(over_node) = over_node {
                tx.edit_node(over_node, |row| row.ctime = now);
                bind::reap(tx, over_node);
            }
            Ok(())
        })
    }
}

/// A folder cannot move into itself, nor anything out of its location, nor a location's root.
fn must_stay_inside(tx: &Tx<'_>, moved: ItemId, folder: ItemId) -> Op<()> {
    let tree = tx.tree();
    let location = |id| tree.item(id).map(|i| i.location);
    if location(moved) != location(folder) {
        return Err(OpError::OtherLocation);
    }
    if tree.lies_in(folder, moved, Side::Local) {
        return Err(OpError::Invalid);
    }
    Ok(())
}

/// The new data is on the disk before it takes the old one's name. Where the new file is still being
/// written, the old data is kept until it is closed.
fn bring_data_first(tx: &mut Tx<'_>, node: NodeId, over: NodeId) {
    let content = |id: NodeId| tx.tree().node(id).and_then(|l| l.row.content);
    let (new, old) = (content(node), content(over));
    let unfinished = tx.tree().node(node).is_some_and(|l| l.row.writing && l.row.replaced.is_none());
    if let Some(new) = new {
        tx.sync_content(new);
    }
    if unfinished {
        tx.edit_node(node, |row| row.replaced = old);
    }
}

fn may_replace(tx: &Tx<'_>, node: NodeId, over: NodeId) -> Op<()> {
    let tree = tx.tree();
    let (moved, over_live) = (tree.node(node).ok_or(OpError::Stale)?, tree.node(over).ok_or(OpError::Stale)?);
    match (moved.row.kind, over_live.row.kind) {
        (Kind::Folder, Kind::Folder) => {
            if !over_live.row.listed {
                return Err(OpError::NotHere(Need::Listing(over)));
            }
            if !over_live.children.is_empty() {
                return Err(OpError::NotEmpty);
            }
            Ok(())
        }
        (Kind::Folder, _) => Err(OpError::NotFolder),
        (_, Kind::Folder) => Err(OpError::IsFolder),
        _ => Ok(()),
    }
}

fn exchange(tx: &mut Tx<'_>, a: (ItemId, NodeId), b: (ItemId, NodeId)) -> Op<()> {
    let folder_of_a = tx.tree().folder_item(a.1).ok_or(OpError::Stale)?;
    must_stay_inside(tx, b.0, folder_of_a)?;
    let (node_a, node_b) = (entry_node(tx, a.0)?, entry_node(tx, b.0)?);
    if node_a == node_b {
        return Ok(());
    }
    let now = tx.now();
    bind::bind_exchanged(tx, a.0, b.0)?;
    for node in [node_a, node_b] {
        tx.edit_node(node, |row| row.ctime = now);
        note_change(tx, node);
    }
    touch_folder(tx, a.1, now);
    touch_folder(tx, b.1, now);
    Ok(())
}
