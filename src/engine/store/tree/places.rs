//! Where things are in each of the three trees, and what is found at a place.

use crate::model::{ItemId, LocPath, LocationId, Name, NodeId, Side, State};
use crate::store::rows::{Item, ServerSide};

use super::Tree;

impl Tree {
    /// The item of a folder's node. The mount's root has none.
    pub fn folder_item(&self, node: NodeId) -> Option<ItemId> {
        self.nodes.get(&node)?.links.first().copied()
    }

    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<ItemId> {
        self.nodes.get(&parent)?.children.get(name).copied()
    }

    /// Of several at one place, the one that the server still has there.
    pub fn base_child(&self, parent: ItemId, name: &[u8]) -> Option<ItemId> {
        let is_there = |id: &ItemId| self.items[id].server == ServerSide::AsBase;
        let mut all = self.base_children.at(parent, name);
        let first = all.next()?;
        if is_there(&first) {
            return Some(first);
        }
        Some(all.find(is_there).unwrap_or(first))
    }

    /// All that have this place in `base`: more than one while a conflict about a place is open.
    pub fn base_at<'a>(&'a self, parent: ItemId, name: &'a [u8]) -> impl Iterator<Item = ItemId> + 'a {
        self.base_children.at(parent, name)
    }

    pub fn base_children(&self, parent: ItemId) -> impl Iterator<Item = (&Name, ItemId)> {
        self.base_children.of(parent)
    }

    /// The item that a record in flight puts at a place on the server.
    pub fn sent_to(&self, parent: ItemId, name: &Name) -> Option<ItemId> {
        self.sent_to.get(&(parent, name.clone())).copied()
    }

    pub fn server_child(&self, parent: ItemId, name: &[u8]) -> Option<ItemId> {
        if let Some(id) = self.server_children.at(parent, name).next() {
            return Some(id);
        }
        self.base_child(parent, name).filter(|id| self.items[id].server == ServerSide::AsBase)
    }

    pub fn server_children(&self, parent: ItemId) -> Vec<(Name, ItemId)> {
        let as_base =
            self.base_children(parent).filter(|(_, id)| self.items[id].server == ServerSide::AsBase);
        as_base.chain(self.server_children.of(parent)).map(|(name, id)| (name.clone(), id)).collect()
    }

    /// What the server has of an item.
    pub fn server_state<'a>(&'a self, item: &'a Item) -> Option<&'a State> {
        match &item.server {
            ServerSide::AsBase => item.base.as_deref(),
            ServerSide::Gone => None,
            ServerSide::At(state) => Some(state),
        }
    }

    /// Folder and name of an item in one of the three trees; `None` for a location's root and for
    /// what is absent there.
    pub fn place(&self, item: &Item, side: Side) -> Option<(ItemId, Name)> {
        match side {
            Side::Local => {
                let entry = item.entry.as_ref()?;
                Some((self.folder_item(entry.parent)?, entry.name.clone()))
            }
            Side::Original => item.base.as_deref().and_then(|s| Some((s.parent?, s.name.clone()))),
            Side::Server => self.server_state(item).and_then(|s| Some((s.parent?, s.name.clone()))),
        }
    }

    pub fn exists(&self, item: &Item, side: Side) -> bool {
        match side {
            Side::Local => item.entry.is_some(),
            Side::Original => item.base.is_some(),
            Side::Server => self.server_state(item).is_some(),
        }
    }

    /// The path of an item in one of the three trees. Where a folder above it is absent there, the
    /// folder's place in another tree stands in, so that a person can be told where it was.
    pub fn path(&self, id: ItemId, side: Side) -> Option<LocPath> {
        let mut names = Vec::new();
        let mut item = self.items.get(&id)?;
        if !self.exists(item, side) {
            return None;
        }
        loop {
            let is_root = self.locations.get(&item.location).is_some_and(|l| l.row.root == item.id);
            if is_root {
                break;
            }
            let (parent, name) = self
                .place(item, side)
                .or_else(|| self.place(item, Side::Server))
                .or_else(|| self.place(item, Side::Local))
                .or_else(|| self.place(item, Side::Original))?;
            names.push(name);
            item = self.items.get(&parent)?;
            if names.len() > 4096 {
                return None;
            }
        }
        let mut path = LocPath::root();
        names.iter().rev().for_each(|name| path.push(name));
        Some(path)
    }

    /// The path a person knows it by: in local, else server, else original.
    pub fn known_path(&self, id: ItemId) -> Option<LocPath> {
        [Side::Local, Side::Server, Side::Original].into_iter().find_map(|side| self.path(id, side))
    }

    /// What is found at a path in one of the trees.
    pub fn resolve(&self, location: LocationId, path: &LocPath, side: Side) -> Option<ItemId> {
        let mut id = self.locations.get(&location)?.row.root;
        for name in path.names() {
            id = match side {
                Side::Local => {
                    let node = self.items.get(&id)?.entry.as_ref()?.node;
                    self.child(node, name.as_bytes())?
                }
                Side::Original => self.base_child(id, name.as_bytes())?,
                Side::Server => self.server_child(id, name.as_bytes())?,
            };
        }
        Some(id)
    }

    /// What is found at a path in local, else server, else original.
    pub fn resolve_any(&self, location: LocationId, path: &LocPath) -> Option<ItemId> {
        [Side::Local, Side::Server, Side::Original].into_iter().find_map(|s| self.resolve(location, path, s))
    }

    /// Whether it or a folder above it is pinned.
    pub fn is_pinned(&self, id: ItemId) -> bool {
        let mut next = Some(id);
        let mut depth = 0;
        while let Some(item) = next.and_then(|id| self.items.get(&id)) {
            if item.pinned {
                return true;
            }
            next = self
                .place(item, Side::Local)
                .or_else(|| self.place(item, Side::Server))
                .map(|(parent, _)| parent);
            depth += 1;
            if depth > 4096 {
                return false;
            }
        }
        false
    }

    /// Whether `id` is `folder` or lies in it, in one tree.
    pub fn lies_in(&self, id: ItemId, folder: ItemId, side: Side) -> bool {
        let mut next = Some(id);
        let mut depth = 0;
        while let Some(id) = next {
            if id == folder {
                return true;
            }
            next = self.items.get(&id).and_then(|item| self.place(item, side)).map(|(parent, _)| parent);
            depth += 1;
            if depth > 4096 {
                return true;
            }
        }
        false
    }
}
