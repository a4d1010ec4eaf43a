//! Taking over here what the server did.

use crate::model::{ConflictKind, ItemId, Kind, Meta, Name, NodeId, Side, State, Time};
use crate::store::Tx;
use crate::store::rows::{Aspects, Did, Entry, Node, ServerSide};
use crate::store::tree::Tree;

use super::settle::{Settled, hold, settle};

pub(super) fn agree(tx: &mut Tx<'_>, id: ItemId) -> Settled {
    let Some(item) = tx.tree().item(id) else {
        return Settled::Done;
    };
    match tx.tree().server_state(item).cloned() {
        None => tx.edit_item(id, |item| {
            item.base = None;
            item.server = ServerSide::AsBase;
            item.conflict = None;
        }),
        Some(mut state) => {
            // Both made it: the bytes are the same, ours are here.
            let node = item.entry.as_ref().map(|e| e.node);
            if let Some(live) = node.and_then(|n| tx.tree().node(n)) {
                if state.meta.kind == Kind::File && live.row.content.is_some() {
                    state.content = live.row.content;
                }
                if let Some(content) = state.content.filter(|_| state.meta.kind == Kind::File) {
                    let node = live.row.id;
                    if live.row.content.is_none() {
                        tx.edit_node(node, |row| row.content = Some(content));
                    }
                }
            }
            if let Some(node) = node {
                let (mode, xattrs) = (state.meta.mode, state.meta.xattrs.clone());
                tx.edit_node(node, |row| {
                    row.mode = mode;
                    if let Some(xattrs) = xattrs {
                        row.xattrs = xattrs;
                    }
                });
                tx.invalidate_node(node);
            }
            let theirs = state.meta.mtime;
            tx.edit_item(id, |item| {
                item.base = Some(Box::new(state));
                item.server = ServerSide::AsBase;
                item.conflict = None;
            });
            agree_on_time(tx, id, theirs);
        }
    }
    Settled::Done
}

/// Where both have the same bytes the newer time stays, on both sides.
fn agree_on_time(tx: &mut Tx<'_>, id: ItemId, theirs: Time) {
    let node = tx.tree().item(id).and_then(|i| i.entry.as_ref()).and_then(|e| tx.tree().node(e.node));
    let Some((node, ours)) = node.filter(|l| l.row.kind == Kind::File).map(|l| (l.row.id, l.row.mtime))
    else {
        return;
    };
    // A server that keeps whole seconds has the same time.
    let is_same = ours == theirs || (theirs.subsec_nanos() == 0 && ours.secs() == theirs.secs());
    if is_same {
        return;
    }
    if ours < theirs {
        tx.edit_node(node, |row| row.mtime = theirs);
        tx.invalidate_node(node);
    } else {
        crate::fileops::mark_times(tx, node);
    }
}

pub(super) fn take_creation(tx: &mut Tx<'_>, id: ItemId) -> Settled {
    let Some(state) = tx.tree().item(id).and_then(|i| tx.tree().server_state(i)).cloned() else {
        return Settled::Done;
    };
    let name = match Name::new(b"set aside") {
        Ok(name) if state.name.is_temporary() => name,
        _ => state.name.clone(),
    };
    let Some(parent) = state.parent.and_then(|p| local_folder(tx.tree(), p)) else {
        return Settled::Later;
    };
    if let Some(other) = tx.tree().child(parent, name.as_bytes()) {
        // It is to go, or waits for a decision: the name is not free yet.
        let goes = tx.tree().item(other).is_some_and(|o| o.server == ServerSide::Gone);
        if goes {
            return Settled::Later;
        }
        return take_name(tx, id, other);
    }
    tx.note_agreed(id, Did::TAKEN);
    let node = new_node(tx, &state);
    let entry = Entry { parent, name: name.clone(), node };
    tx.edit_item(id, |item| {
        item.entry = Some(entry);
        item.base = Some(Box::new(state));
        item.server = ServerSide::AsBase;
        item.conflict = None;
    });
    tx.invalidate_entry(parent, &name);
    tx.invalidate_node(parent);
    Settled::Done
}

/// Something of another item came to stand here under the name that the server's new thing has: both
/// were made under one name, and are one item. Where the other one was known elsewhere, it is gone from
/// there.
pub(super) fn take_name(tx: &mut Tx<'_>, id: ItemId, other: ItemId) -> Settled {
    let Some(there) = tx.tree().item(other).filter(|i| i.sending.is_none()) else {
        return Settled::Later;
    };
    let entry = there.entry.clone();
    tx.edit_item(other, |item| item.entry = None);
    tx.edit_item(id, |item| item.entry = entry);
    tx.relog(other);
    settle(tx, id)
}

pub(super) fn take_removal(tx: &mut Tx<'_>, id: ItemId) -> Settled {
    let Some(entry) = tx.tree().item(id).and_then(|i| i.entry.clone()) else {
        return Settled::Done;
    };
    let has_children = tx.tree().node(entry.node).is_some_and(|live| !live.children.is_empty());
    if has_children {
        // What is changed or new in it keeps it until it is settled.
        return Settled::Later;
    }
    tx.note_agreed(id, Did::TAKEN);
    tx.edit_item(id, |item| {
        item.entry = None;
        item.base = None;
        item.server = ServerSide::AsBase;
        item.conflict = None;
        item.pending = None;
        item.pinned = false;
    });
    tx.happened(id, "removed here, because it was removed on the server");
    tx.invalidate_entry(entry.parent, &entry.name);
    tx.invalidate_node(entry.parent);
    crate::fileops::let_go(tx, entry.node);
    Settled::Done
}

pub(super) fn merge(
    tx: &mut Tx<'_>,
    id: ItemId,
    take: Aspects,
    agree: Aspects,
    conflict: Option<ConflictKind>,
) -> Settled {
    let mut done = agree;
    if take.contains(Aspects::PLACE) {
        match take_place(tx, id) {
            Placed::Done => done |= Aspects::PLACE,
            Placed::Later => return Settled::Later,
            Placed::Conflict(kind) => return hold(tx, id, kind),
        }
    }
    let here = take - Aspects::PLACE;
    if !here.is_empty() && take_rest(tx, id, here) {
        done |= here;
    } else if !here.is_empty() {
        // The folder here holds things, and the server has no folder any more.
        return hold(tx, id, ConflictKind::Type);
    }
    // A time or a mark alone is nothing that anybody did.
    if conflict.is_none() && take.intersects(Aspects::all() - Aspects::TIMES) {
        tx.note_agreed(id, Did::TAKEN);
    }
    let Some(item) = tx.tree().item(id) else {
        return Settled::Done;
    };
    let Some(server) = tx.tree().server_state(item).cloned() else {
        return Settled::Done;
    };
    let Some(base) = item.base.as_deref() else {
        return Settled::Done;
    };
    if conflict.is_none() {
        let theirs = server.meta.mtime;
        let mut state = server;
        // Where both have the same bytes, ours are the ones that are here.
        if agree.contains(Aspects::CONTENT)
            && let Some(content) =
                item.entry.as_ref().and_then(|e| tx.tree().node(e.node)).map(|l| l.row.content)
        {
            state.content = content;
        }
        tx.edit_item(id, |item| {
            item.base = Some(Box::new(state));
            item.server = ServerSide::AsBase;
            item.conflict = None;
            if let Some(pending) = &mut item.pending {
                pending.aspects -= agree;
            }
        });
        if agree.intersects(Aspects::CONTENT | Aspects::TIMES) {
            agree_on_time(tx, id, theirs);
        }
        return Settled::Done;
    }
    let mut state = base.clone();
    overlay(&mut state, &server, done);
    tx.edit_item(id, |item| item.base = Some(Box::new(state)));
    match conflict {
        Some(kind) => hold(tx, id, kind),
        None => Settled::Done,
    }
}

/// Brings some respects of one state into another. The version stays: it stands for the content.
pub(super) fn overlay(state: &mut State, from: &State, aspects: Aspects) {
    if aspects.contains(Aspects::PLACE) {
        state.parent = from.parent;
        state.name = from.name.clone();
    }
    if aspects.contains(Aspects::MODE) {
        state.meta.mode = from.meta.mode;
    }
    if aspects.contains(Aspects::XATTRS) {
        state.meta.xattrs = from.meta.xattrs.clone();
    }
    if aspects.contains(Aspects::CONTENT) {
        state.content = from.content;
        // Mode and attributes are respects of their own, and may be what conflicts.
        let (mode, xattrs) = (state.meta.mode, state.meta.xattrs.take());
        state.meta = Meta { mode, xattrs, ..from.meta.clone() };
    }
}

pub(super) enum Placed {
    Done,
    Later,
    Conflict(ConflictKind),
}

pub(super) fn take_place(tx: &mut Tx<'_>, id: ItemId) -> Placed {
    let tree = tx.tree();
    let Some(item) = tree.item(id) else {
        return Placed::Done;
    };
    let Some(server) = tree.server_state(item).cloned() else {
        return Placed::Done;
    };
    let Some(old) = item.entry.clone() else {
        return Placed::Done;
    };
    // Where it stepped aside on the server to let others pass is no place to have it here.
    if server.name.is_temporary() {
        return Placed::Done;
    }
    let Some(parent_item) = server.parent else {
        return Placed::Done;
    };
    let Some(parent) = local_folder(tree, parent_item) else {
        // The folder it was moved into is not here (yet), or was removed here.
        let removed = tree.item(parent_item).is_some_and(|p| p.base.is_some());
        return if removed { Placed::Conflict(ConflictKind::Name) } else { Placed::Later };
    };
    if tree.lies_in(parent_item, id, Side::Local) {
        return Placed::Conflict(ConflictKind::Cycle);
    }
    let entry = Entry { parent, name: server.name.clone(), node: old.node };
    match tree.child(parent, server.name.as_bytes()) {
        Some(other) if other == id => {}
        Some(other) => {
            let Some(occupant) = tree.item(other) else {
                return Placed::Later;
            };
            let moves_too = occupant.server != ServerSide::AsBase && occupant.entry.is_some();
            if !moves_too {
                return Placed::Conflict(ConflictKind::Name);
            }
            if tree.lies_in(tree.folder_item(old.parent).unwrap_or(id), other, Side::Local) {
                return Placed::Later;
            }
            // It is to go elsewhere as well: until then it stands where this one was.
            let Some(other_entry) = occupant.entry.clone() else {
                return Placed::Later;
            };
            let aside = Entry { node: other_entry.node, ..old.clone() };
            tx.edit_item(other, |item| item.entry = Some(aside));
            tx.edit_item(id, |item| item.entry = Some(entry.clone()));
            tx.relog(other);
            tell_moved(tx, &old, &entry);
            return Placed::Done;
        }
        None => {}
    }
    tx.edit_item(id, |item| item.entry = Some(entry.clone()));
    tell_moved(tx, &old, &entry);
    Placed::Done
}

pub(super) fn tell_moved(tx: &mut Tx<'_>, old: &Entry, new: &Entry) {
    tx.invalidate_entry(old.parent, &old.name);
    tx.invalidate_entry(new.parent, &new.name);
    tx.invalidate_node(old.parent);
    tx.invalidate_node(new.parent);
    tx.invalidate_node(new.node);
}

/// Content, mode, attributes. A new content is a new node: who has the old one open keeps it whole.
pub(super) fn take_rest(tx: &mut Tx<'_>, id: ItemId, take: Aspects) -> bool {
    let tree = tx.tree();
    let Some(item) = tree.item(id) else { return true };
    let Some(server) = tree.server_state(item).cloned() else {
        return true;
    };
    let Some(entry) = item.entry.clone() else {
        return true;
    };
    if take.contains(Aspects::CONTENT) {
        let old = tree.node(entry.node).map(|live| live.row.clone());
        if tree.node(entry.node).is_some_and(|live| !live.children.is_empty()) {
            return false;
        }
        let node = new_node(tx, &server);
        if let Some(old) = old {
            tx.edit_node(node, |row| {
                row.uid = old.uid;
                row.gid = old.gid;
                if !take.contains(Aspects::MODE) {
                    row.mode = old.mode;
                }
                if !take.contains(Aspects::XATTRS) {
                    row.xattrs = old.xattrs.clone();
                }
            });
        }
        let entry_now = Entry { node, ..entry.clone() };
        tx.edit_item(id, |item| item.entry = Some(entry_now));
        tx.invalidate_entry(entry.parent, &entry.name);
        tx.invalidate_node(entry.node);
        crate::fileops::let_go(tx, entry.node);
        return true;
    }
    let now = tx.now();
    let was = tx.tree().item(id).and_then(|i| i.base.as_deref()).map(|base| base.meta.mtime);
    tx.edit_node(entry.node, |row| {
        if take.contains(Aspects::MODE) {
            row.mode = server.meta.mode;
            row.ctime = now;
        }
        if take.contains(Aspects::XATTRS)
            && let Some(xattrs) = server.meta.xattrs.clone()
        {
            row.xattrs = xattrs;
            row.ctime = now;
        }
        // The mark may be another one for no reason at all: the time here may be finer than the server's.
        if row.kind == Kind::File && was != Some(server.meta.mtime) {
            row.mtime = server.meta.mtime;
        }
    });
    tx.invalidate_node(entry.node);
    true
}

/// The local node of a folder item.
pub fn local_folder(tree: &Tree, folder: ItemId) -> Option<NodeId> {
    let entry = tree.item(folder)?.entry.as_ref()?;
    tree.node(entry.node).filter(|live| live.row.kind == Kind::Folder).map(|live| live.row.id)
}

/// A node that looks like a state of the server.
pub fn new_node(tx: &mut Tx<'_>, state: &State) -> NodeId {
    let id = NodeId(tx.new_id());
    tx.put_node(Node { id, ..node_like(tx, state) });
    id
}

/// The row of such a node, without a number.
pub fn node_like(tx: &Tx<'_>, state: &State) -> Node {
    let (uid, gid) = tx.owner();
    let now = tx.now();
    let meta = &state.meta;
    let mtime = if meta.kind == Kind::Folder { now } else { meta.mtime };
    Node {
        id: NodeId(0),
        kind: meta.kind,
        mode: meta.mode,
        uid,
        gid,
        rdev: 0,
        size: if meta.kind == Kind::Folder { 0 } else { meta.size },
        atime: mtime,
        mtime,
        ctime: now,
        content: state.content,
        link_target: meta.link_target.clone(),
        xattrs: meta.xattrs.clone().unwrap_or_default(),
        listed: false,
        writing: false,
        replaced: None,
    }
}
