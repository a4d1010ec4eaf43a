//! Noting what a walk found: what moved, what is new, what changed, what went, in this order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use crate::model::{ItemId, LocPath, LocationId, Name, Side};
use crate::reconcile::Settled;
use crate::remote::Capabilities;
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::store::tree::Tree;

use super::note::{mark_listed, note_changed, note_fresh, note_gone};
use super::{Found, Fresh, Inside, Observation};
use crate::sync::settling::{CHUNK, settle_all};

/// What comes of a round while it is noted.
#[derive(Default)]
pub(super) struct Round {
    pub(super) since: u64,
    /// Of what is missing, with all that lies in it.
    pub(super) by_file_id: HashMap<u64, ItemId>,
    /// Not found where they were, and not yet found elsewhere; what lies in them goes with them.
    pub(super) missing: BTreeSet<ItemId>,
    /// Gone, the deepest first.
    pub(super) gone: Vec<ItemId>,
    /// To be settled.
    pub(super) touched: Vec<ItemId>,
    /// New folders whose names are all known.
    pub(super) walked: Vec<ItemId>,
    /// The server keeps no modes: whatever it shows, they are those that both sides last had.
    pub(super) modeless: bool,
    /// Where our own records lead whose answer is not known yet: what is found there may be ours.
    pub(super) sent_to: HashSet<(ItemId, Name)>,
    /// Something was found whose item is on its way: only another look at everything tells.
    pub(super) again: bool,
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

impl Observation {
    /// Notes everything and settles it.
    pub fn apply(self, store: &Store, capabilities: &Capabilities) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        let mut round = Round { since: self.since, modeless: !capabilities.modes, ..Round::default() };
        let _moment = self.moment;
        let mut good = Good::new(&self.listed, self.since);
        let held = {
            let tree = store.read();
            let mut doubtful = BTreeSet::new();
            for Found { folder, what } in &self.missing {
                let sure = good.is(&tree, *folder);
                if sure { &mut round.missing } else { &mut doubtful }.insert(*what);
            }
            // Asked for under a path that it no longer had: it was not looked at.
            let lost = self.lost.iter().filter(|(id, path)| {
                tree.item(**id).is_some() && !tree.is_listing_good(**id, path, self.since)
            });
            applied.stale.extend(lost.map(|(id, _)| *id));
            doubtful.extend(&applied.stale);
            // Of these one look does not tell what moved from what came.
            let mut held = HashSet::new();
            if capabilities.file_ids {
                held.extend(by_file_id(&tree, &doubtful).into_keys());
                if self.partial {
                    held.extend(changed_here(&tree, self.location));
                }
            }
            held
        };
        applied.stale.append(&mut good.stale);
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
            let mut size = 0;
            let fits = |fresh: &&Fresh| {
                let before = size;
                size += 1 + count(fresh.inside.as_deref());
                before < CHUNK
            };
            let some = fresh.iter().take(64).take_while(fits).count();
            let chunk: Vec<Fresh> = fresh.drain(..some).collect();
            let mut good = Good::new(&self.listed, self.since);
            store.write(|tx| {
                round.sent_to = sent_to(tx.tree());
                for fresh in chunk {
                    if !good.is(tx.tree(), fresh.parent) {
                        continue;
                    }
                    if !held.is_empty() && fresh.file_ids().iter().any(|f| held.contains(f)) {
                        applied.ask_all = true;
                        continue;
                    }
                    note_fresh(tx, fresh.parent, fresh.listed, fresh.inside, &mut round);
                }
                Ok::<_, StoreError>(())
            })?;
            store.relieve()?;
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
            store.relieve()?;
            applied.stale.append(&mut good.stale);
        }
        // Seen from some folders a move is a removal, and half of a removal of all is no reason to brake:
        // only a look at everything, and of which everything counts, says that something is gone.
        if (self.partial || !applied.stale.is_empty()) && !round.missing.is_empty() {
            round.missing.clear();
            applied.ask_all = true;
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

/// How much lies in what was walked.
fn count(inside: Option<&[Inside]>) -> usize {
    inside.into_iter().flatten().map(|one| 1 + count(one.inside.as_deref())).sum()
}

pub(super) fn sent_to(tree: &Tree) -> HashSet<(ItemId, Name)> {
    let attention = tree.locations().flat_map(|live| live.attention.iter());
    attention
        .filter_map(|id| tree.item(*id)?.sending.as_ref()?.result.as_deref())
        .filter_map(|state| Some((state.parent?, state.name.clone())))
        .collect()
}

/// Which of the listings still count, asked within one step.
pub(super) struct Good<'a> {
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

/// The files on which something changed here hangs: those of the items and of all folders above them.
fn changed_here(tree: &Tree, location: LocationId) -> HashSet<u64> {
    let (mut files, mut seen) = (HashSet::new(), HashSet::new());
    let open = tree.location(location).map(|live| &live.attention);
    let changed = |id: &&ItemId| tree.item(**id).is_some_and(|i| i.pending.is_some() || i.conflict.is_some());
    let mut stack: Vec<ItemId> = open.into_iter().flatten().filter(changed).copied().collect();
    while let Some(item) = stack.pop().and_then(|id| tree.item(id)) {
        if !seen.insert(item.id) {
            continue;
        }
        // It may lie in one folder there and be on its way to another.
        let places = [tree.place(item, Side::Server), tree.place(item, Side::Local)];
        // The location itself is no file that moves.
        if places.iter().any(Option::is_some) {
            files.extend(tree.server_state(item).and_then(|s| s.meta.file_id));
        }
        stack.extend(places.into_iter().flatten().map(|(above, _)| above));
    }
    files
}

/// All that is missing, with what lies in it.
pub(super) fn by_file_id(tree: &Tree, missing: &BTreeSet<ItemId>) -> HashMap<u64, ItemId> {
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
pub(super) fn is_missing(tree: &Tree, missing: &BTreeSet<ItemId>, id: ItemId) -> bool {
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
