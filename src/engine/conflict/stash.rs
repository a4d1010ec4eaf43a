//! Setting versions aside, and taking them back.

use std::sync::Arc;

use crate::model::{ItemId, Kind, Name, NodeId, Side, StashId};
use crate::store::content::Content;
use crate::store::rows::{Entry, Node, Stashed};
use crate::store::{Store, Tx};

/// Makes what these items hold here final, outside of any transaction: setting it aside then takes no
/// reading of whole files under the trees' lock, and what is written later is written beside it.
pub fn seal_local(store: &Store, items: impl IntoIterator<Item = ItemId>) {
    let contents: Vec<Arc<Content>> = {
        let tree = store.read();
        let content = |id: ItemId| {
            let node = tree.node(tree.item(id)?.entry.as_ref()?.node)?;
            store.contents().get(node.row.content?)
        };
        items.into_iter().filter_map(content).collect()
    };
    for content in contents.into_iter().filter(|c| c.is_whole() && !c.is_sealed()) {
        if let Err(error) = content.seal() {
            tracing::warn!(content = content.id().0, %error, "a version to be set aside cannot be read");
        }
    }
}

/// Keeps the local version of an item, unless it is what `base` has or there is none.
pub fn stash_local(tx: &mut Tx<'_>, id: ItemId, why: &str, kept: bool) {
    let Some(item) = tx.tree().item(id) else { return };
    let Some(live) = item.entry.as_ref().and_then(|e| tx.tree().node(e.node)) else {
        return;
    };
    let row = live.row.clone();
    let base = item.base.as_deref().map(|b| (b.content, b.meta.link_target.clone()));
    let server = tx.tree().server_state(item).map(|s| s.content);
    let known =
        base.as_ref().is_some_and(|(content, _)| *content == row.content) || server == Some(row.content);
    match row.kind {
        Kind::File if kept || (row.content.is_some() && !known) => {}
        Kind::Symlink if base.is_none_or(|(_, target)| target != row.link_target) => {}
        _ => return,
    }
    set_aside(tx, id, row, Side::Local, why, kept);
}

/// Keeps what stands here although both sides have it: it is about to go from both. Which of them made
/// it is for a person to know.
pub fn stash_agreed(tx: &mut Tx<'_>, id: ItemId, made: Side, why: &str) {
    let node = tx.tree().item(id).and_then(|i| i.entry.as_ref()).and_then(|e| tx.tree().node(e.node));
    let Some(row) = node.map(|live| live.row.clone()) else { return };
    if matches!(row.kind, Kind::File if row.content.is_some()) || row.kind == Kind::Symlink {
        set_aside(tx, id, row, made, why, false);
    }
}

fn set_aside(tx: &mut Tx<'_>, id: ItemId, row: Node, side: Side, why: &str, kept: bool) {
    // What is set aside is never written again; most often it has been sealed before this step.
    if let Some(content) = row.content.and_then(|c| tx.content(c)) {
        if let Err(error) = content.seal() {
            tracing::error!(item = id.0, %error, "a version that is set aside cannot be read");
        }
        tx.touch_content(content.id());
        tx.sync_content(content.id());
    }
    put(tx, id, side, why, kept, |stashed| {
        stashed.kind = row.kind;
        stashed.mode = row.mode;
        stashed.mtime = row.mtime;
        stashed.size = row.size;
        stashed.content = row.content;
        stashed.link_target = row.link_target;
    });
}

/// Keeps the server's version of an item, unless it is what `base` has or there is none.
pub fn stash_server(tx: &mut Tx<'_>, id: ItemId, why: &str, kept: bool) {
    let Some(item) = tx.tree().item(id) else { return };
    let Some(state) = tx.tree().server_state(item).cloned() else {
        return;
    };
    let base = item.base.as_deref();
    match state.meta.kind {
        Kind::File if kept || base.is_none_or(|b| b.content != state.content) => {}
        Kind::Symlink if base.is_none_or(|b| b.meta.link_target != state.meta.link_target) => {}
        _ => return,
    }
    put(tx, id, Side::Server, why, kept, |stashed| {
        stashed.kind = state.meta.kind;
        stashed.mode = state.meta.mode;
        stashed.mtime = state.meta.mtime;
        stashed.size = state.meta.size;
        stashed.content = state.content;
        stashed.link_target = state.meta.link_target;
    });
}

fn put(tx: &mut Tx<'_>, id: ItemId, side: Side, why: &str, kept: bool, fill: impl FnOnce(&mut Stashed)) {
    let Some(location) = tx.tree().item(id).map(|i| i.location) else {
        return;
    };
    let mut stashed = Stashed {
        id: StashId(tx.new_id()),
        location,
        target: tx.target_bytes(id),
        side,
        kind: Kind::File,
        mode: 0o644,
        mtime: tx.now(),
        size: 0,
        content: None,
        link_target: None,
        at: tx.now(),
        why: why.into(),
        kept,
    };
    fill(&mut stashed);
    tx.put_stash(stashed);
}

/// Puts a version back as a local change under a name in a folder. What is there gets it as its new
/// content and is itself set aside.
pub fn restore(tx: &mut Tx<'_>, stashed: &Stashed, parent: NodeId, name: &Name) -> Result<(), String> {
    let folder = tx.tree().folder_item(parent).ok_or("the folder is not here")?;
    let node = NodeId(tx.new_id());
    let (uid, gid) = tx.owner();
    let now = tx.now();
    tx.put_node(Node {
        id: node,
        kind: stashed.kind,
        mode: stashed.mode,
        uid,
        gid,
        rdev: 0,
        size: stashed.size,
        atime: stashed.mtime,
        mtime: stashed.mtime,
        ctime: now,
        content: stashed.content,
        link_target: stashed.link_target.clone(),
        xattrs: Default::default(),
        listed: false,
        writing: false,
        replaced: None,
    });
    match tx.tree().child(parent, name.as_bytes()) {
        Some(id) => {
            let old = tx.tree().item(id).and_then(|i| i.entry.clone()).ok_or("it is just going")?;
            if tx.tree().node(old.node).is_some_and(|l| l.row.kind == Kind::Folder) {
                return Err("a folder is in its place".into());
            }
            stash_local(tx, id, "a version that was set aside was put back in its place", false);
            tx.edit_item(id, |item| item.entry = Some(Entry { node, ..old.clone() }));
            tx.relog(id);
            crate::fileops::let_go(tx, old.node);
        }
        None => {
            let entry = Entry { parent, name: name.clone(), node };
            crate::fileops::bind_new(tx, folder, entry, stashed.kind);
        }
    }
    crate::fileops::note_change(tx, node);
    tx.invalidate_entry(parent, name);
    tx.invalidate_node(parent);
    Ok(())
}
