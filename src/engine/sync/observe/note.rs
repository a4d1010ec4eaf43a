//! The server side of one item: changed, gone, new, moved.

use std::collections::HashSet;

use crate::model::{ContentId, ItemId, Kind, Meta, Name, Side, State};
use crate::reconcile::state_aspects;
use crate::remote::Listed;
use crate::store::Tx;
use crate::store::rows::{Item, ServerSide};
use crate::store::tree::Tree;

use super::Inside;
use super::apply::{Round, is_missing};
use super::walk::became_another;

/// Whether the server side of an item may be noted: what was replayed since the walk began, or is
/// on its way, is newer than any listing.
pub(super) fn may_note(tx: &Tx<'_>, item: &Item, since: u64) -> bool {
    item.sending.is_none() && !tx.tree().was_touched(item.id, since)
}

pub(super) fn note_changed(tx: &mut Tx<'_>, id: ItemId, mut meta: Meta, round: &Round) -> bool {
    let Some(item) = tx.tree().item(id) else {
        return false;
    };
    if !may_note(tx, item, round.since) {
        return false;
    }
    let Some(known) = tx.tree().server_state(item).cloned() else {
        return false;
    };
    if round.modeless && known.meta.kind == meta.kind {
        meta.mode = known.meta.mode;
    }
    let state = State { meta, ..known.clone() };
    note_state(tx, id, Some(&known), state);
    true
}

/// The server has an item in this state. Content keeps its identity while the version stays.
pub(super) fn note_state(tx: &mut Tx<'_>, id: ItemId, known: Option<&State>, mut state: State) {
    let same_version =
        known.is_some_and(|k| k.meta.version == state.meta.version && k.meta.kind == state.meta.kind);
    let base = tx.tree().item(id).and_then(|i| i.base.as_deref());
    let empty = base.filter(|b| b.meta.kind == Kind::File && b.meta.size == 0 && state.meta.size == 0);
    state.content = match (state.meta.kind, known) {
        // Nothing is nothing: no look is needed to tell.
        (Kind::File, _) if empty.is_some() => empty.and_then(|base| base.content),
        (Kind::File, Some(known)) if same_version => known.content,
        // A change of another of its names changes the mark too. What is here must be compared; where
        // nothing is here, there is nothing to tell apart.
        (Kind::File, Some(known)) if only_mark_differs(known, &state) && is_absent(tx, known) => {
            known.content
        }
        (Kind::File, _) => Some(expect_content(tx, id, state.meta.size)),
        _ => None,
    };
    let as_base = tx
        .tree()
        .item(id)
        .and_then(|i| i.base.as_deref())
        .is_some_and(|base| state_aspects(base, &state).is_empty() && base.meta.kind == state.meta.kind);
    tx.edit_item(id, |item| {
        item.server = if as_base { ServerSide::AsBase } else { ServerSide::At(Box::new(state)) };
    });
}

pub(super) fn only_mark_differs(known: &State, state: &State) -> bool {
    state.meta.file_id.is_some() && same_but_place(known, state)
}

pub(super) fn is_absent(tx: &Tx<'_>, state: &State) -> bool {
    let content = state.content.and_then(|id| tx.content(id));
    content.is_some_and(|c| c.size() > 0 && c.present_bytes() == 0)
}

pub fn expect_content(tx: &mut Tx<'_>, of: ItemId, size: u64) -> ContentId {
    let (id, file) = (ContentId(tx.new_id()), tx.new_id());
    match tx.tree().item(of).map(|item| item.location) {
        Some(location) => tx.contents().within(location).expect(id, file, size),
        None => tx.contents().expect(id, file, size),
    };
    tx.add_content(id);
    id
}

/// An item the walk did not find, with all that lies in it; the deepest goes first. A folder goes with
/// all that is in it or stays until it can: what is left in one that is gone would never be looked at
/// again.
pub(super) fn note_gone(tx: &mut Tx<'_>, id: ItemId, round: &mut Round) -> bool {
    let Some(item) = tx.tree().item(id) else {
        return true;
    };
    if !may_note(tx, item, round.since) {
        return false;
    }
    let mut all = true;
    for (_, child) in tx.tree().server_children(id) {
        all &= note_gone(tx, child, round);
    }
    if !all {
        return false;
    }
    // What is new in it here is to be asked about; what lives only here just stays.
    if let Some(node) = tx.tree().item(id).and_then(|i| i.entry.as_ref()).map(|e| e.node) {
        let inside: Vec<ItemId> =
            tx.tree().node(node).map(|live| live.children.values().copied().collect()).unwrap_or_default();
        let is_new = |c: &ItemId| tx.tree().item(*c).is_some_and(|i| i.base.is_none() && !i.local_only);
        round.gone.extend(inside.into_iter().filter(is_new));
    }
    tx.edit_item(id, |item| {
        item.server = match item.base {
            Some(_) => ServerSide::Gone,
            // It never was agreed on: absent there is as it was before.
            None => ServerSide::AsBase,
        }
    });
    round.gone.push(id);
    true
}

pub(super) fn mark_listed(tx: &mut Tx<'_>, folder: ItemId) {
    let node = tx.tree().item(folder).and_then(|i| i.entry.as_ref()).map(|e| e.node);
    if let Some(node) = node
        && tx.tree().node(node).is_some_and(|live| !live.row.listed && live.row.kind == Kind::Folder)
    {
        tx.edit_node(node, |row| row.listed = true);
        tx.invalidate_node(node);
    }
}

/// An entry nobody stands for: an item that moved here, or that was made here too, or a new one.
pub(super) fn note_fresh(
    tx: &mut Tx<'_>,
    parent: ItemId,
    listed: Listed,
    inside: Option<Vec<Inside>>,
    round: &mut Round,
) {
    let since = round.since;
    if tx.tree().item(parent).is_none() || tx.tree().was_place_touched(parent, &listed.name, since) {
        return;
    }
    if round.sent_to.contains(&(parent, listed.name.clone())) {
        // Should it be something that moved here, that one is not gone.
        let file = listed.meta.file_id;
        if let Some(id) = file.and_then(|file| round.by_file_id.get(&file)) {
            round.again |= round.missing.remove(id);
        }
        return;
    }
    if let Some(there) = tx.tree().server_child(parent, listed.name.as_bytes()) {
        // Somebody may have come to stand for it since the walk; or it is another kind of thing now.
        let another = tx.tree().item(there).is_some_and(|i| became_another(tx.tree(), i, listed.meta.kind));
        if !another || !round.missing.remove(&there) || !note_gone(tx, there, round) {
            return;
        }
    }
    let mut state =
        State { parent: Some(parent), name: listed.name.clone(), meta: listed.meta.clone(), content: None };
    let candidate = listed.meta.file_id.and_then(|file| round.by_file_id.get(&file)).copied();
    let candidate = candidate.filter(|id| is_missing(tx.tree(), &round.missing, *id));
    if candidate.is_some_and(|id| tx.tree().item(id).is_some_and(|i| i.sending.is_some())) {
        // Taken for something new, what was moved would become a deletion and a creation.
        round.again = true;
        return;
    }
    let moved = candidate.filter(|id| {
        let tree = tx.tree();
        // Numbers of files that went are given to new ones.
        let is_same = |known: &State| match known.meta.kind {
            Kind::Folder => listed.meta.kind == Kind::Folder,
            _ => same_but_place(known, &state),
        };
        let item = tree.item(*id).filter(|item| may_note(tx, item, since));
        let known = item.and_then(|item| tree.server_state(item));
        known.is_some_and(is_same) && !tree.lies_in(parent, *id, Side::Server)
    });
    let id = match moved {
        Some(id) => {
            round.missing.remove(&id);
            id
        }
        None => match bind_fresh(tx, parent, &listed, since) {
            Some(id) => id,
            None => return,
        },
    };
    let known = tx.tree().item(id).and_then(|i| tx.tree().server_state(i)).cloned();
    if let Some(known) = known.as_ref().filter(|k| round.modeless && k.meta.kind == state.meta.kind) {
        state.meta.mode = known.meta.mode;
    }
    match &known {
        // A rename changes the mark of a file on some servers, and nothing in it.
        Some(known) if moved.is_some() && same_but_place(known, &state) => {
            state.content = known.content;
            note_placed(tx, id, state);
        }
        _ => note_state(tx, id, known.as_ref(), state),
    }
    round.touched.push(id);
    let (Kind::Folder, Some(inside)) = (listed.meta.kind, inside) else {
        return;
    };
    round.walked.push(id);
    note_inside(tx, id, inside, round);
    round.touched.push(id);
}

/// What a folder holds that was walked as a new one; it may be one that moved.
pub(super) fn note_inside(tx: &mut Tx<'_>, folder: ItemId, inside: Vec<Inside>, round: &mut Round) {
    let mut seen = HashSet::new();
    for child in inside {
        seen.insert(child.listed.name.clone());
        let known = tx.tree().server_child(folder, child.listed.name.as_bytes());
        let known = known.and_then(|id| tx.tree().item(id));
        match known.map(|item| (item.id, became_another(tx.tree(), item, child.listed.meta.kind))) {
            Some((known, false)) => {
                round.missing.remove(&known);
                if note_changed(tx, known, child.listed.meta, round) {
                    round.touched.push(known);
                }
                if let Some(inside) = child.inside {
                    note_inside(tx, known, inside, round);
                }
            }
            Some((known, true)) => {
                round.missing.insert(known);
                note_fresh(tx, folder, child.listed, child.inside, round);
            }
            None => note_fresh(tx, folder, child.listed, child.inside, round),
        }
    }
    for (name, child) in tx.tree().server_children(folder) {
        if !seen.contains(&name) {
            round.missing.insert(child);
        }
    }
}

pub(super) fn same_but_place(known: &State, state: &State) -> bool {
    known.meta.kind == state.meta.kind
        && known.meta.size == state.meta.size
        && known.meta.mtime == state.meta.mtime
        && known.meta.file_id == state.meta.file_id
}

pub(super) fn note_placed(tx: &mut Tx<'_>, id: ItemId, state: State) {
    tx.edit_item(id, |item| item.server = ServerSide::At(Box::new(state)));
}

/// Which item stands for a name that is new on the server.
pub(super) fn bind_fresh(tx: &mut Tx<'_>, parent: ItemId, listed: &Listed, since: u64) -> Option<ItemId> {
    let (tree, name) = (tx.tree(), &listed.name);
    let is_folder = listed.meta.kind == Kind::Folder;
    // It was known there, went, and is back.
    let is_back = |id: &ItemId| {
        let item = tree.item(*id).filter(|i| i.server == ServerSide::Gone);
        let base = item.and_then(|i| i.base.as_deref());
        base.is_some_and(|base| (base.meta.kind == Kind::Folder) == is_folder)
    };
    if let Some(id) = tree.base_at(parent, name.as_bytes()).find(is_back) {
        return tree.item(id).is_some_and(|i| may_note(tx, i, since)).then_some(id);
    }
    let location = tree.item(parent)?.location;
    let fresh = ItemId(tx.new_id());
    let tree = tx.tree();
    if let Some(item) = local_child(tree, parent, name).and_then(|id| tree.item(id)) {
        let id = item.id;
        if item.base.is_none() && tree.server_state(item).is_none() {
            if !may_note(tx, item, since) {
                return None;
            }
            tx.edit_item(id, |item| item.local_only = false);
            return Some(id);
        }
        let here = Some((parent, name.clone()));
        if item.sending.is_some() || tree.place(item, Side::Server) == here {
            return None;
        }
        // What stands here and is gone there makes room when it goes here too.
        let makes_room = item.server == ServerSide::Gone && tree.place(item, Side::Original) == here;
        if !makes_room {
            // Something that was known elsewhere was moved onto this name here: what stands at the
            // path is the new thing's local side, and the old item is gone from its place.
            let entry = item.entry.clone();
            tx.edit_item(id, |item| item.entry = None);
            tx.put_item(Item::new(fresh, location));
            tx.edit_item(fresh, |item| item.entry = entry);
            tx.relog(id);
            return Some(fresh);
        }
    }
    tx.put_item(Item::new(fresh, location));
    Some(fresh)
}

pub(super) fn local_child(tree: &Tree, parent: ItemId, name: &Name) -> Option<ItemId> {
    let node = tree.item(parent)?.entry.as_ref()?.node;
    tree.child(node, name.as_bytes())
}
