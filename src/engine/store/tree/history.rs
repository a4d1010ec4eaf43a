//! The history, and what was before each of its entries.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{ContentId, HistoryId, HistoryKind, ItemId, LocationId, Time};
use crate::store::rows::{Before, BeforeId, History};

use super::{Tree, contents_of_before};

/// A reconnection under way. Its entry is made by the first thing that it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reconnection {
    pub entry: HistoryId,
    pub began: Time,
    /// `World::elapsed` then.
    pub began_at: Duration,
    pub away_seconds: Option<u64>,
}

impl Tree {
    pub fn history(&self) -> &BTreeMap<HistoryId, History> {
        &self.history
    }

    pub fn before(&self, id: BeforeId) -> Option<&Before> {
        self.befores.get(&id)
    }

    /// What was before an entry, in the order of the numbers.
    pub fn befores(&self, history: HistoryId) -> impl DoubleEndedIterator<Item = (&BeforeId, &Before)> {
        let all = BeforeId { history, number: 0 }..=BeforeId { history, number: u64::MAX };
        self.befores.range(all)
    }

    /// Whether there is something left to go back to.
    pub fn can_undo(&self, history: &History) -> bool {
        !history.undone && !history.released && self.befores(history.id).next().is_some()
    }

    /// The reconnection of a location that is under way.
    pub fn reconnection(&self, location: LocationId) -> Option<Reconnection> {
        self.locations.get(&location)?.reconnection
    }

    pub fn set_reconnection(&mut self, location: LocationId, reconnection: Option<Reconnection>) {
        if let Some(live) = self.locations.get_mut(&location) {
            live.reconnection = reconnection;
        }
    }

    pub(in crate::store) fn put_history(&mut self, id: HistoryId, row: Option<History>) -> Option<History> {
        match row {
            Some(row) => self.history.insert(id, row),
            None => self.history.remove(&id),
        }
    }

    pub(in crate::store) fn put_before(&mut self, id: BeforeId, row: Option<Before>) -> Option<Before> {
        for content in row.iter().flat_map(contents_of_before) {
            self.retain(content);
        }
        let old = match row {
            Some(row) => self.befores.insert(id, row),
            None => self.befores.remove(&id),
        };
        for content in old.iter().flat_map(contents_of_before) {
            self.release(content);
        }
        old
    }

    /// How many reconnections could go back to a content: for them alone it is not kept when room is
    /// needed.
    pub fn references_of_reconnections(&self, item: ItemId, content: ContentId) -> u32 {
        let of_location = self.items.get(&item).map(|item| item.location);
        let mut count = 0;
        let reconnections = self.history.values().filter(|h| {
            h.kind == HistoryKind::Reconnection && !h.released && !h.undone && h.location == of_location
        });
        for history in reconnections {
            let before = self.befores.get(&BeforeId { history: history.id, number: item.0 });
            count += before.into_iter().flat_map(contents_of_before).filter(|c| *c == content).count() as u32;
        }
        count
    }
}
