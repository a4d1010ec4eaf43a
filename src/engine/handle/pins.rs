//! Pin, unpin, evict.

use std::collections::BTreeSet;

use crate::model::{ItemId, Kind, LocationId, PinReport, Side, Target};
use crate::pins::{count, evict, limit_of, path_of, pinned, set_pinned};
use crate::store::tree::Tree;

use super::core::Handle;
use super::{Answer, Error};

impl Handle {
    /// With `wait`, returns when all of it is here.
    pub async fn pin(&self, path: &Target, wait: bool) -> Answer<()> {
        let id = self.find(path).await?;
        set_pinned(&self.0.store, id, true)?;
        self.0.store.flushed().await?;
        let location = self.location_id(&path.location)?;
        let worker = self.worker(location)?;
        let mut round = worker.ask_round();
        worker.want_all_pinned();
        if !wait {
            return Ok(());
        }
        let tries = worker.tries();
        let mut looked_again = false;
        loop {
            let progress = worker.progress.listen();
            if !self.0.store.read().item(id).is_some_and(|i| i.pinned) {
                return Err(Error::failed(format!("{path} was unpinned meanwhile")));
            }
            // Counting takes a look at all that is pinned: only when there is nothing left to fetch.
            if worker.is_fetching() && worker.is_online() {
                progress.await;
                continue;
            }
            let complete = self.count(id).is_complete();
            if complete && worker.done_round() >= round {
                break;
            }
            if worker.is_by_hand() && complete {
                break;
            }
            if !worker.is_online() && (worker.is_by_hand() || worker.tries() > tries) {
                let (_, detail) = worker.link();
                let why = if detail.is_empty() { "it was taken offline by hand".into() } else { detail };
                return Err(Error::offline(format!(
                    "{path} is pinned and not wholly here yet: the location is offline ({why}); the rest is fetched \
                     when it is back"
                )));
            }
            if worker.is_over_limit() && !complete {
                return Err(Error::failed(format!(
                    "{path} is pinned and does not fit into the limit of {0}; give it more with `location set {0} \
                     limit SIZE`, or unpin something",
                    path.location
                )));
            }
            if worker.is_held_up() {
                return Err(Error::failed(format!(
                    "{path} is pinned, and the disk of the store is full; the rest is fetched when there is room"
                )));
            }
            let mut hopeless = worker.fetch_failed();
            if worker.done_round() >= round && worker.is_online() {
                // What cannot be listed is told of by a second look at the latest.
                if !looked_again {
                    looked_again = true;
                    round = worker.ask_round();
                    continue;
                }
                hopeless |= !self.problems(Some(path)).await?.is_empty();
            }
            if hopeless && !worker.is_fetching() {
                return Err(Error::failed(format!(
                    "{path} is pinned, but some of it cannot be fetched; `problems` says what and why"
                )));
            }
            progress.await;
        }
        // What is here is also on the disk.
        self.0.store.flushed().await?;
        Ok(())
    }

    fn count(&self, id: ItemId) -> crate::pins::Count {
        count(&self.0.store, &self.0.store.read(), id)
    }

    pub async fn unpin(&self, path: &Target) -> Answer<()> {
        let id = self.find_known(path)?;
        if !self.0.store.read().item(id).is_some_and(|i| i.pinned) {
            return Err(Error::failed(format!("{path} is not pinned; `pins` shows what is")));
        }
        set_pinned(&self.0.store, id, false)?;
        if let Ok(worker) = self.worker(self.location_id(&path.location)?) {
            worker.want_all_pinned();
        }
        self.0.store.flushed().await?;
        Ok(())
    }

    pub async fn pins(&self) -> Answer<Vec<PinReport>> {
        Ok(self.pin_states())
    }

    pub(super) fn pin_states(&self) -> Vec<PinReport> {
        let tree = self.0.store.read();
        let mut reports = Vec::new();
        let over = self.over_by_pins(&tree);
        for id in pinned(&tree) {
            let Some(item) = tree.item(id) else { continue };
            let Some(path) = path_of(&tree, id) else { continue };
            let worker = self.0.sync.worker(item.location);
            let online = worker.as_ref().is_some_and(|w| w.is_online());
            let fetching = worker.as_ref().is_some_and(|w| w.is_fetching());
            let mut total = count(&self.0.store, &tree, id);
            // A pinned folder that was never listed is not complete, whatever it counts.
            let unlisted = item
                .entry
                .as_ref()
                .and_then(|e| tree.node(e.node))
                .is_some_and(|l| l.row.kind == Kind::Folder && !l.row.listed);
            total.unlisted += u64::from(unlisted && total.unlisted == 0);
            let held_back = worker.as_ref().is_some_and(|w| w.is_over_limit() || w.is_held_up());
            let over_limit = over.contains(&item.location) || held_back && !total.is_complete();
            let rate = worker.as_ref().map_or(0, |w| w.fetch_rate());
            reports.push(PinReport {
                path,
                files: total.files,
                bytes: total.bytes,
                present_files: total.present_files,
                present_bytes: total.present_bytes,
                bytes_per_second: if fetching { rate } else { 0 },
                state: total.state(online, over_limit),
            });
        }
        reports.sort_by(|a, b| a.path.cmp(&b.path));
        reports
    }

    /// Locations of whose pins more is here than their limits allow.
    fn over_by_pins(&self, tree: &Tree) -> BTreeSet<LocationId> {
        let limited = tree.locations().filter_map(|live| Some((live.row.id, limit_of(&live.row)?)));
        let outermost = |id: &ItemId| {
            let parent = tree.item(*id).and_then(|item| tree.place(item, Side::Local));
            parent.is_none_or(|(parent, _)| !tree.is_pinned(parent))
        };
        let over = limited.filter(|(location, limit)| {
            let mine = |id: &ItemId| tree.item(*id).is_some_and(|item| item.location == *location);
            let pins = pinned(tree).into_iter().filter(mine).filter(outermost);
            pins.map(|id| count(&self.0.store, tree, id).present_bytes).sum::<u64>() > *limit
        });
        over.map(|(location, _)| location).collect()
    }

    /// Bytes freed.
    pub async fn evict(&self, path: &Target) -> Answer<u64> {
        let id = self.find_known(path)?;
        Ok(evict(&self.0.store, id)?)
    }
}
