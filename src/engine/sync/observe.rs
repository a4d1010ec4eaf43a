//! Learning what changed on the server: folders are listed and compared with the server tree.
//!
//! A walk gathers differences without changing anything; when it is complete, what is missing in one
//! place and new in another is recognised as moved, the brake looks at what is missing, and only
//! then the server side of the items is noted and settled. What our own replay changed after the
//! walk began is left to the next one: a listing may be older than it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::model::{ContentId, ItemId, Kind, LocPath, LocationId, Meta, Name, Side, State};
use crate::remote::{Capabilities, Listed, Listing, Remote, RemoteError, TEMP_PREFIX};
use crate::store::persist::StoreError;
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
    /// These and what lies in them.
    Below(BTreeSet<ItemId>),
}

/// What a round found and could not have.
pub struct Observation {
    moment: Moment,
    location: LocationId,
    since: u64,
    /// Only some folders: what is missing in one may be in another.
    partial: bool,
    /// Items whose server side differs from what was known.
    changed: Vec<Found<(ItemId, Meta)>>,
    missing: Vec<Found<ItemId>>,
    fresh: Vec<Fresh>,
    /// Folders whose names are now known, and the path of each while it was listed.
    listed: BTreeMap<ItemId, LocPath>,
    /// Folders that were not found, and the path of each.
    lost: BTreeMap<ItemId, LocPath>,
    pub refused: Vec<(ItemId, Vec<u8>, String)>,
    /// Folders that could not be listed. What is in them is not missing.
    pub unreadable: Vec<(ItemId, RemoteError)>,
}

/// From here on it was listed; what became true since is kept in mind until this goes.
struct Moment {
    store: Store,
    location: LocationId,
    since: u64,
}

impl Moment {
    fn begin(store: &Store, location: LocationId) -> Moment {
        Moment {
            store: store.clone(),
            location,
            since: store.with_live(|tree| tree.begin_observation(location)),
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.store.with_live(|tree| tree.end_observation(self.location, self.since));
    }
}

/// Found in the listing of this folder.
#[derive(Debug)]
struct Found<T> {
    folder: ItemId,
    what: T,
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
    since: u64,
    /// Of what is missing, with all that lies in it.
    by_file_id: HashMap<u64, ItemId>,
    /// Not found where they were, and not yet found elsewhere; what lies in them goes with them.
    missing: BTreeSet<ItemId>,
    /// Gone, the deepest first.
    gone: Vec<ItemId>,
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

/// What was noted, and what could not be.
#[derive(Default)]
pub struct Applied {
    /// To compare, to hold, or to try again.
    pub left: Vec<(ItemId, Settled)>,
    /// Folders whose listings were too old to count.
    pub stale: BTreeSet<ItemId>,
    /// Only a look at everything can tell what moved from what went.
    pub ask_all: bool,
    /// Something was found that is on its way: once its answer is here, all is to be looked at again.
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
    let moment = Moment::begin(store, location);
    let mut found = Observation {
        since: moment.since,
        moment,
        location,
        partial: *scope != Scope::Everything,
        changed: Vec::new(),
        missing: Vec::new(),
        fresh: Vec::new(),
        listed: BTreeMap::new(),
        lost: BTreeMap::new(),
        refused: Vec::new(),
        unreadable: Vec::new(),
    };
    walk(store, remote, scope, &mut found).await?;
    Ok(found)
}

async fn walk(
    store: &Store,
    remote: &Arc<dyn Remote>,
    scope: &Scope,
    found: &mut Observation,
) -> Result<(), Stopped> {
    let location = found.location;
    let mut queue: Vec<Job> = Vec::new();
    {
        let tree = store.read();
        let Some(root) = tree.location(location).map(|l| l.row.root) else {
            return Ok(());
        };
        let folders: Vec<ItemId> = match scope {
            Scope::Everything => vec![root],
            Scope::Folders(folders) | Scope::Below(folders) => folders.iter().copied().collect(),
        };
        for folder in folders {
            if let Some(path) = tree.path(folder, Side::Server) {
                queue.push(Job { place: Where::Item(folder), path });
            }
        }
    }
    let deep = !matches!(scope, Scope::Folders(_));
    let mut asked: BTreeSet<ItemId> = match scope {
        Scope::Everything => BTreeSet::new(),
        Scope::Folders(folders) | Scope::Below(folders) => folders.clone(),
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
                    found.lost.insert(folder, job.path.clone());
                    found.unreadable.push((folder, RemoteError::NotFound));
                    // Where nobody walks down to it, the folder above is asked now.
                    let tree = store.read();
                    let above = tree.item(folder).and_then(|i| tree.place(i, Side::Server));
                    if let Some((above, _)) = above.filter(|(above, _)| !deep && asked.insert(*above))
                        && let Some(path) = tree.path(above, Side::Server)
                    {
                        queue.push(Job { place: Where::Item(above), path });
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
                found.listed.insert(folder, job.path.clone());
                let fresh = compare(&tree, folder, &listing, found);
                for listed in fresh {
                    let path = job.path.join(&listed.name);
                    if listed.meta.kind == Kind::Folder && pinned {
                        queue.push(Job { place: Where::Fresh { path: path.clone() }, path: path.clone() });
                    }
                    fresh_tops.push((folder, path, listed));
                }
                if deep {
                    for (name, child) in tree.server_children(folder) {
                        if is_walked(&tree, child, pinned) {
                            queue.push(Job { place: Where::Item(child), path: job.path.join(&name) });
                        }
                    }
                }
            }
            Where::Fresh { path } => {
                for listed in &listing.entries {
                    if listed.meta.kind == Kind::Folder {
                        let below = path.join(&listed.name);
                        queue.push(Job { place: Where::Fresh { path: below.clone() }, path: below });
                    }
                }
                walked.insert(path, listing.entries);
            }
        }
    }
    found.fresh = fresh_tops
        .into_iter()
        .map(|(parent, path, listed)| Fresh { parent, inside: gather(&mut walked, &path), listed })
        .collect();
    Ok(())
}

fn gather(walked: &mut HashMap<LocPath, Vec<Listed>>, path: &LocPath) -> Option<Vec<Inside>> {
    let entries = walked.remove(path)?;
    Some(
        entries
            .into_iter()
            .map(|listed| {
                let below = path.join(&listed.name);
                Inside { inside: gather(walked, &below), listed }
            })
            .collect(),
    )
}

/// A folder whose names are known here, or that is to be wholly here.
fn is_walked(tree: &Tree, id: ItemId, pinned: bool) -> bool {
    let Some(item) = tree.item(id) else { return false };
    if tree.server_state(item).is_none_or(|s| s.meta.kind != Kind::Folder) {
        return false;
    }
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    pinned || item.pinned || node.is_none_or(|live| live.row.listed)
}

/// Notes differences of one folder; what no item stands for is returned.
fn compare(tree: &Tree, folder: ItemId, listing: &Listing, found: &mut Observation) -> Vec<Listed> {
    let mut fresh = Vec::new();
    let mut seen: HashSet<&[u8]> = HashSet::with_capacity(listing.entries.len());
    for listed in &listing.entries {
        seen.insert(listed.name.as_bytes());
        match tree.server_child(folder, listed.name.as_bytes()).and_then(|id| tree.item(id)) {
            // A file where a folder was, or the reverse: the one went, and another came.
            Some(item) if became_another(tree, item, listed.meta.kind) => {
                found.missing.push(Found { folder, what: item.id });
                fresh.push(listed.clone());
            }
            Some(item) => {
                let known = tree.server_state(item).map(|s| &s.meta);
                if known != Some(&listed.meta) {
                    let what = (item.id, listed.meta.clone());
                    found.changed.push(Found { folder, what });
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
            found.missing.push(Found { folder, what: id });
        }
    }
    fresh
}

fn became_another(tree: &Tree, item: &Item, kind: Kind) -> bool {
    let known = tree.server_state(item).map(|s| s.meta.kind);
    known.is_some_and(|known| (known == Kind::Folder) != (kind == Kind::Folder))
}

impl Fresh {
    fn file_ids(&self) -> Vec<u64> {
        let mut files: Vec<u64> = self.listed.meta.file_id.into_iter().collect();
        let mut stack: Vec<&Inside> = self.inside.iter().flatten().collect();
        while let Some(inside) = stack.pop() {
            files.extend(inside.listed.meta.file_id);
            stack.extend(inside.inside.iter().flatten());
        }
        files
    }
}

impl Observation {
    /// Whether so much is missing that a person should be asked first: an emptied root, or more
    /// than half of a pin (or of all that is known) and at least a hundred.
    pub fn braked(&self, store: &Store) -> Option<Braked> {
        if self.missing.is_empty() {
            return None;
        }
        let tree = store.read();
        let live = tree.location(self.location)?;
        let root = live.row.root;
        let setting = |key: &str, default: u64| {
            let found = live.row.settings.iter().find(|(k, _)| k == key);
            found.and_then(|(_, v)| v.parse().ok()).unwrap_or(default)
        };
        let (least, percent) = (setting("brake-items", 100), setting("brake-percent", 50).min(100));
        let moved: HashSet<u64> = self.fresh.iter().flat_map(Fresh::file_ids).collect();
        let is_moved = |id: ItemId| {
            let state = tree.item(id).and_then(|i| tree.server_state(i));
            state.is_some_and(|s| s.meta.file_id.is_some_and(|f| moved.contains(&f)))
        };
        let mut missing = HashSet::new();
        for found in &self.missing {
            // What lies in a folder that moved moved with it.
            let mut stack = vec![found.what];
            while let Some(id) = stack.pop() {
                if !is_moved(id) && missing.insert(id) {
                    stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
                }
            }
        }
        let names = tree.server_children(root);
        let emptied = names.len() > 1 || names.iter().any(|(_, id)| count_below(&tree, *id) > 1);
        let emptied = emptied
            && self.listed.contains_key(&root)
            && names.iter().all(|(_, id)| missing.contains(id))
            && missing.len() as u64 + 1 >= count_below(&tree, root);
        if !emptied && (missing.len() as u64) < least {
            return None;
        }
        let pins = tree.items().filter(|i| i.pinned && i.location == self.location);
        let groups = std::iter::once(root).chain(pins.map(|i| i.id).filter(|id| *id != root));
        let mut worst: Option<Braked> = None;
        for group in groups {
            let below = list_below(&tree, group);
            let of = below.len() as u64;
            let gone = below.iter().filter(|id| missing.contains(id)).count() as u64;
            let most = gone * 100 > of * percent && gone >= least;
            if (most || (emptied && group == root)) && worst.as_ref().is_none_or(|w| w.missing < gone) {
                worst = Some(Braked { missing: gone, of });
            }
        }
        worst
    }

    /// Nothing counts as missing: the brake is on.
    pub fn forget_missing(&mut self) {
        self.missing.clear();
    }

    /// Notes everything and settles it.
    pub fn apply(self, store: &Store, capabilities: &Capabilities) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        let mut round = Round { since: self.since, modeless: !capabilities.modes, ..Round::default() };
        let _moment = self.moment;
        let mut good = Good::new(&self.listed, self.since);
        let held = {
            let tree = store.read();
            let missing = self.missing.iter().filter(|f| good.is(&tree, f.folder));
            round.missing = missing.map(|found| found.what).collect();
            // Asked for under a path that it no longer had: it was not looked at.
            let lost = self.lost.iter().filter(|(id, path)| {
                tree.item(**id).is_some() && !tree.is_listing_good(**id, path, self.since)
            });
            applied.stale.extend(lost.map(|(id, _)| *id));
            match self.partial && capabilities.file_ids {
                true => changed_here(&tree, self.location),
                false => ChangedHere::default(),
            }
        };
        applied.stale.append(&mut good.stale);
        // Seen from one folder a move is a removal: where something changed here hangs on it, all is
        // looked at before anything is said.
        let known = round.missing.len();
        round.missing.retain(|id| !held.items.contains(id));
        applied.ask_all = round.missing.len() < known;
        if capabilities.file_ids {
            round.by_file_id = by_file_id(&store.read(), &round.missing);
        }
        // What moved comes first: what has come in its place is then a thing of its own.
        let (moved, new): (Vec<Fresh>, Vec<Fresh>) = self.fresh.into_iter().partition(|fresh| {
            let file = fresh.listed.meta.file_id;
            file.is_some_and(|file| round.by_file_id.contains_key(&file))
        });
        let mut fresh: VecDeque<Fresh> = moved.into_iter().chain(new).collect();
        while !fresh.is_empty() {
            let chunk: Vec<Fresh> = fresh.drain(..fresh.len().min(64)).collect();
            let mut good = Good::new(&self.listed, self.since);
            store.write(|tx| {
                round.sent_to = sent_to(tx.tree());
                for fresh in chunk {
                    if !good.is(tx.tree(), fresh.parent) {
                        continue;
                    }
                    if fresh.listed.meta.file_id.is_some_and(|f| held.files.contains(&f)) {
                        applied.ask_all = true;
                        continue;
                    }
                    note_fresh(tx, fresh.parent, fresh.listed, fresh.inside, &mut round);
                }
                Ok::<_, StoreError>(())
            })?;
            applied.stale.append(&mut good.stale);
        }
        for chunk in self.changed.chunks(CHUNK) {
            let mut good = Good::new(&self.listed, self.since);
            store.write(|tx| {
                for Found { folder, what } in chunk {
                    let (id, meta) = what;
                    if good.is(tx.tree(), *folder) && note_changed(tx, *id, meta.clone(), &round) {
                        round.touched.push(*id);
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            applied.stale.append(&mut good.stale);
        }
        let mut good = Good::new(&self.listed, self.since);
        store.write(|tx| {
            for id in std::mem::take(&mut round.missing) {
                note_gone(tx, id, &mut round);
            }
            for id in self.listed.keys() {
                if good.is(tx.tree(), *id) {
                    mark_listed(tx, *id);
                    tx.tree_mut().note_listing(*id);
                }
            }
            Ok::<_, StoreError>(())
        })?;
        applied.stale.append(&mut good.stale);
        round.touched.extend(round.gone);
        applied.left = settle_all(store, round.touched)?;
        // New folders that were walked are here by now, with all that is in them.
        store.write(|tx| {
            round.walked.iter().for_each(|id| mark_listed(tx, *id));
            Ok::<_, StoreError>(())
        })?;
        applied.again = round.again;
        Ok(applied)
    }
}

fn sent_to(tree: &Tree) -> HashSet<(ItemId, Name)> {
    let attention = tree.locations().flat_map(|live| live.attention.iter());
    attention
        .filter_map(|id| tree.item(*id)?.sending.as_ref()?.result.as_deref())
        .filter_map(|state| Some((state.parent?, state.name.clone())))
        .collect()
}

/// Which of the listings still count, asked within one step.
struct Good<'a> {
    listed: &'a BTreeMap<ItemId, LocPath>,
    since: u64,
    known: HashMap<ItemId, bool>,
    stale: BTreeSet<ItemId>,
}

impl<'a> Good<'a> {
    fn new(listed: &'a BTreeMap<ItemId, LocPath>, since: u64) -> Good<'a> {
        Good { listed, since, known: HashMap::new(), stale: BTreeSet::new() }
    }

    fn is(&mut self, tree: &Tree, folder: ItemId) -> bool {
        if let Some(known) = self.known.get(&folder) {
            return *known;
        }
        let path = self.listed.get(&folder);
        let good = path.is_some_and(|path| tree.is_listing_good(folder, path, self.since));
        if !good && tree.item(folder).is_some() {
            self.stale.insert(folder);
        }
        self.known.insert(folder, good);
        good
    }
}

/// What something changed here hangs on: the items and all folders above them, and their files.
#[derive(Default)]
struct ChangedHere {
    items: HashSet<ItemId>,
    files: HashSet<u64>,
}

fn changed_here(tree: &Tree, location: LocationId) -> ChangedHere {
    let mut here = ChangedHere::default();
    let open = tree.location(location).map(|live| &live.attention);
    for id in open.into_iter().flatten() {
        let mut next = tree.item(*id).filter(|i| i.pending.is_some() || i.conflict.is_some());
        while let Some(item) = next {
            if !here.items.insert(item.id) {
                break;
            }
            let place = tree.place(item, Side::Server);
            let above = place.or_else(|| tree.place(item, Side::Local));
            // The location itself is no file that moves.
            if above.is_some() {
                here.files.extend(tree.server_state(item).and_then(|s| s.meta.file_id));
            }
            next = above.and_then(|(above, _)| tree.item(above));
        }
    }
    here
}

/// All that is missing, with what lies in it.
fn by_file_id(tree: &Tree, missing: &BTreeSet<ItemId>) -> HashMap<u64, ItemId> {
    let mut files = HashMap::new();
    let mut stack: Vec<ItemId> = missing.iter().copied().collect();
    while let Some(id) = stack.pop() {
        let state = tree.item(id).and_then(|i| tree.server_state(i));
        if let Some(file) = state.and_then(|s| s.meta.file_id) {
            files.insert(file, id);
        }
        stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
    }
    files
}

/// Whether it is missing itself or lies in what is.
fn is_missing(tree: &Tree, missing: &BTreeSet<ItemId>, id: ItemId) -> bool {
    let mut next = Some(id);
    for _ in 0..4096 {
        let Some(id) = next else { return false };
        if missing.contains(&id) {
            return true;
        }
        let above = tree.item(id).and_then(|i| tree.place(i, Side::Server));
        next = above.map(|(above, _)| above);
    }
    false
}

/// All items the server tree has under one; a file is its own.
fn list_below(tree: &Tree, id: ItemId) -> Vec<ItemId> {
    let mut found = Vec::new();
    let mut stack: Vec<ItemId> = tree.server_children(id).into_iter().map(|(_, c)| c).collect();
    while let Some(id) = stack.pop() {
        found.push(id);
        stack.extend(tree.server_children(id).into_iter().map(|(_, child)| child));
    }
    if found.is_empty() {
        found.push(id);
    }
    found
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
pub fn settle_all(store: &Store, mut items: Vec<ItemId>) -> Result<Vec<(ItemId, Settled)>, StoreError> {
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
                Ok::<_, StoreError>(())
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
fn may_note(tx: &Tx<'_>, item: &Item, since: u64) -> bool {
    item.sending.is_none() && !tx.tree().was_touched(item.id, since)
}

fn note_changed(tx: &mut Tx<'_>, id: ItemId, mut meta: Meta, round: &Round) -> bool {
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
fn note_state(tx: &mut Tx<'_>, id: ItemId, known: Option<&State>, mut state: State) {
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
        (Kind::File, _) => Some(expect_content(tx, state.meta.size)),
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

fn only_mark_differs(known: &State, state: &State) -> bool {
    state.meta.file_id.is_some() && same_but_place(known, state)
}

fn is_absent(tx: &Tx<'_>, state: &State) -> bool {
    let content = state.content.and_then(|id| tx.content(id));
    content.is_some_and(|c| c.size() > 0 && c.present_bytes() == 0)
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
fn note_gone(tx: &mut Tx<'_>, id: ItemId, round: &mut Round) -> bool {
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

fn mark_listed(tx: &mut Tx<'_>, folder: ItemId) {
    let node = tx.tree().item(folder).and_then(|i| i.entry.as_ref()).map(|e| e.node);
    if let Some(node) = node
        && tx.tree().node(node).is_some_and(|live| !live.row.listed && live.row.kind == Kind::Folder)
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
fn note_inside(tx: &mut Tx<'_>, folder: ItemId, inside: Vec<Inside>, round: &mut Round) {
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
fn bind_fresh(tx: &mut Tx<'_>, parent: ItemId, listed: &Listed, since: u64) -> Option<ItemId> {
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
            tx.put_item(empty_item(fresh, location));
            tx.edit_item(fresh, |item| item.entry = entry);
            tx.relog(id);
            return Some(fresh);
        }
    }
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
