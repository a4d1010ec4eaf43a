//! One step on trees and log: all of it or nothing.
//!
//! A transaction remembers the rows it touches as they were. When its work fails, or its record
//! cannot be appended to the journal, they are put back; otherwise the rows as they are now become
//! one journal record, and with it the step is acknowledged.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::model::{ContentId, HistoryId, ItemId, LocationId, Name, NodeId, RequestId, StashId, Time};

use super::content::{Content, Contents, Finished, Flattened, Freed};
use super::pending;
use super::persist::{Forget, Note, StoreError};
use super::rows::{
    Aspects, Before, BeforeId, Delta, Happened, History, Item, Location, Node, Pending, Stashed,
};
use super::tree::{Tree, contents_of_before, contents_of_item, contents_of_node};
use super::{Invalidation, Shared};

pub struct Tx<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) shared: &'a Shared,
    now: Time,
    /// What is done is part of a decision, and not of a reconnection.
    pub(super) decides: bool,
    items: BTreeMap<ItemId, Option<Item>>,
    nodes: BTreeMap<NodeId, Option<Node>>,
    locations: BTreeMap<LocationId, Option<Location>>,
    stash: BTreeMap<StashId, Option<Stashed>>,
    history: BTreeMap<HistoryId, Option<History>>,
    befores: BTreeMap<BeforeId, Option<Before>>,
    contents: HashSet<ContentId>,
    /// Contents laid over others in this transaction, and what is under each.
    laid_over: Vec<ContentId>,
    happened: Vec<Happened>,
    pub(super) invalidations: Vec<Invalidation>,
    pub(super) sync_contents: Vec<ContentId>,
    pub(super) garbage: Vec<ContentId>,
    flattened: Vec<Finished>,
    answers: Option<RequestId>,
}

/// Rows that a part of a step changed, as they were before it.
#[derive(Default)]
pub struct Changed {
    pub items: BTreeMap<ItemId, Option<Item>>,
    pub nodes: BTreeMap<NodeId, Option<Node>>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(tree: &'a mut Tree, shared: &'a Shared) -> Tx<'a> {
        let now = shared.world.now();
        Tx {
            tree,
            shared,
            now,
            decides: false,
            items: BTreeMap::new(),
            nodes: BTreeMap::new(),
            locations: BTreeMap::new(),
            stash: BTreeMap::new(),
            history: BTreeMap::new(),
            befores: BTreeMap::new(),
            contents: HashSet::new(),
            laid_over: Vec::new(),
            happened: Vec::new(),
            invalidations: Vec::new(),
            sync_contents: Vec::new(),
            garbage: Vec::new(),
            flattened: Vec::new(),
            answers: None,
        }
    }

    pub fn tree(&self) -> &Tree {
        self.tree
    }

    /// For what lives only as long as the process.
    pub fn tree_mut(&mut self) -> &mut Tree {
        self.tree
    }

    /// The wall clock at the begin of the transaction.
    pub fn now(&self) -> Time {
        self.now
    }

    pub fn elapsed(&self) -> std::time::Duration {
        self.shared.world.elapsed()
    }

    pub fn content(&self, id: ContentId) -> Option<Arc<Content>> {
        self.shared.contents.get(id)
    }

    pub fn contents(&self) -> &Contents {
        &self.shared.contents
    }

    /// Owner and group of nodes that come from a server.
    pub fn owner(&self) -> (u32, u32) {
        self.shared.owner
    }

    pub fn new_id(&mut self) -> u64 {
        self.shared.new_id()
    }

    pub fn put_item(&mut self, row: Item) {
        let id = row.id;
        let old = self.tree.put_item(id, Some(row));
        self.items.entry(id).or_insert(old);
    }

    pub fn remove_item(&mut self, id: ItemId) {
        let old = self.tree.put_item(id, None);
        self.items.entry(id).or_insert(old);
    }

    /// Does nothing where there is no such item; an edit that changes nothing is none.
    pub fn edit_item(&mut self, id: ItemId, edit: impl FnOnce(&mut Item)) {
        let Some(mut row) = self.tree.item(id).cloned() else {
            return;
        };
        edit(&mut row);
        if self.tree.item(id) != Some(&row) {
            self.put_item(row);
        }
    }

    pub fn put_node(&mut self, row: Node) {
        let id = row.id;
        let old = self.tree.put_node(id, Some(row));
        self.nodes.entry(id).or_insert(old);
    }

    pub fn remove_node(&mut self, id: NodeId) {
        let old = self.tree.put_node(id, None);
        self.nodes.entry(id).or_insert(old);
    }

    /// Does nothing where there is no such node; an edit that changes nothing is none.
    pub fn edit_node(&mut self, id: NodeId, edit: impl FnOnce(&mut Node)) {
        let Some(mut row) = self.tree.node(id).map(|live| live.row.clone()) else {
            return;
        };
        edit(&mut row);
        if self.tree.node(id).is_some_and(|live| live.row != row) {
            self.put_node(row);
        }
    }

    pub fn put_location(&mut self, row: Location) {
        let id = row.id;
        let old = self.tree.put_location(id, Some(row));
        self.locations.entry(id).or_insert(old);
    }

    pub fn edit_location(&mut self, id: LocationId, edit: impl FnOnce(&mut Location)) {
        let Some(mut row) = self.tree.location(id).map(|live| live.row.clone()) else {
            return;
        };
        edit(&mut row);
        self.put_location(row);
    }

    pub fn remove_location(&mut self, id: LocationId) {
        let old = self.tree.put_location(id, None);
        self.locations.entry(id).or_insert(old);
    }

    pub fn put_stash(&mut self, row: Stashed) {
        let id = row.id;
        let old = self.tree.put_stash(id, Some(row));
        self.stash.entry(id).or_insert(old);
    }

    pub fn remove_stash(&mut self, id: StashId) {
        let old = self.tree.put_stash(id, None);
        self.stash.entry(id).or_insert(old);
    }

    pub fn put_history(&mut self, row: History) {
        let id = row.id;
        let old = self.tree.put_history(id, Some(row));
        self.history.entry(id).or_insert(old);
    }

    pub fn remove_history(&mut self, id: HistoryId) {
        let old = self.tree.put_history(id, None);
        self.history.entry(id).or_insert(old);
    }

    pub fn put_before(&mut self, id: BeforeId, row: Option<Before>) {
        let old = self.tree.put_before(id, row);
        self.befores.entry(id).or_insert(old);
    }

    /// A content's row is new or has changed.
    pub fn touch_content(&mut self, id: ContentId) {
        self.contents.insert(id);
    }

    /// A new content: its row is kept, and it keeps the one under it.
    pub fn add_content(&mut self, id: ContentId) {
        self.touch_content(id);
        if let Some(over) = self.shared.contents.get(id).and_then(|c| c.row().over) {
            self.tree.retain(over.content);
            self.laid_over.push(over.content);
        }
    }

    /// A content takes over the file of the one under it, and that one's row goes.
    pub fn flatten(&mut self, flattened: Flattened) -> Result<Freed, StoreError> {
        let content = flattened.row.id;
        let finished = self.shared.contents.finish(flattened)?;
        self.touch_content(content);
        self.touch_content(finished.gone());
        self.tree.release(finished.gone());
        let freed = finished.freed;
        self.flattened.push(finished);
        Ok(freed)
    }

    /// This content is to be on the disk before the transaction is committed.
    pub fn sync_content(&mut self, id: ContentId) {
        self.sync_contents.push(id);
    }

    pub fn happened(&mut self, item: ItemId, what: impl Into<String>) {
        let target = self.target_bytes(item);
        let seq = self.shared.new_id();
        self.happened.push(Happened { seq, item, at: self.now, target, what: what.into() });
    }

    /// `NAME:path` of an item as a person knows it.
    pub fn target_bytes(&self, item: ItemId) -> Vec<u8> {
        let location = self.tree.item(item).and_then(|i| self.tree.location(i.location));
        let mut bytes = location.map(|l| l.row.name.clone()).unwrap_or_default().into_bytes();
        bytes.push(b':');
        bytes.extend_from_slice(self.tree.known_path(item).unwrap_or_default().as_bytes());
        bytes
    }

    /// The kernel must forget a node's attributes and pages.
    pub fn invalidate_node(&mut self, node: NodeId) {
        self.invalidations.push(Invalidation::Node(node));
    }

    /// The kernel must forget what it knows of a name.
    pub fn invalidate_entry(&mut self, parent: NodeId, name: &Name) {
        self.invalidations.push(Invalidation::Entry { parent, name: name.clone() });
    }

    /// The step carries out a request that must not be carried out twice.
    pub fn answer(&mut self, request: Option<RequestId>) {
        self.answers = request;
    }

    pub(super) fn note(&self, invalidations: &[Invalidation]) -> Note {
        let forget = invalidations.iter().filter_map(|invalidation| match invalidation {
            Invalidation::Node(node) => Some(Forget::Node(*node)),
            Invalidation::Entry { parent, name } => Some(Forget::Entry(*parent, name.clone())),
            Invalidation::Barrier(_) => None,
        });
        Note { done: self.answers, forget: forget.collect() }
    }

    /// Brings an item's record up to date with its trees. An item that is nowhere goes.
    pub fn relog(&mut self, id: ItemId) {
        let Some(item) = self.tree.item(id) else { return };
        let nowhere = item.entry.is_none()
            && item.base.is_none()
            && item.sending.is_none()
            && self.tree.server_state(item).is_none();
        if nowhere {
            self.remove_item(id);
            return;
        }
        let aspects = pending::aspects(self.tree, item);
        let pending = match (item.pending, aspects.is_empty()) {
            (_, true) => None,
            (Some(old), false) => Some(Pending { aspects, last_at: self.now, ..old }),
            (None, false) => Some(Pending { aspects, first_at: self.now, last_at: self.now }),
        };
        if pending.map(|p| p.aspects) == item.pending.map(|p| p.aspects) {
            return;
        }
        let location = item.location;
        let removed = pending.is_some_and(|p| p.aspects.contains(Aspects::REMOVE)).then(|| self.elapsed());
        self.tree.note_removed(location, id, removed);
        self.edit_item(id, |item| item.pending = pending);
    }

    /// Records that follow from what others did in this step: of the other names of a node that was
    /// changed, and of what lies in a folder that has become another item's.
    pub(super) fn relog_dependents(&mut self) {
        let mut dependents: Vec<ItemId> = Vec::new();
        for id in self.nodes.keys() {
            if let Some(live) = self.tree.node(*id).filter(|live| live.links.len() > 1) {
                dependents.extend(&live.links);
            }
        }
        for (id, old) in &self.items {
            let node = |item: &Item| item.entry.as_ref().map(|e| e.node);
            let now = self.tree.item(*id).and_then(node);
            if now != old.as_ref().and_then(node)
                && let Some(live) = now.and_then(|node| self.tree.node(node))
            {
                dependents.extend(live.children.values());
            }
        }
        dependents.into_iter().for_each(|id| self.relog(id));
    }

    /// A decision as one part of the step, carried out wholly or not at all; the rest stays. Returns the
    /// rows it changed, as they were.
    pub fn decide<R, E>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R, E>,
    ) -> Result<(R, Changed), E> {
        let mut part = Tx::new(self.tree, self.shared);
        part.now = self.now;
        part.decides = true;
        match work(&mut part) {
            Ok(result) => {
                let changed = Changed { items: part.items.clone(), nodes: part.nodes.clone() };
                let Tx {
                    items,
                    nodes,
                    locations,
                    stash,
                    history,
                    befores,
                    contents,
                    laid_over,
                    happened,
                    invalidations,
                    sync_contents,
                    garbage,
                    flattened,
                    ..
                } = part;
                // What was remembered first is how it was before the step.
                items.into_iter().for_each(|(id, old)| _ = self.items.entry(id).or_insert(old));
                nodes.into_iter().for_each(|(id, old)| _ = self.nodes.entry(id).or_insert(old));
                locations.into_iter().for_each(|(id, old)| _ = self.locations.entry(id).or_insert(old));
                stash.into_iter().for_each(|(id, old)| _ = self.stash.entry(id).or_insert(old));
                history.into_iter().for_each(|(id, old)| _ = self.history.entry(id).or_insert(old));
                befores.into_iter().for_each(|(id, old)| _ = self.befores.entry(id).or_insert(old));
                self.contents.extend(contents);
                self.laid_over.extend(laid_over);
                self.happened.extend(happened);
                self.invalidations.extend(invalidations);
                self.sync_contents.extend(sync_contents);
                self.garbage.extend(garbage);
                self.flattened.extend(flattened);
                Ok((result, changed))
            }
            Err(error) => {
                part.roll_back();
                Err(error)
            }
        }
    }

    /// Puts everything back as it was.
    pub(super) fn roll_back(self) {
        let Tx {
            tree, shared, laid_over, flattened, items, nodes, locations, stash, history, befores, ..
        } = self;
        for finished in flattened {
            tree.retain(finished.gone());
            shared.contents.take_back(finished);
        }
        for under in laid_over {
            tree.release(under);
        }
        // Nodes that were made go last and nodes that went come first, so that the indexes of the
        // items find them.
        let (gone, made): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|(_, old)| old.is_some());
        for (id, old) in gone {
            tree.put_node(id, old);
        }
        let ids: Vec<ItemId> = items.keys().copied().collect();
        for id in ids {
            tree.put_item(id, None);
        }
        for (id, old) in locations {
            tree.put_location(id, old);
        }
        for (id, old) in items {
            tree.put_item(id, old);
        }
        for (id, _) in made {
            tree.put_node(id, None);
        }
        for (id, old) in stash {
            tree.put_stash(id, old);
        }
        for (id, old) in history {
            tree.put_history(id, old);
        }
        for (id, old) in befores {
            tree.put_before(id, old);
        }
    }

    /// The rows as they are now, and which contents nothing refers to any more.
    pub(super) fn deltas(&mut self) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let mut released: HashSet<ContentId> = HashSet::new();
        for (id, old) in &self.items {
            released.extend(old.iter().flat_map(contents_of_item));
            deltas.push(Delta::Item(*id, self.tree.item(*id).cloned().map(Box::new)));
        }
        for (id, old) in &self.nodes {
            released.extend(old.iter().flat_map(contents_of_node));
            deltas.push(Delta::Node(*id, self.tree.node(*id).map(|live| Box::new(live.row.clone()))));
        }
        for id in self.locations.keys() {
            deltas.push(Delta::Location(*id, self.tree.location(*id).map(|l| Box::new(l.row.clone()))));
        }
        for (id, old) in &self.stash {
            released.extend(old.iter().filter_map(|s| s.content));
            deltas.push(Delta::Stash(*id, self.tree.stash().get(id).cloned().map(Box::new)));
        }
        for id in self.history.keys() {
            deltas.push(Delta::History(*id, self.tree.history().get(id).cloned().map(Box::new)));
        }
        for (id, old) in &self.befores {
            released.extend(old.iter().flat_map(contents_of_before));
            deltas.push(Delta::Before(*id, self.tree.before(*id).cloned().map(Box::new)));
        }
        released.extend(self.contents.iter().copied());
        released.retain(|id| !self.tree.is_referred(*id));
        let mut garbage: Vec<ContentId> = released.into_iter().collect();
        // A content that goes lets go of the one under it.
        let mut next = 0;
        while next < garbage.len() {
            let under = self.shared.contents.get(garbage[next]).and_then(|c| c.row().over).map(|o| o.content);
            if let Some(under) = under
                && self.tree.release(under)
                && !garbage.contains(&under)
            {
                garbage.push(under);
            }
            next += 1;
        }
        for id in &self.contents {
            if !garbage.contains(id)
                && let Some(content) = self.shared.contents.get(*id)
            {
                deltas.push(Delta::Content(*id, Some(Box::new(content.row()))));
            }
        }
        deltas.extend(garbage.iter().map(|id| Delta::Content(*id, None)));
        self.garbage = garbage;
        deltas.extend(self.happened.drain(..).map(|h| Delta::Happened(Box::new(h))));
        if let Some(reserved) = self.shared.reserve_ids() {
            deltas.push(Delta::NextId(reserved));
        }
        deltas
    }
}
