//! The three trees in memory, with the indexes that make them trees.
//!
//! Rows are the truth; every index (names in folders, links of a node, references to contents, what
//! needs attention) follows from them and is kept in step by [`Tree::put_item`] and its like.
//! Nothing here does I/O.

mod children;
mod compact;
mod history;
mod index;
mod places;
mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ignore::gitignore::Gitignore;

use crate::model::{
    ContentId, HistoryId, ItemId, Kind, LocPath, LocationId, Name, NodeId, Side, StashId, Time,
};

use super::rows::{Aspects, Before, BeforeId, History, Item, Location, Node, Rows, ServerSide, Stashed};
use children::Children;
pub use compact::{Entries, IdMap, Links};
pub use history::Reconnection;
use touched::Touched;

/// A node and what of it lives only as long as the process.
pub struct Live {
    pub row: Node,
    /// Of a folder: its entries.
    pub children: Entries,
    /// The items whose entry leads here.
    pub links: Links,
    /// How many of the entries are folders.
    pub subfolders: u32,
    /// References the kernel holds.
    pub lookups: AtomicU64,
    pub opens: u32,
    /// Open files that may write.
    pub writers: u32,
    /// The server's side replaced or removed it; nothing may begin to be written to it.
    pub superseded: bool,
    /// `World::elapsed` of the first change since it was last sent, and of the last one.
    pub changed: Option<Box<(Duration, Duration)>>,
}

impl Live {
    fn new(row: Node) -> Live {
        Live {
            row,
            children: Entries::default(),
            links: Links::default(),
            subfolders: 0,
            lookups: AtomicU64::new(0),
            opens: 0,
            writers: 0,
            superseded: false,
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
    /// What became true since the observations under way began: their listings may be older.
    touched: Touched,
    /// `World::elapsed` at which items were removed here: a removal settles like any other change.
    removed: HashMap<ItemId, Duration>,
    reconnection: Option<Reconnection>,
}

#[derive(Default)]
pub struct Tree {
    items: IdMap<ItemId, Box<Item>>,
    nodes: IdMap<NodeId, Box<Live>>,
    base_children: Children,
    /// Only of items whose server side is `At`.
    server_children: Children,
    /// Where records lead whose answer is not known yet, and whose they are.
    sent_to: HashMap<(ItemId, Name), ItemId>,
    locations: BTreeMap<LocationId, LiveLocation>,
    stash: BTreeMap<StashId, Stashed>,
    history: BTreeMap<HistoryId, History>,
    befores: BTreeMap<BeforeId, Before>,
    refs: IdMap<ContentId, u32>,
}

impl Tree {
    /// Builds the trees of what was kept. The mount's root is no row: it is made here.
    pub fn load(rows: Rows, owner: (u32, u32), now: Time) -> Tree {
        let mut tree = Tree::default();
        tree.put_node(NodeId::ROOT, Some(mount_root(owner, now)));
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
        for (id, row) in rows.befores {
            tree.put_before(id, Some(row));
        }
        tree
    }

    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(&id).map(|item| &**item)
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|item| &**item)
    }

    pub fn node(&self, id: NodeId) -> Option<&Live> {
        self.nodes.get(&id).map(|live| &**live)
    }

    /// Only for what lives as long as the process; rows are changed through a transaction.
    pub fn live_mut(&mut self, id: NodeId) -> Option<&mut Live> {
        self.nodes.get_mut(&id).map(|live| &mut **live)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Live> {
        self.nodes.values().map(|live| &**live)
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

    /// The moment from which on listings are made; to be ended with [`Tree::end_observation`].
    pub fn begin_observation(&mut self, id: LocationId) -> u64 {
        self.locations.get_mut(&id).map_or(0, |l| l.touched.begin())
    }

    pub fn end_observation(&mut self, id: LocationId, since: u64) {
        if let Some(location) = self.locations.get_mut(&id) {
            location.touched.end(since);
        }
    }

    fn touched_mut(&mut self, id: ItemId) -> Option<&mut Touched> {
        let location = self.items.get(&id)?.location;
        Some(&mut self.locations.get_mut(&location)?.touched)
    }

    fn touched(&self, id: ItemId) -> Option<&Touched> {
        let location = self.items.get(&id)?.location;
        Some(&self.locations.get(&location)?.touched)
    }

    /// Our own replay changed it on the server just now.
    pub fn touch(&mut self, id: ItemId, places: impl IntoIterator<Item = (ItemId, Name)>) {
        if let Some(touched) = self.touched_mut(id) {
            touched.touch(id, places);
        }
    }

    /// Our own replay made, moved or removed it on the server just now.
    pub fn note_moved(&mut self, id: ItemId) {
        if let Some(touched) = self.touched_mut(id) {
            touched.note_moved(id);
        }
    }

    /// What the server has in it was noted just now.
    pub fn note_listing(&mut self, folder: ItemId) {
        if let Some(touched) = self.touched_mut(folder) {
            touched.note_listing(folder);
        }
    }

    pub fn removed_at(&self, item: &Item) -> Option<Duration> {
        self.locations.get(&item.location)?.removed.get(&item.id).copied()
    }

    pub(in crate::store) fn note_removed(&mut self, location: LocationId, id: ItemId, at: Option<Duration>) {
        let Some(location) = self.locations.get_mut(&location) else {
            return;
        };
        match at {
            Some(at) => _ = location.removed.entry(id).or_insert(at),
            None => _ = location.removed.remove(&id),
        }
    }

    pub fn was_touched(&self, id: ItemId, since: u64) -> bool {
        self.touched(id).is_some_and(|t| t.was_touched(id, since))
    }

    pub fn was_place_touched(&self, parent: ItemId, name: &Name, since: u64) -> bool {
        self.touched(parent).is_some_and(|t| t.was_place_touched(parent, name, since))
    }

    /// Whether a listing of a folder that was made since then, under that path, still counts: nobody
    /// noted a newer one, and it was this folder's path all the time.
    pub fn is_listing_good(&self, folder: ItemId, path: &LocPath, since: u64) -> bool {
        let Some(touched) = self.touched(folder) else {
            return false;
        };
        if touched.was_noted(folder, since) || self.path(folder, Side::Server).as_ref() != Some(path) {
            return false;
        }
        let mut next = Some(folder);
        let mut depth = 0;
        while let Some(item) = next.and_then(|id| self.items.get(&id)) {
            let moves = item
                .sending
                .as_ref()
                .is_some_and(|i| i.aspects.intersects(Aspects::PLACE | Aspects::CREATE | Aspects::REMOVE));
            depth += 1;
            if moves || touched.was_moved(item.id, since) || depth > 4096 {
                return false;
            }
            next = self.place(item, Side::Server).map(|(parent, _)| parent);
        }
        true
    }

    pub fn stash(&self) -> &BTreeMap<StashId, Stashed> {
        &self.stash
    }

    pub fn is_referred(&self, content: ContentId) -> bool {
        self.refs.contains_key(&content)
    }

    pub fn references(&self, content: ContentId) -> u32 {
        self.refs.get(&content).copied().unwrap_or(0)
    }

    pub(in crate::store) fn retain(&mut self, content: ContentId) {
        *self.refs.entry(content).or_default() += 1;
    }

    /// Whether that was the last reference.
    pub(in crate::store) fn release(&mut self, content: ContentId) -> bool {
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
}

fn mount_root((uid, gid): (u32, u32), now: Time) -> Node {
    Node {
        id: NodeId::ROOT,
        kind: Kind::Folder,
        mode: 0o755,
        uid,
        gid,
        rdev: 0,
        size: 0,
        atime: now,
        mtime: now,
        ctime: now,
        content: None,
        link_target: None,
        xattrs: Arc::new(Vec::new()),
        listed: true,
        writing: false,
        replaced: None,
    }
}

/// The contents a row refers to; what no row refers to may go.
pub fn contents_of_item(item: &Item) -> impl Iterator<Item = ContentId> + use<> {
    let base = item.base.as_ref().and_then(|s| s.content);
    let server = match &item.server {
        ServerSide::At(state) => state.content,
        _ => None,
    };
    let sending = item.sending.as_ref().and_then(|i| i.result.as_ref()).and_then(|s| s.content);
    [base, server, sending].into_iter().flatten()
}

pub fn contents_of_node(node: &Node) -> impl Iterator<Item = ContentId> + use<> {
    [node.content, node.replaced].into_iter().flatten()
}

pub fn contents_of_before(before: &Before) -> impl Iterator<Item = ContentId> + use<> {
    let item = before.row.as_deref().map(|r| contents_of_item(r).collect::<Vec<_>>()).unwrap_or_default();
    let node = before.node.as_deref().map(|r| contents_of_node(r).collect::<Vec<_>>()).unwrap_or_default();
    item.into_iter().chain(node)
}
