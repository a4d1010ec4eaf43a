//! When a reconnection begins and ends. What it does is noted where it is done
//! (`store/reconnection.rs`).

use std::sync::atomic::Ordering::SeqCst;

use crate::model::HistoryId;
use crate::store::tree::Reconnection;

use super::schedule::PATIENCE;
use super::worker::Worker;

impl Worker {
    /// The link is up after it was down. The first connection of a location is none: all that it finds
    /// is new.
    pub(super) fn begin_reconnection(&self) {
        let (now, away) = (self.world.now(), *self.down_since.lock());
        let entry = HistoryId(self.store.new_id());
        self.looks.store(0, SeqCst);
        self.store.with_live(|tree| {
            let was_here = tree.location(self.location).is_some_and(|live| live.row.last_sync.is_some());
            let away_seconds = away.map(|since| now.since(since).as_secs());
            let began_at = self.world.elapsed();
            let begun = Reconnection { entry, began: now, began_at, away_seconds };
            tree.set_reconnection(self.location, was_here.then_some(begun));
        });
    }

    /// Whether so many whole looks end the reconnection, where nothing is on its way. What was changed just
    /// before it settles within some seconds; a program that never rests does not hold it open.
    pub(super) fn is_reconnected(&self, looks: u64, settled: bool) -> bool {
        let reconnection = self.store.read().reconnection(self.location);
        let is_long = |begun: Reconnection| self.world.elapsed() >= begun.began_at + PATIENCE;
        looks > 0 && reconnection.is_some_and(|begun| settled || is_long(begun))
    }

    /// The link is down. One that never came up did not come back for a moment.
    pub(super) fn lose_link(&self) {
        self.end_reconnection();
        if self.is_online() {
            *self.down_since.lock() = Some(self.world.now());
        }
    }

    pub(super) fn end_reconnection(&self) {
        self.store.with_live(|tree| tree.set_reconnection(self.location, None));
    }
}
