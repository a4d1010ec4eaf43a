//! Which item a new name belongs to: items follow paths when programs save.
//!
//! A program saves by writing a new file and renaming it over the old one, or by moving the old one
//! aside first. As long as the move has not been handed to a remote, what stands at the old path is
//! the new content of the old item, and what was moved aside is a new item: the server sees one
//! update. A file that was on the server before and gets another name stays a move.

use std::path::Path;

use crate::model::{ItemId, Kind, Name, Needs, NodeId};
use crate::store::Tx;
use crate::store::rows::{Aspects, Entry, Item, Problem};
use crate::store::tree::Tree;

use super::{Op, OpError};

/// The item of a folder that entries may be made in.
pub(super) fn folder(tree: &Tree, parent: NodeId) -> Op<ItemId> {
    let live = tree.node(parent).ok_or(OpError::Stale)?;
    if live.row.kind != Kind::Folder {
        return Err(OpError::NotFolder);
    }
    if parent == NodeId::ROOT {
        return Err(OpError::NotPermitted);
    }
    // A folder that was removed while open has no item and takes no entries.
    tree.folder_item(parent).ok_or(OpError::NotFound)
}

/// Whether a name made here lives only here.
pub(super) fn is_local_only(tree: &Tree, folder: ItemId, name: &Name, kind: Kind) -> bool {
    use std::os::unix::ffi::OsStrExt;
    if matches!(kind, Kind::Special(_)) {
        return true;
    }
    let Some(item) = tree.item(folder) else {
        return false;
    };
    if item.local_only {
        return true;
    }
    let Some(location) = tree.location(item.location) else {
        return false;
    };
    if location.ignored.is_empty() {
        return false;
    }
    let path = tree.known_path(folder).unwrap_or_default().join(name);
    let path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
    location.ignored.matched(path, kind == Kind::Folder).is_ignore()
}

/// Whether the place of an item is in the hands of a remote. A creation under way is no hindrance
/// where the item still is: what comes after it is a new content behind it.
fn is_handed_over(item: &Item) -> bool {
    item.sending.as_ref().is_some_and(|i| i.aspects.intersects(Aspects::PLACE | Aspects::REMOVE))
}

fn server_kind(tree: &Tree, item: &Item) -> Option<Kind> {
    item.base.as_deref().or_else(|| tree.server_state(item)).map(|s| s.meta.kind)
}

/// The item that stood at a place on the server when it was moved aside or removed here.
fn claimant(tree: &Tree, folder: ItemId, name: &Name, kind: Kind) -> Option<ItemId> {
    let id =
        tree.base_child(folder, name.as_bytes()).or_else(|| tree.server_child(folder, name.as_bytes()))?;
    let item = tree.item(id)?;
    if is_handed_over(item) || item.local_only {
        return None;
    }
    let theirs = server_kind(tree, item)?;
    let both_folders = theirs == Kind::Folder && kind == Kind::Folder;
    let no_folder = theirs != Kind::Folder && kind != Kind::Folder;
    match item.entry {
        None if both_folders || no_folder => Some(id),
        // Folders that moved stay moves: their entries go with them.
        Some(_) if no_folder && item.base.is_some() => Some(id),
        _ => None,
    }
}

pub(crate) fn new_item(tx: &mut Tx<'_>, folder: ItemId, entry: Entry, kind: Kind) -> ItemId {
    let id = ItemId(tx.new_id());
    let local_only = is_local_only(tx.tree(), folder, &entry.name, kind);
    let location = tx.tree().item(folder).map(|i| i.location).expect("the folder was looked up in this step");
    tx.put_item(Item { entry: Some(entry), local_only, ..Item::new(id, location) });
    tx.relog(id);
    id
}

/// Gives a node that is new (or gets one more link) a name.
pub(crate) fn bind_new(tx: &mut Tx<'_>, folder: ItemId, entry: Entry, kind: Kind) {
    let claimant = if matches!(kind, Kind::Special(_)) {
        None
    } else {
        // What was moved aside and is not here yet stays a move: its bytes are under its own name.
        claimant(tx.tree(), folder, &entry.name, kind).filter(|id| {
            let aside = tx.tree().item(*id).and_then(|i| i.entry.as_ref()).map(|e| e.node);
            aside.is_none_or(|node| is_here(tx, node))
        })
    };
    match claimant {
        // What the server has is never ignored.
        Some(id) => claim(tx, id, entry),
        None => {
            new_item(tx, folder, entry, kind);
        }
    }
}

/// Whether all bytes of a node are here.
fn is_here(tx: &Tx<'_>, node: NodeId) -> bool {
    let content = tx.tree().node(node).and_then(|l| l.row.content);
    content.and_then(|c| tx.content(c)).is_none_or(|c| c.is_whole())
}

/// The item takes the entry; what stood where the item was moved to becomes a new item.
fn claim(tx: &mut Tx<'_>, id: ItemId, entry: Entry) {
    let aside = tx.tree().item(id).and_then(|i| i.entry.clone());
    tx.edit_item(id, |item| item.entry = Some(entry));
    if let Some(aside) = aside
        && let Some(folder) = tx.tree().folder_item(aside.parent)
        && let Some(kind) = tx.tree().node(aside.node).map(|l| l.row.kind)
    {
        new_item(tx, folder, aside, kind);
    }
    tx.relog(id);
}

/// Takes the name from an item. The node stays for who has it open.
pub(super) fn unbind(tx: &mut Tx<'_>, id: ItemId) {
    tx.edit_item(id, |item| {
        item.entry = None;
        item.pinned = false;
        // What is gone needs no other name, and no end of what was written.
        let of_the_entry = |p: &Problem| matches!(p.needs, Needs::Name | Needs::Unfinished);
        if item.problem.as_deref().is_some_and(of_the_entry) {
            item.problem = None;
        }
        if item.local_only {
            item.local_only = false;
        }
    });
    tx.relog(id);
}

/// Moves the entry of `moved` to a place; `over` is what stands there and goes.
pub(super) fn bind_moved(
    tx: &mut Tx<'_>,
    moved: ItemId,
    over: Option<ItemId>,
    folder: ItemId,
    parent: NodeId,
    name: &Name,
) -> Op<()> {
    let tree = tx.tree();
    let item = tree.item(moved).ok_or(OpError::Stale)?;
    let node = item.entry.as_ref().ok_or(OpError::Stale)?.node;
    let kind = tree.node(node).ok_or(OpError::Stale)?.row.kind;
    let known = item.base.is_some() || item.sending.is_some();
    let entry = Entry { parent, name: name.clone(), node };

    let takes = match over.and_then(|id| tree.item(id)) {
        Some(over) => {
            let on_server =
                over.base.is_some() || over.sending.is_some() || tree.server_state(over).is_some();
            let stays = !matches!(kind, Kind::Folder | Kind::Special(_))
                && on_server
                && !over.local_only
                && !is_handed_over(over)
                // Its bytes are only on the server yet, under its own name: it stays what it is.
                && (!known || is_here(tx, node));
            stays.then_some(over.id)
        }
        None if !known && kind != Kind::Folder && !matches!(kind, Kind::Special(_)) => {
            claimant(tree, folder, name, kind).filter(|id| *id != moved)
        }
        None => None,
    };
    match takes {
        Some(id) => {
            let aside = match over {
                Some(_) => None,
                None => tx.tree().item(id).and_then(|i| i.entry.clone()),
            };
            // Both in one go, so that neither the node nor the place is ever without an item.
            tx.edit_item(id, |item| item.entry = Some(entry));
            match aside {
                Some(aside) => tx.edit_item(moved, |item| item.entry = Some(aside)),
                None => tx.edit_item(moved, |item| item.entry = None),
            }
            forget_cut_off(tx, id);
            refresh_local_only(tx, moved);
            tx.relog(moved);
            tx.relog(id);
        }
        None => {
            if let Some(over) = over {
                unbind(tx, over);
            }
            tx.edit_item(moved, |item| item.entry = Some(entry));
            refresh_local_only(tx, moved);
            tx.relog(moved);
        }
    }
    Ok(())
}

/// A complete new write: that an earlier one was cut off is of no concern any more.
pub(super) fn forget_cut_off(tx: &mut Tx<'_>, id: ItemId) {
    let cut_off = |item: &Item| item.problem.as_ref().is_some_and(|p| p.needs == Needs::Unfinished);
    if tx.tree().item(id).is_some_and(cut_off) {
        tx.edit_item(id, |item| item.problem = None);
    }
}

/// Swaps the entries of two items.
pub(super) fn bind_exchanged(tx: &mut Tx<'_>, a: ItemId, b: ItemId) -> Op<()> {
    let entry =
        |id: ItemId, tx: &Tx<'_>| tx.tree().item(id).and_then(|i| i.entry.clone()).ok_or(OpError::Stale);
    let (at_a, at_b) = (entry(a, tx)?, entry(b, tx)?);
    let is_folder = |n: NodeId| tx.tree().node(n).is_some_and(|l| l.row.kind == Kind::Folder);
    let on_server = |id: ItemId| tx.tree().item(id).is_some_and(|i| i.base.is_some() || i.sending.is_some());
    let folders = is_folder(at_a.node) || is_folder(at_b.node);
    let here = is_here(tx, at_a.node) && is_here(tx, at_b.node);
    if !folders && here && on_server(a) != on_server(b) {
        // A program saves by exchange: the items stay with their paths and swap nodes.
        tx.edit_item(a, |item| item.entry = Some(Entry { node: at_b.node, ..at_a }));
        tx.edit_item(b, |item| item.entry = Some(Entry { node: at_a.node, ..at_b }));
    } else {
        let (to_a, to_b) = (Entry { node: at_b.node, ..at_a.clone() }, Entry { node: at_a.node, ..at_b });
        tx.edit_item(a, |item| item.entry = Some(to_b));
        tx.edit_item(b, |item| item.entry = Some(to_a));
        refresh_local_only(tx, a);
        refresh_local_only(tx, b);
    }
    tx.relog(a);
    tx.relog(b);
    Ok(())
}

/// After a move: whether it lives only here may have changed, for all that lies in it too.
fn refresh_local_only(tx: &mut Tx<'_>, id: ItemId) {
    let Some(item) = tx.tree().item(id) else { return };
    let Some(entry) = item.entry.clone() else { return };
    let Some(folder) = tx.tree().folder_item(entry.parent) else {
        return;
    };
    let Some(live) = tx.tree().node(entry.node) else {
        return;
    };
    let on_server = item.base.is_some() || item.sending.is_some() || tx.tree().server_state(item).is_some();
    let local_only = !on_server && is_local_only(tx.tree(), folder, &entry.name, live.row.kind);
    let was = item.local_only;
    let children: Vec<ItemId> = live.children.values().copied().collect();
    if local_only != was {
        tx.edit_item(id, |item| item.local_only = local_only);
        tx.relog(id);
        children.into_iter().for_each(|child| refresh_local_only(tx, child));
    }
}

/// The program has done what a problem of this kind waited for.
pub(super) fn forget_problem(tx: &mut Tx<'_>, node: NodeId, needs: Needs) {
    let links = tx.tree().node(node).map(|l| l.links.clone()).unwrap_or_default();
    for id in links {
        let problem = tx.tree().item(id).and_then(|i| i.problem.as_ref());
        if problem.is_some_and(|p| p.needs == needs) {
            tx.edit_item(id, |item| item.problem = None);
        }
    }
}

/// As `reap`, for a node that lost a name for the server's sake: the kernel, which has not taken part
/// in it, is told that the node has one name less.
pub(crate) fn let_go(tx: &mut Tx<'_>, node: NodeId) {
    tx.invalidate_node(node);
    // Who still reaches it by a name that the kernel remembers is to look again before writing.
    if let Some(live) = tx.tree_mut().live_mut(node)
        && live.links.is_empty()
    {
        live.superseded = true;
    }
    reap(tx, node);
}

/// Lets a node go that no name, no open file and no reference of the kernel holds.
pub(super) fn reap(tx: &mut Tx<'_>, node: NodeId) {
    let unused = tx.tree().node(node).is_some_and(|live| {
        live.links.is_empty()
            && live.opens == 0
            && live.lookups.load(std::sync::atomic::Ordering::Relaxed) == 0
    });
    if unused && node != NodeId::ROOT {
        tx.remove_node(node);
    }
}
