//! What all commands stand on, and how they find what they are asked about.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fileops::{Caller, Need, Provider};
use crate::model::{ConflictId, ItemId, Kind, LocPath, LocationId, NodeId, Side, Target};
use crate::remote::Connector;
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::store::tree::Tree;
use crate::sync::{Sync, Worker};

use super::event::Subscribers;
use super::{Answer, Error, Revised};

/// A path that is not known is looked for on the server so often.
const LOOKS: u32 = 3;

pub struct Core {
    pub(super) store: Store,
    pub(super) sync: Arc<Sync>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) mount: Option<PathBuf>,
    pub(super) subscribers: Subscribers,
    /// Lives as long as the engine (the store's lock).
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    /// Contents handed over and not used yet.
    pub(super) added: Mutex<Vec<crate::store::Held>>,
}

impl Core {
    pub fn new(store: Store, sync: Arc<Sync>, connector: Arc<dyn Connector>, mount: Option<PathBuf>) -> Core {
        Core {
            store,
            sync,
            connector,
            mount,
            subscribers: Subscribers::default(),
            kept: Mutex::default(),
            added: Mutex::default(),
        }
    }
}

/// Cheap to clone; its methods are called from any thread.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Core>);

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::failed(error.to_string())
    }
}

impl Handle {
    pub fn new(core: Core) -> Handle {
        Handle(Arc::new(core))
    }

    pub(crate) fn keep(&self, thing: Box<dyn Any + Send>) {
        self.0.kept.lock().push(thing);
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn location_id(&self, name: &str) -> Answer<LocationId> {
        let tree = self.0.store.read();
        let found = tree.location_named(name).map(|l| l.row.id);
        found.ok_or_else(|| {
            Error::failed(format!("there is no location named {name}; `location list` shows those there are"))
        })
    }

    pub(super) fn worker(&self, location: LocationId) -> Answer<Arc<Worker>> {
        self.0.sync.worker(location).ok_or_else(|| Error::failed("the location is just going"))
    }

    /// One, or all where none is named.
    pub(super) fn workers(&self, location: Option<&str>) -> Answer<Vec<Arc<Worker>>> {
        match location {
            Some(name) => Ok(vec![self.worker(self.location_id(name)?)?]),
            None => Ok(self.0.sync.workers()),
        }
    }

    /// The item at a path, in local, else server, else original. Folders on the way whose names are
    /// not known yet are listed.
    pub(super) async fn find(&self, target: &Target) -> Answer<ItemId> {
        let location = self.location_id(&target.location)?;
        let mut looked = 0;
        loop {
            let (unlisted, deepest) = {
                let tree = self.0.store.read();
                if let Some(id) = tree.resolve_any(location, &target.path) {
                    return Ok(id);
                }
                (
                    unlisted_on_the_way(&tree, location, &target.path),
                    deepest_folder(&tree, location, &target.path),
                )
            };
            let worker = self.0.sync.worker(location);
            if let Some(worker) = &worker {
                worker.tried().await;
            }
            let online = worker.is_some_and(|w| w.is_online());
            let need = match (unlisted, deepest) {
                (Some(need), _) => need,
                // It may have been made on the server just now.
                (None, Some(folder)) if online && looked < LOOKS => {
                    looked += 1;
                    Need::Listing(folder)
                }
                _ => return Err(Error::failed(format!("there is no {target}"))),
            };
            let caller = Caller::new(0, 0, 0);
            if self.0.sync.provide(caller, &need).await.is_err() {
                return Err(Error::offline(format!(
                    "{target} is not known here, and the location is offline; try again when it is online"
                )));
            }
        }
    }

    /// As `find`, among what is known here, without asking the server.
    pub(super) fn find_known(&self, target: &Target) -> Answer<ItemId> {
        let location = self.location_id(&target.location)?;
        let tree = self.0.store.read();
        tree.resolve_any(location, &target.path).ok_or_else(|| Error::failed(format!("there is no {target}")))
    }

    pub(super) fn find_conflict(&self, target: &Target) -> Answer<(ItemId, ConflictId)> {
        let location = self.location_id(&target.location)?;
        let tree = self.0.store.read();
        for side in [Side::Local, Side::Server, Side::Original] {
            if let Some(id) = tree.resolve(location, &target.path, side)
                && let Some(conflict) = tree.item(id).and_then(|i| i.conflict.as_ref())
            {
                return Ok((id, conflict.id));
            }
        }
        Err(Error::failed(format!("there is no open conflict at {target}")))
    }

    /// Which path of which location a path inside the mount leads to, given as bytes below the
    /// mount (`nas/papers/a.txt`).
    pub fn target_in_mount(&self, below_mount: &[u8]) -> Answer<Target> {
        let text = String::from_utf8_lossy(below_mount).into_owned();
        let path =
            LocPath::parse(below_mount).map_err(|e| Error::usage(format!("{text} is no path: {e}")))?;
        let mut names = path.names();
        let location = names.next().ok_or_else(|| Error::usage("the mount itself is no location"))?;
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let mut below = LocPath::root();
        names.for_each(|name| below.push(&name));
        Ok(Target { location, path: below })
    }

    /// Events from now on; a subscriber that falls behind gets `Event::Lost`.
    pub fn subscribe(&self) -> async_channel::Receiver<Revised> {
        self.0.subscribers.add(self)
    }

    /// For who sees this computer's network: routes or addresses changed, or it slept. It may be called
    /// as often as that is so.
    pub fn network_changed(&self) {
        self.0.sync.network_changed();
    }

    /// Commits, stops all work and returns when nothing is in flight any more.
    pub async fn shut_down(&self) -> Answer<()> {
        for worker in self.0.sync.workers() {
            worker.close();
            worker.closed().await;
        }
        self.0.store.flush()?;
        self.0.store.close()?;
        Ok(())
    }
}

pub(super) fn target_of(tree: &Tree, id: ItemId) -> Target {
    let location = tree.item(id).and_then(|i| tree.location(i.location)).map(|l| l.row.name.clone());
    Target { location: location.unwrap_or_default(), path: tree.known_path(id).unwrap_or_default() }
}

/// Whether an item lies under what a command named.
pub(super) fn is_under(tree: &Tree, id: ItemId, under: Option<&Target>) -> bool {
    let Some(under) = under else { return true };
    let Some(item) = tree.item(id) else { return false };
    let here = tree.location(item.location).is_some_and(|l| l.row.name == under.location);
    here && [Side::Local, Side::Server, Side::Original]
        .into_iter()
        .any(|side| tree.path(id, side).is_some_and(|p| p.starts_with(&under.path)))
}

/// The last folder on the way to a path that is here.
fn deepest_folder(tree: &Tree, location: LocationId, path: &LocPath) -> Option<NodeId> {
    let root = tree.location(location)?.row.root;
    let mut node = tree.item(root)?.entry.as_ref()?.node;
    for name in path.names() {
        let entry = tree.child(node, name.as_bytes()).and_then(|id| tree.item(id)?.entry.as_ref());
        match entry.filter(|e| tree.node(e.node).is_some_and(|live| live.row.kind == Kind::Folder)) {
            Some(entry) => node = entry.node,
            None => break,
        }
    }
    Some(node)
}

fn unlisted_on_the_way(tree: &Tree, location: LocationId, path: &LocPath) -> Option<Need> {
    let root = tree.location(location)?.row.root;
    let mut node = tree.item(root)?.entry.as_ref()?.node;
    for name in path.names() {
        let live = tree.node(node)?;
        if live.row.kind != Kind::Folder {
            return None;
        }
        match live.children.get(&name) {
            Some(id) => node = tree.item(*id)?.entry.as_ref()?.node,
            None => return (!live.row.listed).then_some(Need::Listing(node)),
        }
    }
    None
}
