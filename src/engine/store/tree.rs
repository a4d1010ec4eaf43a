//! The three trees in memory, with the indexes that make them trees.
//!
//! Rows are the truth; every index (names in folders, links of a node, references to contents, what
//! needs attention) follows from them and is kept in step by [`Tree::put_item`] and its like.
//! Nothing here does I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ignore::gitignore::Gitignore;

use crate::model::{
    ContentId, HistoryId, ItemId, Kind, LocPath, LocationId, Name, NodeId, Side, StashId, State,
};

use super::rows::{Before, History, Item, Location, Node, Rows, ServerSide, Stashed};

/// A node and what of it lives only as long as the process.
pub struct Live {
    pub row: Node,
    /// Of a folder: its entries.
    pub children: BTreeMap<Name, ItemId>,
    /// The items whose entry leads here.
    pub links: Vec<ItemId>,
    /// How many of the entries are folders.
    pub subfolders: u32,
    /// References the kernel holds.
    pub lookups: AtomicU64,
    pub opens: u32,
    /// Open files that may write.
    pub writers: u32,
    /// `World::elapsed` of the first change since it was last sent, and of the last one.
    pub changed: Option<(Duration, Duration)>,
}

impl Live {
    fn new(row: Node) -> Live {
        Live {
            row,
            children: BTreeMap::new(),
            links: Vec::new(),
            subfolders: 0,
            lookups: AtomicU64::new(0),
            opens: 0,
            writers: 0,
            changed: None,
        }
    }

    pub fn nlink(&self) -> u32 {
        match self.row.kind {
            Kind::Folder => 2 + self.subfolders,
            _ => self.links.len() as u32,
        }
    }
}

/// A location and what of it lives only as long as the process.
pub struct LiveLocation {
    pub row: Location,
    /// Names made here that live only here.
    pub ignored: Arc<Gitignore>,
    /// Items with a record, an intent, a conflict, a problem or an unsettled server side.
    pub attention: BTreeSet<ItemId>,
    /// What our own replay changed since the observation under way began: its listings may be older.
    touched: HashSet<ItemId>,
    touched_places: HashSet<(ItemId, Name)>,
    /// `World::elapsed` at which items were removed here: a removal settles like any other change.
    removed: HashMap<ItemId, Duration>,
}

#[derive(Default)]
pub struct Tree {
    items: HashMap<ItemId, Item>,
    nodes: HashMap<NodeId, Live>,
    base_children: HashMap<ItemId, BTreeMap<Name, ItemId>>,
    /// Only of items whose server side is `At`.
    server_children: HashMap<ItemId, BTreeMap<Name, ItemId>>,
    locations: BTreeMap<LocationId, LiveLocation>,
    stash: BTreeMap<StashId, Stashed>,
    history: BTreeMap<HistoryId, History>,
    refs: HashMap<ContentId, u32>,
}

impl Tree {
    /// Builds the trees of what was kept.
    pub fn load(rows: Rows) -> Tree {
        let mut tree = Tree::default();
        for row in rows.locations {
            tree.put_location(row.id, Some(row));
        }
        for row in rows.nodes {
            tree.put_node(row.id, Some(row));
        }
        for content in &rows.contents {
            if let Some(over) = content.over {
                *tree.refs.entry(over.content).or_default() += 1;
            }
        }
        for row in rows.items {
            tree.put_item(row.id, Some(row));
        }
        for row in rows.stash {
            tree.put_stash(row.id, Some(row));
        }
        for row in rows.history {
            tree.put_history(row.id, Some(row));
        }
        tree
    }

    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(&id)
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    pub fn node(&self, id: NodeId) -> Option<&Live> {
        self.nodes.get(&id)
    }

    /// Only for what lives as long as the process; rows are changed through a transaction.
    pub fn live_mut(&mut self, id: NodeId) -> Option<&mut Live> {
        self.nodes.get_mut(&id)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Live> {
        self.nodes.values()
    }

    pub fn location(&self, id: LocationId) -> Option<&LiveLocation> {
        self.locations.get(&id)
    }

    pub fn locations(&self) -> impl Iterator<Item = &LiveLocation> {
        self.locations.values()
    }

    pub fn location_named(&self, name: &str) -> Option<&LiveLocation> {
        self.locations.values().find(|l| l.row.name == name)
    }

    pub fn set_ignored(&mut self, id: LocationId, ignored: Arc<Gitignore>) {
        if let Some(location) = self.locations.get_mut(&id) {
            location.ignored = ignored;
        }
    }

    pub fn begin_observation(&mut self, id: LocationId) {
        if let Some(location) = self.locations.get_mut(&id) {
            location.touched.clear();
            location.touched_places.clear();
        }
    }

    /// Our own replay changed it on the server just now.
    pub fn touch(&mut self, id: ItemId, places: impl IntoIterator<Item = (ItemId, Name)>) {
        let Some(location) = self.items.get(&id).map(|i| i.location) else {
            return;
        };
        if let Some(location) = self.locations.get_mut(&location) {
            location.touched.insert(id);
            location.touched_places.extend(places);
        }
    }

    pub fn removed_at(&self, item: &Item) -> Option<Duration> {
        self.locations.get(&item.location)?.removed.get(&item.id).copied()
    }

    pub(super) fn note_removed(&mut self, location: LocationId, id: ItemId, at: Option<Duration>) {
        let Some(location) = self.locations.get_mut(&location) else {
            return;
        };
        match at {
            Some(at) => location.removed.entry(id).or_insert(at),
            None => {
                location.removed.remove(&id);
                return;
            }
        };
    }

    pub fn was_touched(&self, item: &Item) -> bool {
        self.locations
            .get(&item.location)
            .is_some_and(|l| l.touched.contains(&item.id))
    }

    pub fn was_place_touched(&self, parent: ItemId, name: &Name) -> bool {
        let location = self
            .items
            .get(&parent)
            .and_then(|i| self.locations.get(&i.location));
        location.is_some_and(|l| l.touched_places.contains(&(parent, name.clone())))
    }

    pub fn stash(&self) -> &BTreeMap<StashId, Stashed> {
        &self.stash
    }

    pub fn history(&self) -> &BTreeMap<HistoryId, History> {
        &self.history
    }

    pub fn is_referred(&self, content: ContentId) -> bool {
        self.refs.contains_key(&content)
    }

    pub fn references(&self, content: ContentId) -> u32 {
        self.refs.get(&content).copied().unwrap_or(0)
    }

    pub(super) fn retain(&mut self, content: ContentId) {
        *self.refs.entry(content).or_default() += 1;
    }

    /// Whether that was the last reference.
    pub(super) fn release(&mut self, content: ContentId) -> bool {
        let Some(count) = self.refs.get_mut(&content) else {
            return true;
        };
        *count -= 1;
        if *count == 0 {
            self.refs.remove(&content);
            return true;
        }
        false
    }

    // --- places -------------------------------------------------------------------------------

    /// The item of a folder's node. The mount's root has none.
    pub fn folder_item(&self, node: NodeId) -> Option<ItemId> {
        self.nodes.get(&node)?.links.first().copied()
    }

    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<ItemId> {
        self.nodes.get(&parent)?.children.get(name).copied()
    }

    pub fn base_child(&self, parent: ItemId, name: &[u8]) -> Option<ItemId> {
        self.base_children.get(&parent)?.get(name).copied()
    }

    pub fn base_children(&self, parent: ItemId) -> impl Iterator<Item = (&Name, ItemId)> {
        self.base_children
            .get(&parent)
            .into_iter()
            .flatten()
            .map(|(name, id)| (name, *id))
    }

    pub fn server_child(&self, parent: ItemId, name: &[u8]) -> Option<ItemId> {
        if let Some(id) = self.server_children.get(&parent).and_then(|c| c.get(name)) {
            return Some(*id);
        }
        self.base_child(parent, name)
            .filter(|id| self.items[id].server == ServerSide::AsBase)
    }

    pub fn server_children(&self, parent: ItemId) -> Vec<(Name, ItemId)> {
        let as_base = self
            .base_children(parent)
            .filter(|(_, id)| self.items[id].server == ServerSide::AsBase)
            .map(|(name, id)| (name.clone(), id));
        let moved = self
            .server_children
            .get(&parent)
            .into_iter()
            .flatten()
            .map(|(n, id)| (n.clone(), *id));
        as_base.chain(moved).collect()
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
            Side::Original => item
                .base
                .as_deref()
                .and_then(|s| Some((s.parent?, s.name.clone()))),
            Side::Server => self
                .server_state(item)
                .and_then(|s| Some((s.parent?, s.name.clone()))),
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
            let is_root = self
                .locations
                .get(&item.location)
                .is_some_and(|l| l.row.root == item.id);
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
        [Side::Local, Side::Server, Side::Original]
            .into_iter()
            .find_map(|side| self.path(id, side))
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
        [Side::Local, Side::Server, Side::Original]
            .into_iter()
            .find_map(|s| self.resolve(location, path, s))
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
            next = self
                .items
                .get(&id)
                .and_then(|item| self.place(item, side))
                .map(|(parent, _)| parent);
            depth += 1;
            if depth > 4096 {
                return true;
            }
        }
        false
    }

    // --- keeping rows and indexes in step -----------------------------------------------------

    pub(super) fn put_item(&mut self, id: ItemId, row: Option<Item>) -> Option<Item> {
        let old = self.items.remove(&id);
        if let Some(old) = &old {
            self.unindex_item(old);
        }
        if let Some(row) = row {
            self.index_item(&row);
            self.items.insert(id, row);
        }
        old
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
        if let Some(State {
            parent: Some(parent),
            name,
            ..
        }) = item.base.as_deref()
        {
            self.base_children
                .entry(*parent)
                .or_default()
                .insert(name.clone(), item.id);
        }
        if let ServerSide::At(state) = &item.server
            && let Some(parent) = state.parent
        {
            self.server_children
                .entry(parent)
                .or_default()
                .insert(state.name.clone(), item.id);
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
                    node.links.retain(|id| *id != item.id);
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
        if let Some(State {
            parent: Some(parent),
            name,
            ..
        }) = item.base.as_deref()
        {
            remove_child(&mut self.base_children, *parent, name, item.id);
        }
        if let ServerSide::At(state) = &item.server
            && let Some(parent) = state.parent
        {
            remove_child(&mut self.server_children, parent, &state.name, item.id);
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

    pub(super) fn put_node(&mut self, id: NodeId, row: Option<Node>) -> Option<Node> {
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
                self.nodes.insert(id, Live::new(row));
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

    pub(super) fn put_location(&mut self, id: LocationId, row: Option<Location>) -> Option<Location> {
        match (self.locations.get_mut(&id), row) {
            (Some(live), Some(row)) => Some(std::mem::replace(&mut live.row, row)),
            (None, Some(row)) => {
                let ignored = Arc::new(Gitignore::empty());
                let live = LiveLocation {
                    row,
                    ignored,
                    attention: BTreeSet::new(),
                    touched: HashSet::new(),
                    touched_places: HashSet::new(),
                    removed: HashMap::new(),
                };
                self.locations.insert(id, live);
                None
            }
            (_, None) => self.locations.remove(&id).map(|live| live.row),
        }
    }

    pub(super) fn put_stash(&mut self, id: StashId, row: Option<Stashed>) -> Option<Stashed> {
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

    pub(super) fn put_history(&mut self, id: HistoryId, row: Option<History>) -> Option<History> {
        for content in row.iter().flat_map(|r| &r.before).flat_map(contents_of_before) {
            self.retain(content);
        }
        let old = match row {
            Some(row) => self.history.insert(id, row),
            None => self.history.remove(&id),
        };
        for content in old.iter().flat_map(|r| &r.before).flat_map(contents_of_before) {
            self.release(content);
        }
        old
    }
}

fn remove_child(
    index: &mut HashMap<ItemId, BTreeMap<Name, ItemId>>,
    parent: ItemId,
    name: &Name,
    id: ItemId,
) {
    if let Some(children) = index.get_mut(&parent) {
        if children.get(name) == Some(&id) {
            children.remove(name);
        }
        if children.is_empty() {
            index.remove(&parent);
        }
    }
}

fn needs_attention(item: &Item) -> bool {
    item.pending.is_some()
        || item.sending.is_some()
        || item.conflict.is_some()
        || item.problem.is_some()
        || item.server != ServerSide::AsBase
}

/// The contents a row refers to; what no row refers to may go.
pub fn contents_of_item(item: &Item) -> impl Iterator<Item = ContentId> + use<> {
    let base = item.base.as_ref().and_then(|s| s.content);
    let server = match &item.server {
        ServerSide::At(state) => state.content,
        _ => None,
    };
    let sending = item
        .sending
        .as_ref()
        .and_then(|i| i.result.as_ref())
        .and_then(|s| s.content);
    [base, server, sending].into_iter().flatten()
}

pub fn contents_of_node(node: &Node) -> impl Iterator<Item = ContentId> + use<> {
    [node.content, node.replaced].into_iter().flatten()
}

pub fn contents_of_before(before: &Before) -> impl Iterator<Item = ContentId> + use<> {
    let item = before
        .row
        .as_deref()
        .map(|r| contents_of_item(r).collect::<Vec<_>>())
        .unwrap_or_default();
    let node = before
        .node
        .as_deref()
        .map(|r| contents_of_node(r).collect::<Vec<_>>())
        .unwrap_or_default();
    item.into_iter().chain(node)
}
