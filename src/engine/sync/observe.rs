//! Learning what changed on the server: folders are listed and compared with the server tree.
//!
//! A walk gathers differences without changing anything; when it is complete, what is missing in one
//! place and new in another is recognised as moved, the brake looks at what is missing, and only
//! then the server side of the items is noted and settled. What our own replay changed after the
//! walk began is left to the next one: a listing may be older than it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::model::{ContentId, ItemId, Kind, LocPath, LocationId, Meta, Name, Side, State};
use crate::remote::{Capabilities, Listed, Listing, Remote, RemoteError, TEMP_PREFIX};
use crate::store::rows::{Item, ServerSide};
use crate::store::tree::Tree;
use crate::store::{Store, Tx};

use crate::reconcile::{Settled, settle, state_aspects};

/// Listings under way at once.
const LISTINGS: usize = 32;
/// Items settled in one transaction.
const CHUNK: usize = 512;

/// Which folders a round looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All that are known here, and all in pinned ones.
    Everything,
    /// These, not below.
    Folders(BTreeSet<ItemId>),
}

/// What a round found and could not have.
#[derive(Default, Debug)]
pub struct Observation {
    /// Items whose server side differs from what was known.
    changed: Vec<(ItemId, Meta)>,
    missing: Vec<ItemId>,
    fresh: Vec<Fresh>,
    /// Folders whose names are now known.
    listed: Vec<ItemId>,
    pub refused: Vec<(ItemId, Vec<u8>, String)>,
    /// Folders that could not be listed. What is in them is not missing.
    pub unreadable: Vec<(ItemId, RemoteError)>,
}

/// An entry of the server that no item stands for yet, with all that lies in it.
#[derive(Debug)]
struct Fresh {
    parent: ItemId,
    listed: Listed,
    /// Of a folder that was walked.
    inside: Option<Vec<Inside>>,
}

#[derive(Debug)]
struct Inside {
    listed: Listed,
    inside: Option<Vec<Inside>>,
}

/// What comes of a round while it is noted.
#[derive(Default)]
struct Round {
    by_file_id: HashMap<u64, ItemId>,
    /// Not found where they were, and not yet found elsewhere.
    missing: BTreeSet<ItemId>,
    /// To be settled.
    touched: Vec<ItemId>,
    /// New folders whose names are all known.
    walked: Vec<ItemId>,
    /// The server keeps no modes: whatever it shows, they are those that both sides last had.
    modeless: bool,
    /// Where our own records lead whose answer is not known yet: what is found there may be ours.
    sent_to: HashSet<(ItemId, Name)>,
    /// Something was found whose item is on its way: only another look at everything tells.
    again: bool,
}

/// What applying a round came to.
pub struct Applied {
    /// What is left to compare, hold or try again.
    pub left: Vec<(ItemId, Settled)>,
    pub again: bool,
}

/// Why a round did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    Remote(RemoteError),
}

/// What the brake stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Braked {
    pub missing: u64,
    pub of: u64,
}

enum Where {
    Item(ItemId),
    Fresh { path: LocPath },
}

struct Job {
    place: Where,
    path: LocPath,
}

/// Lists the folders in scope and compares.
pub async fn observe(
    store: &Store,
    remote: &Arc<dyn Remote>,
    location: LocationId,
    scope: &Scope,
) -> Result<Observation, Stopped> {
    store.with_live(|tree| tree.begin_observation(location));
    let mut found = Observation::default();
    let mut queue: Vec<Job> = Vec::new();
    {
        let tree = store.read();
        let Some(root) = tree.location(location).map(|l| l.row.root) else {
            return Ok(found);
        };
        let folders: Vec<ItemId> = match scope {
            Scope::Everything => vec![root],
            Scope::Folders(folders) => folders.iter().copied().collect(),
        };
        for folder in folders {
            if let Some(path) = tree.path(folder, Side::Server) {
                queue.push(Job {
                    place: Where::Item(folder),
                    path,
                });
            }
        }
    }
    let deep = *scope == Scope::Everything;
    let mut asked: BTreeSet<ItemId> = match scope {
        Scope::Everything => BTreeSet::new(),
        Scope::Folders(folders) => folders.clone(),
    };
    let mut under_way = FuturesUnordered::new();
    let mut walked: HashMap<LocPath, Vec<Listed>> = HashMap::new();
    let mut fresh_tops: Vec<(ItemId, LocPath, Listed)> = Vec::new();
    loop {
        while under_way.len() < LISTINGS
            && let Some(job) = queue.pop()
        {
            let remote = remote.clone();
            under_way.push(async move {
                let listing = remote.list(&job.path).await;
                (job, listing)
            });
        }
        let Some((job, listing)) = under_way.next().await else {
            break;
        };
        let listing = match listing {
            Ok(listing) => listing,
            Err(error @ RemoteError::Gone { .. }) => return Err(Stopped::Remote(error)),
            // It went while we walked: its own folder's next listing tells.
            Err(RemoteError::NotFound) => {
                if let Where::Item(folder) = job.place {
                    let root = store.read().location(location).map(|l| l.row.root);
                    if root == Some(folder) {
                        return Err(Stopped::Remote(RemoteError::gone("the folder is not there")));
                    }
                    found.unreadable.push((folder, RemoteError::NotFound));
                    // Where nobody walks down to it, the folder above is asked now.
                    let tree = store.read();
                    let above = tree.item(folder).and_then(|i| tree.place(i, Side::Server));
                    if let Some((above, _)) = above.filter(|(above, _)| !deep && asked.insert(*above))
                        && let Some(path) = tree.path(above, Side::Server)
                    {
                        queue.push(Job {
                            place: Where::Item(above),
                            path,
                        });
                    }
                }
                continue;
            }
            Err(error) => {
                if let Where::Item(folder) = job.place {
                    found.unreadable.push((folder, error));
                }
                continue;
            }
        };
        match job.place {
            Where::Item(folder) => {
                let tree = store.read();
                let pinned = tree.is_pinned(folder);
                let fresh = compare(&tree, folder, &listing, &mut found);
                for listed in fresh {
                    let path = job.path.join(&listed.name);
                    if listed.meta.kind == Kind::Folder && pinned {
                        queue.push(Job {
                            place: Where::Fresh { path: path.clone() },
                            path: path.clone(),
                        });
                    }
                    fresh_tops.push((folder, path, listed));
                }
                if deep {
                    for (name, child) in tree.server_children(folder) {
                        if is_walked(&tree, child, pinned) {
                            queue.push(Job {
                                place: Where::Item(child),
                                path: job.path.join(&name),
                            });
                        }
                    }
                }
            }
            Where::Fresh { path } => {
                for listed in &listing.entries {
                    if listed.meta.kind == Kind::Folder {
                        let below = path.join(&listed.name);
                        queue.push(Job {
                            place: Where::Fresh { path: below.clone() },
                            path: below,
                        });
                    }
                }
                walked.insert(path, listing.entries);
            }
        }
    }
    found.fresh = fresh_tops
        .into_iter()
        .map(|(parent, path, listed)| Fresh {
            parent,
            inside: gather(&mut walked, &path),
            listed,
        })
        .collect();
    Ok(found)
}

fn gather(walked: &mut HashMap<LocPath, Vec<Listed>>, path: &LocPath) -> Option<Vec<Inside>> {
    let entries = walked.remove(path)?;
    Some(
        entries
            .into_iter()
            .map(|listed| {
                let below = path.join(&listed.name);
                Inside {
                    inside: gather(walked, &below),
                    listed,
                }
            })
            .collect(),
    )
}

/// A folder whose names are known here, or that is to be wholly here.
fn is_walked(tree: &Tree, id: ItemId, pinned: bool) -> bool {
    let Some(item) = tree.item(id) else { return false };
    if tree
        .server_state(item)
        .is_none_or(|s| s.meta.kind != Kind::Folder)
    {
        return false;
    }
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    pinned || item.pinned || node.is_none_or(|live| live.row.listed)
}

/// Notes differences of one folder; what no item stands for is returned.
fn compare(tree: &Tree, folder: ItemId, listing: &Listing, found: &mut Observation) -> Vec<Listed> {
    found.listed.push(folder);
    let mut fresh = Vec::new();
    let mut seen: HashSet<&[u8]> = HashSet::with_capacity(listing.entries.len());
    for listed in &listing.entries {
        seen.insert(listed.name.as_bytes());
        match tree
            .server_child(folder, listed.name.as_bytes())
            .and_then(|id| tree.item(id))
        {
            Some(item) => {
                let known = tree.server_state(item).map(|s| &s.meta);
                if known != Some(&listed.meta) {
                    found.changed.push((item.id, listed.meta.clone()));
                }
            }
            None => fresh.push(listed.clone()),
        }
    }
    for (name, sentence) in &listing.refused {
        seen.insert(name);
        found.refused.push((folder, name.clone(), sentence.clone()));
    }
    for (name, id) in tree.server_children(folder) {
        // A temporary place in a cycle of moves is ours and never listed.
        if !seen.contains(name.as_bytes()) && !name.as_bytes().starts_with(TEMP_PREFIX) {
            found.missing.push(id);
        }
    }
    fresh
}

impl Observation {
    /// Whether so much is missing that a person should be asked first: an emptied root, or more
    /// than half of what is known and at least a hundred.
    pub fn braked(&self, store: &Store, location: LocationId) -> Option<Braked> {
        if self.missing.is_empty() {
            return None;
        }
        let tree = store.read();
        let root = tree.location(location)?.row.root;
        let moved: HashSet<u64> = self.fresh.iter().filter_map(|f| f.listed.meta.file_id).collect();
        let mut missing = 0;
        for id in &self.missing {
            let state = tree.item(*id).and_then(|i| tree.server_state(i));
            if state.is_some_and(|s| s.meta.file_id.is_some_and(|f| moved.contains(&f))) {
                continue;
            }
            missing += count_below(&tree, *id);
        }
        let of = count_below(&tree, root).saturating_sub(1);
        let root_emptied = self.listed.contains(&root)
            && tree
                .server_children(root)
                .iter()
                .all(|(_, id)| self.missing.contains(id));
        let setting = |key: &str, default: u64| {
            let settings = &tree
                .location(location)
                .map(|l| l.row.settings.clone())
                .unwrap_or_default();
            settings
                .iter()
                .find(|(k, _)| k == key)
                .and_then(|(_, v)| v.parse().ok())
                .unwrap_or(default)
        };
        let least = setting("brake-items", 100);
        let percent = setting("brake-percent", 50).min(100);
        let most = missing * 100 > of * percent && missing >= least;
        ((root_emptied && of > 0 && missing == of && of > 1) || most).then_some(Braked { missing, of })
    }

    /// Notes everything and settles it. Returns what is left to compare, hold or try again.
    pub fn apply(
        self,
        store: &Store,
        capabilities: &Capabilities,
    ) -> Result<Applied, crate::store::persist::StoreError> {
        let missing: BTreeSet<ItemId> = self.missing.iter().copied().collect();
        let by_file_id: HashMap<u64, ItemId> = if capabilities.file_ids {
            let tree = store.read();
            let id_of = |id: &ItemId| Some((tree.server_state(tree.item(*id)?)?.meta.file_id?, *id));
            missing.iter().filter_map(id_of).collect()
        } else {
            HashMap::new()
        };
        let mut round = Round {
            by_file_id,
            missing,
            modeless: !capabilities.modes,
            ..Round::default()
        };
        let mut fresh = self.fresh;
        while !fresh.is_empty() {
            let chunk: Vec<Fresh> = fresh.drain(..fresh.len().min(64)).collect();
            store.write(|tx| {
                round.sent_to = sent_to(tx.tree());
                for fresh in chunk {
                    note_fresh(tx, fresh.parent, fresh.listed, fresh.inside, &mut round);
                }
                Ok::<_, crate::store::persist::StoreError>(())
            })?;
        }
        for chunk in self.changed.chunks(CHUNK) {
            store.write(|tx| {
                for (id, meta) in chunk {
                    if note_changed(tx, *id, meta.clone(), round.modeless) {
                        round.touched.push(*id);
                    }
                }
                Ok::<_, crate::store::persist::StoreError>(())
            })?;
        }
        // Deepest first, so that folders are empty when their turn comes.
        let mut gone: Vec<ItemId> = Vec::new();
        store.write(|tx| {
            for id in &round.missing {
                note_gone(tx, *id, &mut gone);
            }
            for id in &self.listed {
                mark_listed(tx, *id);
            }
            Ok::<_, crate::store::persist::StoreError>(())
        })?;
        round.touched.extend(gone);
        let left = settle_all(store, round.touched)?;
        // New folders that were walked are here by now, with all that is in them.
        store.write(|tx| {
            round.walked.iter().for_each(|id| mark_listed(tx, *id));
            Ok::<_, crate::store::persist::StoreError>(())
        })?;
        Ok(Applied {
            left,
            again: round.again,
        })
    }
}

fn sent_to(tree: &Tree) -> HashSet<(ItemId, Name)> {
    let attention = tree.locations().flat_map(|live| live.attention.iter());
    attention
        .filter_map(|id| tree.item(*id)?.sending.as_ref()?.result.as_deref())
        .filter_map(|state| Some((state.parent?, state.name.clone())))
        .collect()
}

/// How many items the server tree has in and under one.
fn count_below(tree: &Tree, id: ItemId) -> u64 {
    let mut count = 0;
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        count += 1;
        stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
    }
    count
}

/// Settles items, again as long as it helps: one may stand in the way of another.
pub fn settle_all(
    store: &Store,
    mut items: Vec<ItemId>,
) -> Result<Vec<(ItemId, Settled)>, crate::store::persist::StoreError> {
    let mut left = Vec::new();
    loop {
        let mut later = Vec::new();
        let before = items.len();
        for chunk in items.chunks(CHUNK) {
            store.write(|tx| {
                for id in chunk {
                    match settle(tx, *id) {
                        Settled::Done => {}
                        Settled::Later => later.push(*id),
                        other => left.push((*id, other)),
                    }
                }
                Ok::<_, crate::store::persist::StoreError>(())
            })?;
        }
        if later.is_empty() || later.len() == before {
            left.extend(later.into_iter().map(|id| (id, Settled::Later)));
            return Ok(left);
        }
        items = later;
    }
}

/// Whether the server side of an item may be noted: what was replayed since the walk began, or is
/// on its way, is newer than any listing.
fn may_note(tx: &Tx<'_>, item: &Item) -> bool {
    item.sending.is_none() && !tx.tree().was_touched(item)
}

fn note_changed(tx: &mut Tx<'_>, id: ItemId, mut meta: Meta, modeless: bool) -> bool {
    let Some(item) = tx.tree().item(id) else {
        return false;
    };
    if !may_note(tx, item) {
        return false;
    }
    let Some(known) = tx.tree().server_state(item).cloned() else {
        return false;
    };
    if modeless && known.meta.kind == meta.kind {
        meta.mode = known.meta.mode;
    }
    let state = State {
        meta,
        ..known.clone()
    };
    note_state(tx, id, Some(&known), state);
    true
}

/// The server has an item in this state. Content keeps its identity while the version stays.
fn note_state(tx: &mut Tx<'_>, id: ItemId, known: Option<&State>, mut state: State) {
    let same_version =
        known.is_some_and(|k| k.meta.version == state.meta.version && k.meta.kind == state.meta.kind);
    let base = tx.tree().item(id).and_then(|i| i.base.as_deref());
    let empty = base.filter(|b| b.meta.kind == Kind::File && b.meta.size == 0 && state.meta.size == 0);
    state.content = match (state.meta.kind, known) {
        // Nothing is nothing: no look is needed to tell.
        (Kind::File, _) if empty.is_some() => empty.and_then(|base| base.content),
        (Kind::File, Some(known)) if same_version => known.content,
        (Kind::File, _) => Some(expect_content(tx, state.meta.size)),
        _ => None,
    };
    let as_base = tx
        .tree()
        .item(id)
        .and_then(|i| i.base.as_deref())
        .is_some_and(|base| state_aspects(base, &state).is_empty() && base.meta.kind == state.meta.kind);
    tx.edit_item(id, |item| {
        item.server = if as_base {
            ServerSide::AsBase
        } else {
            ServerSide::At(Box::new(state))
        };
    });
}

pub fn expect_content(tx: &mut Tx<'_>, size: u64) -> ContentId {
    let (id, file) = (ContentId(tx.new_id()), tx.new_id());
    tx.contents().expect(id, file, size);
    tx.add_content(id);
    id
}

/// An item the walk did not find, with all that lies in it; the deepest goes first. A folder goes with
/// all that is in it or stays until it can: what is left in one that is gone would never be looked at
/// again.
fn note_gone(tx: &mut Tx<'_>, id: ItemId, gone: &mut Vec<ItemId>) -> bool {
    let Some(item) = tx.tree().item(id) else {
        return true;
    };
    if !may_note(tx, item) {
        return false;
    }
    let mut all = true;
    for (_, child) in tx.tree().server_children(id) {
        all &= note_gone(tx, child, gone);
    }
    if !all {
        return false;
    }
    // What is new in it here is to be asked about.
    if let Some(node) = tx.tree().item(id).and_then(|i| i.entry.as_ref()).map(|e| e.node) {
        let inside: Vec<ItemId> = tx
            .tree()
            .node(node)
            .map(|live| live.children.values().copied().collect())
            .unwrap_or_default();
        gone.extend(
            inside
                .into_iter()
                .filter(|c| tx.tree().item(*c).is_some_and(|i| i.base.is_none())),
        );
    }
    tx.edit_item(id, |item| {
        item.server = match item.base {
            Some(_) => ServerSide::Gone,
            // It never was agreed on: absent there is as it was before.
            None => ServerSide::AsBase,
        }
    });
    gone.push(id);
    true
}

fn mark_listed(tx: &mut Tx<'_>, folder: ItemId) {
    let node = tx
        .tree()
        .item(folder)
        .and_then(|i| i.entry.as_ref())
        .map(|e| e.node);
    if let Some(node) = node
        && tx
            .tree()
            .node(node)
            .is_some_and(|live| !live.row.listed && live.row.kind == Kind::Folder)
    {
        tx.edit_node(node, |row| row.listed = true);
        tx.invalidate_node(node);
    }
}

/// An entry nobody stands for: an item that moved here, or that was made here too, or a new one.
fn note_fresh(
    tx: &mut Tx<'_>,
    parent: ItemId,
    listed: Listed,
    inside: Option<Vec<Inside>>,
    round: &mut Round,
) {
    if tx.tree().item(parent).is_none() || tx.tree().was_place_touched(parent, &listed.name) {
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
    // Somebody may have come to stand for it since the walk.
    if tx.tree().server_child(parent, listed.name.as_bytes()).is_some() {
        return;
    }
    let moved = listed
        .meta
        .file_id
        .and_then(|file| round.by_file_id.get(&file))
        .copied()
        .filter(|id| round.missing.contains(id))
        .filter(|id| server_kind(tx.tree(), *id) == Some(listed.meta.kind));
    if moved.is_some_and(|id| tx.tree().item(id).is_some_and(|i| !may_note(tx, i))) {
        // Taken for something new, what was moved would become a deletion and a creation.
        round.again = true;
        return;
    }
    let id = match moved {
        Some(id) => {
            round.missing.remove(&id);
            id
        }
        None => match bind_fresh(tx, parent, &listed.name) {
            Some(id) => id,
            None => return,
        },
    };
    let known = tx
        .tree()
        .item(id)
        .and_then(|i| tx.tree().server_state(i))
        .cloned();
    let mut state = State {
        parent: Some(parent),
        name: listed.name.clone(),
        meta: listed.meta.clone(),
        content: None,
    };
    if let Some(known) = known
        .as_ref()
        .filter(|k| round.modeless && k.meta.kind == state.meta.kind)
    {
        state.meta.mode = known.meta.mode;
    }
    let state = match (&known, moved) {
        // A rename changes the mark of a file on some servers, and nothing in it.
        (Some(known), Some(_)) if same_but_place(known, &state) => {
            let version = state.meta.version.clone();
            let mut state = State {
                content: known.content,
                ..state
            };
            state.meta.version = version;
            note_placed(tx, id, state.clone());
            state
        }
        _ => {
            note_state(tx, id, known.as_ref(), state.clone());
            state
        }
    };
    round.touched.push(id);
    if state.meta.kind != Kind::Folder {
        return;
    }
    let Some(inside) = inside else { return };
    round.walked.push(id);
    let mut seen = HashSet::new();
    for child in inside {
        seen.insert(child.listed.name.clone());
        match tx.tree().server_child(id, child.listed.name.as_bytes()) {
            Some(known) => {
                round.missing.remove(&known);
                if note_changed(tx, known, child.listed.meta.clone(), round.modeless) {
                    round.touched.push(known);
                }
            }
            None => note_fresh(tx, id, child.listed, child.inside, round),
        }
    }
    for (name, child) in tx.tree().server_children(id) {
        if !seen.contains(&name) && moved.is_some() {
            round.missing.insert(child);
        }
    }
    round.touched.push(id);
}

fn server_kind(tree: &Tree, id: ItemId) -> Option<Kind> {
    tree.item(id)
        .and_then(|i| tree.server_state(i))
        .map(|s| s.meta.kind)
}

fn same_but_place(known: &State, state: &State) -> bool {
    known.meta.kind == state.meta.kind
        && known.meta.size == state.meta.size
        && known.meta.mtime == state.meta.mtime
        && known.meta.file_id == state.meta.file_id
}

fn note_placed(tx: &mut Tx<'_>, id: ItemId, state: State) {
    tx.edit_item(id, |item| item.server = ServerSide::At(Box::new(state)));
}

/// Which item stands for a name that is new on the server.
fn bind_fresh(tx: &mut Tx<'_>, parent: ItemId, name: &Name) -> Option<ItemId> {
    let tree = tx.tree();
    // It was known there, went, and is back.
    if let Some(id) = tree.base_child(parent, name.as_bytes())
        && tree.item(id).is_some_and(|i| i.server == ServerSide::Gone)
    {
        return tree.item(id).is_some_and(|i| may_note(tx, i)).then_some(id);
    }
    let local = local_child(tree, parent, name);
    let location = tree.item(parent)?.location;
    if let Some(id) = local {
        let item = tree.item(id)?;
        if item.base.is_none() && tree.server_state(item).is_none() {
            if !may_note(tx, item) {
                return None;
            }
            tx.edit_item(id, |item| item.local_only = false);
            return Some(id);
        }
        // Something that was known elsewhere was moved onto this name here: what stands at the
        // path is the new thing's local side, and the old item is gone from its place.
        let entry = item.entry.clone();
        if item.sending.is_some() {
            return None;
        }
        let fresh = ItemId(tx.new_id());
        tx.edit_item(id, |item| item.entry = None);
        tx.put_item(empty_item(fresh, location));
        tx.edit_item(fresh, |item| item.entry = entry);
        tx.relog(id);
        return Some(fresh);
    }
    let fresh = ItemId(tx.new_id());
    tx.put_item(empty_item(fresh, location));
    Some(fresh)
}

pub fn empty_item(id: ItemId, location: LocationId) -> Item {
    Item {
        id,
        location,
        entry: None,
        base: None,
        server: ServerSide::AsBase,
        pending: None,
        sending: None,
        conflict: None,
        problem: None,
        pinned: false,
        local_only: false,
    }
}

fn local_child(tree: &Tree, parent: ItemId, name: &Name) -> Option<ItemId> {
    let node = tree.item(parent)?.entry.as_ref()?.node;
    tree.child(node, name.as_bytes())
}
