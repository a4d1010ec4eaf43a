//! Taking back what stands in the history.

use std::collections::BTreeSet;

use crate::model::{HistoryId, HistoryKind, ItemId, NodeId};
use crate::store::rows::{Before, BeforeId, Counted, Did, Entry, History, Item};
use crate::store::tree::Tree;
use crate::store::{Changed, Tx};

use super::reconnected::undo_reconnection;
use super::stash::stash_local;

const TAKEN_BACK: &str = "a decision was taken back";

/// An item as it is now, for taking back what is about to be done to it.
pub fn snapshot(tree: &Tree, id: ItemId) -> Before {
    let row = tree.item(id).cloned();
    let node =
        row.as_ref().and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node)).map(|l| l.row.clone());
    Before { item: id, row: row.map(Box::new), node: node.map(Box::new), after: None, did: Did::empty() }
}

/// An item that is there only since what is about to be taken back.
pub fn made(item: ItemId) -> Before {
    Before { item, row: None, node: None, after: None, did: Did::empty() }
}

/// The items that a decision changed or made, as they were before it.
pub fn snapshots(tree: &Tree, changed: Changed) -> Vec<Before> {
    let Changed { items, mut nodes } = changed;
    let is_there = |(id, row): &(ItemId, Option<Item>)| row.is_some() || tree.item(*id).is_some();
    let before = |(item, row): (ItemId, Option<Item>)| {
        let node = row.as_ref().and_then(|i| i.entry.as_ref()).and_then(|entry| {
            let before = nodes.remove(&entry.node).flatten();
            before.or_else(|| tree.node(entry.node).map(|live| live.row.clone()))
        });
        Before { item, row: row.map(Box::new), node: node.map(Box::new), after: None, did: Did::empty() }
    };
    items.into_iter().filter(is_there).map(before).collect()
}

/// Writes down a decision, or a version that was put back, with what was before it.
pub fn note_decision(tx: &mut Tx<'_>, kind: HistoryKind, what: String, befores: Vec<Before>) {
    let id = HistoryId(tx.new_id());
    let mut locations = befores.iter().filter_map(|before| {
        let row = before.row.as_deref().or_else(|| tx.tree().item(before.item));
        row.map(|row| row.location)
    });
    let location = locations.next().filter(|first| locations.all(|other| other == *first));
    let history = History {
        id,
        at: tx.now(),
        what,
        undone: false,
        kind,
        location,
        items: befores.len() as u64,
        counted: Counted::default(),
        released: false,
        left_out: 0,
    };
    tx.put_history(history);
    for (number, before) in befores.into_iter().enumerate() {
        let after = tx.tree().item(before.item).cloned().map(Box::new);
        tx.put_before(BeforeId { history: id, number: number as u64 }, Some(Before { after, ..before }));
    }
}

/// Takes an entry of the history back, and gives up what was kept for that.
pub fn undo(tx: &mut Tx<'_>, id: HistoryId) -> Result<History, String> {
    let history = tx.tree().history().get(&id).cloned().ok_or("there is no such entry in the history")?;
    if history.undone {
        return Err("it has been taken back already".into());
    }
    if history.released {
        return Err("what was before it has made room, so it can no longer be taken back".into());
    }
    let befores: Vec<Before> = tx.tree().befores(id).map(|(_, before)| before.clone()).collect();
    if befores.is_empty() {
        return Err("it changed nothing that could be taken back".into());
    }
    let left_out = match history.kind {
        HistoryKind::Reconnection => {
            tx.begin_anew(&history);
            undo_reconnection(tx, &befores)?
        }
        HistoryKind::Decision | HistoryKind::Restored => {
            undo_decision(tx, &befores)?;
            0
        }
    };
    let history = History { undone: true, left_out, ..history };
    tx.put_history(history.clone());
    tx.release_history(id, usize::MAX);
    Ok(history)
}

/// Where nothing was sent since, everything is as it was, the conflict open again; else the local side
/// is as it was, as a new change.
fn undo_decision(tx: &mut Tx<'_>, befores: &[Before]) -> Result<(), String> {
    // What goes back with it makes room.
    let going: BTreeSet<ItemId> = befores.iter().map(|before| before.item).collect();
    for before in befores.iter().rev() {
        // A program may have gone on since: what it wrote is set aside.
        if !is_kept_elsewhere(tx.tree(), before.item) {
            stash_local(tx, before.item, TAKEN_BACK, false);
        }
        let was = before.row.as_ref().and_then(|row| row.entry.as_ref()).map(|entry| entry.node);
        if let Some(name) = holds_things(tx.tree(), before.item, was) {
            return Err(format!("the folder {name} holds things by now; move them away first"));
        }
        let now = tx.tree().item(before.item).cloned();
        let untouched = same(now.as_ref(), before.after.as_deref());
        match (&before.row, untouched) {
            (Some(row), true) => put_back(tx, row, before, &going),
            (Some(row), false) => put_back_local(tx, row, before, &going),
            (None, _) => remove_made(tx, before.item),
        }
        tx.happened(before.item, TAKEN_BACK);
    }
    match in_the_way(tx.tree(), &going).first() {
        Some((_, name)) => Err(format!("something else stands at {name} by now; move it away first")),
        None => Ok(()),
    }
}

/// Of items that were put back, those whose place here something else has, and its name.
pub(super) fn in_the_way(tree: &Tree, going: &BTreeSet<ItemId>) -> Vec<(ItemId, String)> {
    let taken = |id: &ItemId| {
        let entry = tree.item(*id)?.entry.as_ref()?;
        let is_taken = tree.child(entry.parent, entry.name.as_bytes()) != Some(*id);
        is_taken.then(|| (*id, String::from_utf8_lossy(entry.name.as_bytes()).into_owned()))
    };
    going.iter().filter_map(taken).collect()
}

/// What was made goes from here, as a new change.
pub(super) fn remove_made(tx: &mut Tx<'_>, id: ItemId) {
    let Some(entry) = tx.tree().item(id).and_then(|item| item.entry.clone()) else { return };
    tx.edit_item(id, |item| item.entry = None);
    tx.relog(id);
    tx.invalidate_entry(entry.parent, &entry.name);
    tx.invalidate_node(entry.parent);
    crate::fileops::let_go(tx, entry.node);
}

/// The name of the folder that an item is here, where it would become something else and what is in it
/// would stand nowhere.
fn holds_things(tree: &Tree, id: ItemId, was: Option<NodeId>) -> Option<String> {
    let entry = tree.item(id)?.entry.as_ref()?;
    let live = tree.node(entry.node).filter(|live| Some(entry.node) != was && !live.children.is_empty());
    live.map(|_| String::from_utf8_lossy(entry.name.as_bytes()).into_owned())
}

/// Whether the content that an item has here is also that of something else.
fn is_kept_elsewhere(tree: &Tree, id: ItemId) -> bool {
    let entry = tree.item(id).and_then(|i| i.entry.as_ref());
    let content = entry.and_then(|e| tree.node(e.node)).and_then(|l| l.row.content);
    content.is_some_and(|content| tree.references(content) > 1)
}

fn same(now: Option<&Item>, after: Option<&Item>) -> bool {
    match (now, after) {
        (None, None) => true,
        (Some(now), Some(after)) => {
            now.entry == after.entry
                && now.base == after.base
                && now.server == after.server
                && now.sending.is_none()
        }
        _ => false,
    }
}

fn put_back(tx: &mut Tx<'_>, row: &Item, before: &Before, going: &BTreeSet<ItemId>) {
    let current = tx.tree().item(before.item).and_then(|i| i.entry.clone());
    let entry = entry_again(tx, row, before, going);
    let mut row = row.clone();
    row.entry = entry.clone();
    tx.put_item(row);
    tell(tx, current, entry);
    tx.relog(before.item);
}

/// It was sent: what was here before becomes a new change.
pub(super) fn put_back_local(tx: &mut Tx<'_>, row: &Item, before: &Before, going: &BTreeSet<ItemId>) {
    let current = tx.tree().item(before.item).and_then(|i| i.entry.clone());
    if tx.tree().item(before.item).is_none() {
        let fresh = Item::new(row.id, row.location);
        tx.put_item(Item { pinned: row.pinned, local_only: row.local_only, ..fresh });
    }
    let entry = entry_again(tx, row, before, going);
    tx.edit_item(before.item, |item| item.entry = entry.clone());
    tell(tx, current, entry);
    tx.relog(before.item);
}

/// The entry as it was, with a node like the one it had. Where something else has its place by now, it
/// stays where it stands.
fn entry_again(tx: &mut Tx<'_>, row: &Item, before: &Before, going: &BTreeSet<ItemId>) -> Option<Entry> {
    let mut entry = row.entry.clone()?;
    let node = before.node.as_deref()?;
    let current = tx.tree().item(before.item).and_then(|i| i.entry.clone());
    let taken = tx.tree().child(entry.parent, entry.name.as_bytes()).filter(|other| !going.contains(other));
    let is_free = tx.tree().folder_item(entry.parent).is_some() && taken.is_none();
    if !is_free {
        let current = current?;
        (entry.parent, entry.name) = (current.parent, current.name);
    }
    let id = match tx.tree().node(entry.node) {
        // Still the very same.
        Some(live)
            if live.row.content == node.content
                && live.row.kind == node.kind
                && live.row.link_target == node.link_target =>
        {
            entry.node
        }
        _ => {
            let id = NodeId(tx.new_id());
            tx.put_node(crate::store::rows::Node { id, writing: false, replaced: None, ..node.clone() });
            id
        }
    };
    Some(Entry { node: id, ..entry })
}

fn tell(tx: &mut Tx<'_>, old: Option<Entry>, new: Option<Entry>) {
    for entry in old.iter().chain(new.iter()) {
        tx.invalidate_entry(entry.parent, &entry.name);
        tx.invalidate_node(entry.parent);
        // It has another number of names.
        tx.invalidate_node(entry.node);
    }
    if let (Some(old), new) = (old, new)
        && new.is_none_or(|n| n.node != old.node)
    {
        crate::fileops::let_go(tx, old.node);
    }
}
