//! Keeps the indexes in step with the rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ignore::gitignore::Gitignore;

use crate::model::{ItemId, Kind, LocationId, Name, NodeId, StashId, State, Xattrs, no_xattrs};
use crate::store::rows::{Item, Location, Node, ServerSide, Stashed};

use super::{Live, LiveLocation, Touched, Tree, contents_of_item, contents_of_node};

impl Tree {
    pub(in crate::store) fn put_item(&mut self, id: ItemId, row: Option<Item>) -> Option<Item> {
        let old = self.items.remove(&id);
        if let Some(old) = &old {
            self.unindex_item(old);
        }
        if let Some(mut row) = row {
            share(&mut row);
            self.index_item(&row);
            self.items.insert(id, Box::new(row));
        }
        old.map(|old| *old)
    }

    fn index_item(&mut self, item: &Item) {
        if let Some(entry) = &item.entry {
            let is_folder = match self.nodes.get_mut(&entry.node) {
                Some(node) => {
                    node.links.push(item.id);
                    node.row.kind == Kind::Folder
                }
                None => false,
            };
            if let Some(parent) = self.nodes.get_mut(&entry.parent) {
                parent.children.insert(entry.name.clone(), item.id);
                parent.subfolders += u32::from(is_folder);
            }
        }
        if let Some(State { parent: Some(parent), name, .. }) = item.base.as_deref() {
            self.base_children.insert(*parent, name, item.id);
        }
        if let ServerSide::At(state) = &item.server
            && let Some(parent) = state.parent
        {
            self.server_children.insert(parent, &state.name, item.id);
        }
        if let Some(place) = sent_to(item) {
            self.sent_to.insert(place, item.id);
        }
        for content in contents_of_item(item) {
            self.retain(content);
        }
        if needs_attention(item)
            && let Some(location) = self.locations.get_mut(&item.location)
        {
            location.attention.insert(item.id);
        }
    }

    fn unindex_item(&mut self, item: &Item) {
        if let Some(entry) = &item.entry {
            let is_folder = match self.nodes.get_mut(&entry.node) {
                Some(node) => {
                    node.links.remove(item.id);
                    node.row.kind == Kind::Folder
                }
                None => false,
            };
            if let Some(parent) = self.nodes.get_mut(&entry.parent) {
                if parent.children.get(&entry.name) == Some(&item.id) {
                    parent.children.remove(&entry.name);
                }
                parent.subfolders -= u32::from(is_folder);
            }
        }
        if let Some(State { parent: Some(parent), name, .. }) = item.base.as_deref() {
            self.base_children.remove(*parent, name, item.id);
        }
        if let ServerSide::At(state) = &item.server
            && let Some(parent) = state.parent
        {
            self.server_children.remove(parent, &state.name, item.id);
        }
        if let Some(place) = sent_to(item)
            && self.sent_to.get(&place) == Some(&item.id)
        {
            self.sent_to.remove(&place);
        }
        for content in contents_of_item(item) {
            self.release(content);
        }
        if needs_attention(item)
            && let Some(location) = self.locations.get_mut(&item.location)
        {
            location.attention.remove(&item.id);
        }
    }

    pub(in crate::store) fn put_node(&mut self, id: NodeId, mut row: Option<Node>) -> Option<Node> {
        share_none(row.as_mut().map(|row| &mut row.xattrs));
        let old = match (self.nodes.get_mut(&id), row) {
            (Some(live), Some(row)) => {
                for content in contents_of_node(&row) {
                    *self.refs.entry(content).or_default() += 1;
                }
                Some(std::mem::replace(&mut live.row, row))
            }
            (None, Some(row)) => {
                for content in contents_of_node(&row) {
                    self.retain(content);
                }
                self.nodes.insert(id, Box::new(Live::new(row)));
                None
            }
            (_, None) => self.nodes.remove(&id).map(|live| live.row),
        };
        if let Some(old) = &old {
            for content in contents_of_node(old) {
                self.release(content);
            }
        }
        old
    }

    pub(in crate::store) fn put_location(
        &mut self,
        id: LocationId,
        row: Option<Location>,
    ) -> Option<Location> {
        match (self.locations.get_mut(&id), row) {
            (Some(live), Some(row)) => Some(std::mem::replace(&mut live.row, row)),
            (None, Some(row)) => {
                let ignored = Arc::new(Gitignore::empty());
                let live = LiveLocation {
                    row,
                    ignored,
                    attention: BTreeSet::new(),
                    touched: Touched::default(),
                    removed: HashMap::new(),
                    reconnection: None,
                };
                self.locations.insert(id, live);
                None
            }
            (_, None) => self.locations.remove(&id).map(|live| live.row),
        }
    }

    pub(in crate::store) fn put_stash(&mut self, id: StashId, row: Option<Stashed>) -> Option<Stashed> {
        if let Some(content) = row.as_ref().and_then(|r| r.content) {
            self.retain(content);
        }
        let old = match row {
            Some(row) => self.stash.insert(id, row),
            None => self.stash.remove(&id),
        };
        if let Some(content) = old.as_ref().and_then(|r| r.content) {
            self.release(content);
        }
        old
    }
}

/// A name that is the same here as in `base`, which it mostly is, is kept once, and so is the list of
/// no attributes.
fn share(item: &mut Item) {
    let server = match &mut item.server {
        ServerSide::At(state) => Some(&mut **state),
        _ => None,
    };
    for state in item.base.as_deref_mut().into_iter().chain(server) {
        share_none(state.meta.xattrs.as_mut());
    }
    if let (Some(entry), Some(base)) = (&mut item.entry, &item.base)
        && entry.name == base.name
    {
        entry.name = base.name.clone();
    }
}

fn share_none(xattrs: Option<&mut Xattrs>) {
    if let Some(xattrs) = xattrs
        && xattrs.is_empty()
    {
        *xattrs = no_xattrs();
    }
}

/// The place that a record in flight gives an item on the server.
fn sent_to(item: &Item) -> Option<(ItemId, Name)> {
    let state = item.sending.as_ref()?.result.as_deref()?;
    Some((state.parent?, state.name.clone()))
}

fn needs_attention(item: &Item) -> bool {
    item.pending.is_some()
        || item.sending.is_some()
        || item.conflict.is_some()
        || item.problem.is_some()
        || item.server != ServerSide::AsBase
}
