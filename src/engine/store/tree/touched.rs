//! What became true while the server was being listed: a listing that is older does not count.

use std::collections::{BTreeMap, HashMap};

use crate::model::{ItemId, Name};

/// Moments of one location, counted; kept while an observation is under way.
#[derive(Default)]
pub(super) struct Touched {
    now: u64,
    /// Observations under way: when they began, and how many.
    under_way: BTreeMap<u64, u32>,
    /// Our own replay changed these on the server.
    items: HashMap<ItemId, u64>,
    places: HashMap<(ItemId, Name), u64>,
    /// Our own replay made, moved or removed these: what lies in them has another path since.
    moved: HashMap<ItemId, u64>,
    /// What these folders hold was noted.
    noted: HashMap<ItemId, u64>,
}

impl Touched {
    pub fn begin(&mut self) -> u64 {
        self.now += 1;
        *self.under_way.entry(self.now).or_default() += 1;
        self.now
    }

    pub fn end(&mut self, since: u64) {
        self.under_way.remove(&since);
        if self.under_way.is_empty() {
            self.items.clear();
            self.places.clear();
            self.moved.clear();
            self.noted.clear();
        }
    }

    pub fn touch(&mut self, id: ItemId, places: impl IntoIterator<Item = (ItemId, Name)>) {
        if self.under_way.is_empty() {
            return;
        }
        self.items.insert(id, self.now);
        let now = self.now;
        self.places.extend(places.into_iter().map(|place| (place, now)));
    }

    pub fn note_moved(&mut self, id: ItemId) {
        if !self.under_way.is_empty() {
            self.moved.insert(id, self.now);
        }
    }

    pub fn note_listing(&mut self, folder: ItemId) {
        if !self.under_way.is_empty() {
            self.noted.insert(folder, self.now);
        }
    }

    pub fn was_touched(&self, id: ItemId, since: u64) -> bool {
        self.items.get(&id).is_some_and(|at| *at >= since)
    }

    pub fn was_place_touched(&self, parent: ItemId, name: &Name, since: u64) -> bool {
        !self.places.is_empty() && self.places.get(&(parent, name.clone())).is_some_and(|at| *at >= since)
    }

    pub fn was_moved(&self, id: ItemId, since: u64) -> bool {
        self.moved.get(&id).is_some_and(|at| *at >= since)
    }

    pub fn was_noted(&self, folder: ItemId, since: u64) -> bool {
        self.noted.get(&folder).is_some_and(|at| *at >= since)
    }
}
