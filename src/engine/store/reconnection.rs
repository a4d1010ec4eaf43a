//! What a reconnection does is written down with it: in the step that changes what both sides agree on.

use crate::model::{ConflictId, HistoryId, HistoryKind, ItemId, LocationId, State};

use super::Tx;
use super::rows::{Before, BeforeId, Counted, Did, History, Item};
use super::tree::Reconnection;

impl Tx<'_> {
    /// The entry of a reconnection, made with the first thing to be told.
    fn entry_of(&self, location: LocationId, reconnection: Reconnection) -> History {
        let known = self.tree().history().get(&reconnection.entry).cloned();
        known.unwrap_or_else(|| History {
            id: reconnection.entry,
            at: reconnection.began,
            what: String::new(),
            undone: false,
            kind: HistoryKind::Reconnection,
            location: Some(location),
            items: 0,
            counted: Counted { away_seconds: reconnection.away_seconds, ..Counted::default() },
            released: false,
            left_out: 0,
        })
    }

    fn under_way(&self, item: ItemId) -> Option<(LocationId, Reconnection)> {
        if self.decides {
            return None;
        }
        let location = self.tree().item(item)?.location;
        Some((location, self.tree().reconnection(location)?))
    }

    /// Both sides are about to agree on something else about an item, because it was sent or taken. Its
    /// base still says what they agreed on before.
    pub fn note_agreed(&mut self, item: ItemId, did: Did) {
        let Some((location, reconnection)) = self.under_way(item) else { return };
        let Some(now) = self.tree().item(item) else { return };
        let id = BeforeId { history: reconnection.entry, number: item.0 };
        let known = self.tree().before(id);
        let done = known.map(|before| before.did).unwrap_or_default();
        if done.contains(did) {
            return;
        }
        let before = known.cloned().unwrap_or_else(|| Before {
            item,
            row: now.base.clone().map(|base| Box::new(only_base(now, base))),
            node: None,
            after: None,
            did,
        });
        let mut entry = self.entry_of(location, reconnection);
        entry.items += u64::from(done.is_empty());
        entry.counted.sent += u64::from(did.contains(Did::SENT));
        entry.counted.taken += u64::from(did.contains(Did::TAKEN));
        self.put_history(entry);
        self.put_before(id, Some(Before { did: done | did, ..before }));
    }

    /// A conflict was found.
    pub fn note_conflict(&mut self, item: ItemId) {
        let Some((location, reconnection)) = self.under_way(item) else { return };
        let mut entry = self.entry_of(location, reconnection);
        entry.counted.conflicts += 1;
        self.put_history(entry);
    }

    /// A conflict went away by itself. Where it was found in the reconnection that is under way, it was
    /// none.
    pub fn note_no_conflict(&mut self, item: ItemId, conflict: ConflictId) {
        let Some((_, reconnection)) = self.under_way(item) else { return };
        let Some(entry) = self.tree().history().get(&reconnection.entry) else { return };
        if conflict.0 < reconnection.entry.0 || entry.counted.conflicts == 0 {
            return;
        }
        let mut entry = entry.clone();
        entry.counted.conflicts -= 1;
        match entry.items + entry.counted.conflicts {
            0 => self.remove_history(entry.id),
            _ => self.put_history(entry),
        }
    }

    /// The reconnection of an entry is taken back: what is still done in it is told in another one.
    pub fn begin_anew(&mut self, entry: &History) {
        let Some(location) = entry.location else { return };
        if let Some(reconnection) = self.tree().reconnection(location).filter(|r| r.entry == entry.id) {
            let entry = HistoryId(self.new_id());
            self.tree_mut().set_reconnection(location, Some(Reconnection { entry, ..reconnection }));
        }
    }

    /// What was before an entry is given up, so many items of it at the most. Whether any are left.
    pub fn release_history(&mut self, id: HistoryId, most: usize) -> bool {
        let Some(mut entry) = self.tree().history().get(&id).cloned() else { return false };
        if !entry.undone && !entry.released {
            entry.released = true;
            self.put_history(entry);
        }
        let some: Vec<BeforeId> = self.tree().befores(id).take(most).map(|(id, _)| *id).collect();
        some.iter().for_each(|id| self.put_before(*id, None));
        some.len() == most
    }
}

/// Nothing of an item but what both sides agree on.
fn only_base(item: &Item, base: Box<State>) -> Item {
    let row = Item::new(item.id, item.location);
    Item { base: Some(base), pinned: item.pinned, ..row }
}
