//! What each choice leaves of a conflict.

use crate::model::{ContentId, ItemId, Kind, Name, NodeId, Side, State};
use crate::reconcile::{is_folder_there, local_folder, new_node, settle};
use crate::store::Tx;
use crate::store::rows::{Entry, Item, ServerSide};
use crate::store::tree::Tree;

use super::stash::{stash_local, stash_server};

/// Why both sides went to the stash.
const MERGED: &str = "a merged version was chosen";

/// A choice, with what had to be prepared for it outside the transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inputs {
    Local {
        keep_loser: bool,
    },
    Server {
        keep_loser: bool,
    },
    Original {
        keep_losers: bool,
    },
    Newest,
    Both,
    /// These bytes: a text merge, or a file of the person's own.
    Bytes(ContentId),
}

/// Which states must be wholly here for a choice and are not, as a sentence.
pub fn inputs_missing(tx: &Tx<'_>, id: ItemId, inputs: &Inputs) -> Option<String> {
    let item = tx.tree().item(id)?;
    let is_here = |state: Option<&State>| {
        state.is_none_or(|s| s.content.is_none_or(|c| tx.content(c).is_some_and(|c| c.is_whole())))
    };
    let server = tx.tree().server_state(item);
    // Whatever loses on the server is set aside first, so it must be here.
    let server_loses = !matches!(inputs, Inputs::Server { .. });
    if server_loses && !is_here(server) {
        return Some("the server's version is not here yet; try again when it has been fetched".into());
    }
    if server_loses && files_for_folders(tx.tree(), id).iter().any(|f| !is_here(server_of(tx.tree(), *f))) {
        return Some(
            "the server has a file in place of its folder, which is not here yet; try again later".into(),
        );
    }
    if matches!(inputs, Inputs::Original { .. }) && !is_here(item.base.as_deref()) {
        return Some("the original is not here".into());
    }
    None
}

/// Carries a choice out on one conflict; nothing is changed where it is refused.
pub fn decide(tx: &mut Tx<'_>, id: ItemId, inputs: &Inputs) -> Result<(), String> {
    if let Some(missing) = inputs_missing(tx, id, inputs) {
        return Err(missing);
    }
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let local = tx.tree().exists(item, Side::Local);
    let server = tx.tree().exists(item, Side::Server);
    match inputs {
        Inputs::Local { keep_loser } => keep_local(tx, id, *keep_loser),
        Inputs::Server { keep_loser } => keep_server(tx, id, *keep_loser),
        Inputs::Original { keep_losers } => keep_original(tx, id, *keep_losers),
        Inputs::Newest => {
            let (Some(ours), Some(theirs)) = (local_mtime(tx.tree(), item), server_mtime(tx.tree(), item))
            else {
                return Err("one side is absent, so none is the newest; choose a side".into());
            };
            if ours >= theirs { keep_local(tx, id, false) } else { keep_server(tx, id, false) }
        }
        Inputs::Both => match (local, server) {
            (true, true) => keep_both(tx, id),
            (true, false) => keep_local(tx, id, false),
            _ => keep_server(tx, id, false),
        },
        Inputs::Bytes(content) => {
            replace_local(tx, id, *content)?;
            keep_local_as(tx, id, MERGED, false)
        }
    }
}

fn local_mtime(tree: &Tree, item: &Item) -> Option<crate::model::Time> {
    Some(tree.node(item.entry.as_ref()?.node)?.row.mtime)
}

fn server_mtime(tree: &Tree, item: &Item) -> Option<crate::model::Time> {
    tree.server_state(item).map(|s| s.meta.mtime)
}

/// The server's state is what both agreed on from now on; what is here differs and will be sent.
fn rebase(tx: &mut Tx<'_>, id: ItemId) {
    let Some(item) = tx.tree().item(id) else { return };
    let server = tx.tree().server_state(item).cloned();
    tx.edit_item(id, |item| {
        item.base = server.map(Box::new);
        item.server = ServerSide::AsBase;
        item.conflict = None;
        item.problem = None;
    });
    revive_on_server(tx, id);
    let node = tx.tree().item(id).and_then(|i| i.entry.as_ref()).map(|e| e.node);
    if let Some(node) = node {
        crate::fileops::note_change(tx, node);
    }
    tx.relog(id);
}

/// Folders above it that the server removed are made there again, also where it has something else in
/// their place, which is set aside.
fn revive_on_server(tx: &mut Tx<'_>, id: ItemId) {
    for folder in gone_folders(tx.tree(), id) {
        stash_server(tx, folder, "a folder with changes of yours was kept in its place", false);
        tx.edit_item(folder, |item| {
            item.base = match std::mem::take(&mut item.server) {
                ServerSide::At(state) => Some(state),
                _ => None,
            };
            item.conflict = None;
        });
        tx.relog(folder);
    }
}

/// The folders above an item here that are none on the server.
fn gone_folders(tree: &Tree, id: ItemId) -> Vec<ItemId> {
    let above = |id: ItemId| {
        let item = tree.item(id)?;
        Some(tree.place(item, Side::Local)?.0)
    };
    std::iter::successors(above(id), |id| above(*id))
        .take(4096)
        .filter(|id| tree.item(*id).is_some_and(|item| !is_folder_there(tree, item)))
        .collect()
}

/// Of those, the ones that are something else there.
fn files_for_folders(tree: &Tree, id: ItemId) -> Vec<ItemId> {
    let mut folders = gone_folders(tree, id);
    folders.retain(|id| server_of(tree, *id).is_some());
    folders
}

fn server_of(tree: &Tree, id: ItemId) -> Option<&State> {
    tree.server_state(tree.item(id)?)
}

/// Folders above it that were removed here are here again. The node of the folder at `folder`.
fn revive_here(tx: &mut Tx<'_>, folder: ItemId) -> Result<NodeId, String> {
    if let Some(node) = local_folder(tx.tree(), folder) {
        return Ok(node);
    }
    let item = tx.tree().item(folder).ok_or("its folder is gone")?;
    if item.entry.is_some() {
        // To put a folder in its place would drop it.
        return Err("a file is here in place of its folder; decide about that one first".into());
    }
    let state = tx.tree().server_state(item).cloned().ok_or("its folder is gone on the server too")?;
    let above = state.parent.ok_or("its folder is gone")?;
    let parent = revive_here(tx, above)?;
    if tx.tree().child(parent, state.name.as_bytes()).is_some() {
        return Err("something else has the name of its folder".into());
    }
    let node = new_node(tx, &state);
    tx.edit_node(node, |row| row.listed = true);
    let name = state.name.clone();
    tx.edit_item(folder, |item| item.entry = Some(Entry { parent, name: state.name, node }));
    tx.relog(folder);
    tx.invalidate_entry(parent, &name);
    tx.invalidate_node(parent);
    Ok(node)
}

fn keep_local(tx: &mut Tx<'_>, id: ItemId, keep_loser: bool) -> Result<(), String> {
    keep_local_as(tx, id, "yours was kept", keep_loser)
}

/// `why` the server's went to the stash.
fn keep_local_as(tx: &mut Tx<'_>, id: ItemId, why: &str, keep_loser: bool) -> Result<(), String> {
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let server_is_folder = tx.tree().server_state(item).is_some_and(|s| s.meta.kind == Kind::Folder);
    let local_is_folder =
        item.entry.as_ref().and_then(|e| tx.tree().node(e.node)).is_some_and(|l| l.row.kind == Kind::Folder);
    if server_is_folder
        && item.entry.is_some()
        && !local_is_folder
        && !tx.tree().server_children(id).is_empty()
    {
        return Err("the server has a folder with things in it there; move them first".into());
    }
    stash_server(tx, id, why, keep_loser);
    rebase(tx, id);
    Ok(())
}

fn keep_server(tx: &mut Tx<'_>, id: ItemId, keep_loser: bool) -> Result<(), String> {
    stash_local(tx, id, "the server's was kept", keep_loser);
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let server = tx.tree().server_state(item).cloned();
    match (item.entry.clone(), server) {
        (None, None) => {}
        (None, Some(state)) => {
            if let Some(parent) = state.parent {
                revive_here(tx, parent)?;
            }
            tx.edit_item(id, |item| {
                item.base = None;
                item.server = ServerSide::At(Box::new(state));
                item.conflict = None;
            });
        }
        (Some(entry), server) => {
            // As if what is here were what both had: then the server's is simply newer.
            let as_local = state_of_local(tx, id, &entry).ok_or("it is just going")?;
            let side = match server {
                Some(state) => ServerSide::At(Box::new(state)),
                None => ServerSide::Gone,
            };
            tx.edit_item(id, |item| {
                item.base = Some(Box::new(as_local));
                item.server = side;
                item.conflict = None;
                item.pending = None;
            });
            make_way(tx, id)?;
        }
    }
    tx.edit_item(id, |item| item.problem = None);
    settle(tx, id);
    Ok(())
}

/// What is here in the way of the server's place gets another name beside it.
fn make_way(tx: &mut Tx<'_>, id: ItemId) -> Result<(), String> {
    let Some((folder, name)) = tx.tree().item(id).and_then(|i| tx.tree().place(i, Side::Server)) else {
        return Ok(());
    };
    let parent = revive_here(tx, folder)?;
    let Some(other) = tx.tree().child(parent, name.as_bytes()).filter(|other| *other != id) else {
        return Ok(());
    };
    let free = beside(tx, parent, &name, "local")?;
    let Some(entry) = tx.tree().item(other).and_then(|i| i.entry.clone()) else {
        return Ok(());
    };
    tx.edit_item(other, |item| item.entry = Some(Entry { name: free.clone(), ..entry }));
    tx.relog(other);
    tx.invalidate_entry(parent, &name);
    tx.invalidate_entry(parent, &free);
    tx.invalidate_node(parent);
    Ok(())
}

fn state_of_local(tx: &Tx<'_>, id: ItemId, entry: &Entry) -> Option<State> {
    let tree = tx.tree();
    let row = &tree.node(entry.node)?.row;
    let (parent, name) = tree.place(tree.item(id)?, Side::Local)?;
    let version = crate::model::Version::new(b"");
    Some(State {
        parent: Some(parent),
        name,
        meta: crate::model::Meta {
            kind: row.kind,
            mode: row.mode,
            size: row.size,
            mtime: row.mtime,
            link_target: row.link_target.clone(),
            xattrs: Some(row.xattrs.clone()),
            version,
            file_id: None,
        },
        content: row.content,
    })
}

fn keep_original(tx: &mut Tx<'_>, id: ItemId, keep_losers: bool) -> Result<(), String> {
    stash_local(tx, id, "the original was kept", keep_losers);
    stash_server(tx, id, "the original was kept", keep_losers);
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let old = item.entry.clone();
    match item.base.as_deref().cloned() {
        None => {
            if let Some(entry) = old {
                let has_children = tx.tree().node(entry.node).is_some_and(|l| !l.children.is_empty());
                if has_children {
                    return Err("the folder here has things in it".into());
                }
                unlink(tx, id, &entry);
            }
        }
        Some(base) => {
            let place = match &old {
                // It stepped aside there to let others pass: it stays where it is here.
                Some(_) if base.name.is_temporary() => tx.tree().place(item, Side::Local),
                _ => base.parent.map(|parent| (parent, base.name.clone())),
            };
            let (folder, name) = place.ok_or("it is the root")?;
            let parent = revive_here(tx, folder)?;
            let other = tx.tree().child(parent, name.as_bytes()).filter(|other| *other != id);
            if other.is_some() {
                return Err("something else has its original name here".into());
            }
            let same_folder = base.meta.kind == Kind::Folder
                && old
                    .as_ref()
                    .and_then(|e| tx.tree().node(e.node))
                    .is_some_and(|l| l.row.kind == Kind::Folder);
            let node = match (&old, same_folder) {
                (Some(entry), true) => entry.node,
                _ => new_node(tx, &base),
            };
            tx.edit_node(node, |row| row.mode = base.meta.mode);
            let entry = Entry { parent, name: name.clone(), node };
            tx.edit_item(id, |item| item.entry = Some(entry));
            if let Some(old) = old {
                tx.invalidate_entry(old.parent, &old.name);
                tx.invalidate_node(old.parent);
                if old.node != node {
                    crate::fileops::let_go(tx, old.node);
                }
            }
            tx.invalidate_entry(parent, &name);
            tx.invalidate_node(parent);
        }
    }
    rebase(tx, id);
    Ok(())
}

fn unlink(tx: &mut Tx<'_>, id: ItemId, entry: &Entry) {
    tx.edit_item(id, |item| item.entry = None);
    tx.invalidate_entry(entry.parent, &entry.name);
    tx.invalidate_node(entry.parent);
    crate::fileops::let_go(tx, entry.node);
}

fn keep_both(tx: &mut Tx<'_>, id: ItemId) -> Result<(), String> {
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let entry = item.entry.clone().ok_or("it is gone here")?;
    let state = tx.tree().server_state(item).cloned().ok_or("it is gone on the server")?;
    let local_kind = tx.tree().node(entry.node).map(|l| l.row.kind);
    if state.meta.kind == Kind::Folder || local_kind == Some(Kind::Folder) {
        return Err("a folder cannot be kept beside; choose a side".into());
    }
    // Also where they differ in name or mode only: each is then there as it was.
    let name = beside(tx, entry.parent, &entry.name, "server")?;
    let folder = tx.tree().folder_item(entry.parent).ok_or("its folder is gone")?;
    let node = new_node(tx, &state);
    let copy = Entry { parent: entry.parent, name: name.clone(), node };
    crate::fileops::new_item(tx, folder, copy, state.meta.kind);
    tx.invalidate_entry(entry.parent, &name);
    tx.invalidate_node(entry.parent);
    rebase(tx, id);
    Ok(())
}

/// A free name like `STEM (server 2026-11-24).EXT`, with a number where it is taken.
fn beside(tx: &Tx<'_>, parent: NodeId, name: &Name, side: &str) -> Result<Name, String> {
    let (year, month, day) = tx.now().date();
    let (stem, extension) = name.split_extension();
    let folder = tx.tree().folder_item(parent);
    for number in 1..10_000 {
        let count = if number == 1 { String::new() } else { format!(" {number}") };
        let mark = format!(" ({side} {year:04}-{month:02}-{day:02}{count})");
        let tail = extension.map(|e| [b".", e].concat()).unwrap_or_default();
        let room = Name::MAX_BYTES.saturating_sub(mark.len() + tail.len());
        let bytes = [cut(stem, room), mark.as_bytes(), &tail].concat();
        let Ok(candidate) = Name::new(&bytes) else {
            return Err("its name is too long".into());
        };
        let taken_here = tx.tree().child(parent, candidate.as_bytes()).is_some();
        let taken_there = folder.is_some_and(|f| tx.tree().server_child(f, candidate.as_bytes()).is_some());
        if !taken_here && !taken_there {
            return Ok(candidate);
        }
    }
    Err("no name is free beside it".into())
}

/// At most so many bytes, not in the middle of a UTF-8 character.
fn cut(bytes: &[u8], room: usize) -> &[u8] {
    let mut end = bytes.len().min(room);
    while end > 0 && end < bytes.len() && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &bytes[..end]
}

/// The local side gets these bytes. What it had is set aside.
fn replace_local(tx: &mut Tx<'_>, id: ItemId, content: ContentId) -> Result<(), String> {
    let size = tx.content(content).ok_or("the bytes are gone")?.size();
    stash_local(tx, id, MERGED, false);
    let item = tx.tree().item(id).ok_or("it is gone")?;
    let like = tx.tree().server_state(item).or(item.base.as_deref()).cloned();
    let (entry, row) = match item.entry.clone() {
        Some(entry) => {
            let row = tx.tree().node(entry.node).map(|l| l.row.clone()).ok_or("it is gone")?;
            if row.kind == Kind::Folder {
                return Err("a folder has no bytes".into());
            }
            (entry, Some(row))
        }
        None => {
            let place = like.as_ref().and_then(|s| Some((s.parent?, s.name.clone())));
            let (folder, name) = place.ok_or("it is gone on both sides")?;
            let parent = revive_here(tx, folder)?;
            (Entry { parent, name, node: NodeId(0) }, None)
        }
    };
    let state = like.ok_or("it is gone on both sides").or_else(|error| {
        let entry = tx.tree().item(id).and_then(|i| i.entry.clone());
        entry.and_then(|e| state_of_local(tx, id, &e)).ok_or(error)
    })?;
    let node = new_node(tx, &state);
    let now = tx.now();
    tx.edit_node(node, |new| {
        if let Some(row) = &row {
            new.mode = row.mode;
            new.uid = row.uid;
            new.gid = row.gid;
            new.xattrs = row.xattrs.clone();
        }
        new.kind = Kind::File;
        new.link_target = None;
        new.content = Some(content);
        new.size = size;
        new.mtime = now;
    });
    tx.add_content(content);
    tx.sync_content(content);
    let old = entry.node;
    tx.edit_item(id, |item| item.entry = Some(Entry { node, ..entry.clone() }));
    tx.invalidate_entry(entry.parent, &entry.name);
    tx.invalidate_node(entry.parent);
    crate::fileops::let_go(tx, old);
    Ok(())
}
