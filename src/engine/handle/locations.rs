//! Locations: add, list, set, remove; offline and online; sync.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::{
    ItemId, Kind, Link, LocationId, LocationReport, Meta, Name, Needs, NodeId, OfflineReason, State,
    SyncOutcome, Version, is_location_name,
};
use crate::pins::parse_size;
use crate::store::persist::StoreError;
use crate::store::rows::{Entry, Item, Location};
use crate::sync::{Limits, Worker};
use crate::world::{on_world, timeout};

use super::core::Handle;
use super::{Answer, Error};

/// Names that programs make beside a file while they work on it, and that mean nothing elsewhere.
pub const IGNORED: &str = ".~lock.*#\n~$*\n.*.sw?\n.goutputstream-*\n.nfs*\n.DS_Store\nThumbs.db";

/// A close that the kernel has not told of yet is awaited so often, for so long.
const CLOSES_AWAITED: u32 = 10;
const CLOSE_TAKES: Duration = Duration::from_millis(20);

/// Settings of a location and what each takes.
const KEYS: &str = "miss (fail), ignore (patterns as in .gitignore, one a line), limit (bytes, or with K, M, G, T; \
                    none), limit-up and limit-down (bytes of files a second, or with K, M, G; none), requests (calls \
                    at once; none), brake-items (a number), brake-percent (0 to 100)";

impl Handle {
    pub(crate) fn start_locations(&self) {
        let locations: Vec<Location> = self.0.store.read().locations().map(|l| l.row.clone()).collect();
        for location in locations {
            self.start_location(&location);
        }
    }

    fn start_location(&self, location: &Location) {
        let ignored = Arc::new(ignored(&location.settings));
        self.0.store.with_live(|tree| tree.set_ignored(location.id, ignored));
        match self.0.connector.remote(&location.url, &self.0.sync.owner()) {
            Ok(remote) => {
                self.0.sync.start(location.id, remote);
            }
            Err(error) => tracing::error!(location = location.name, error, "a location cannot be used"),
        }
    }

    pub async fn location_add(&self, name: &str, url: &str) -> Answer<()> {
        if !is_location_name(name) {
            return Err(Error::usage(format!(
                "{name:?} cannot name a location; use letters, digits, -, _ and ., not first a dash or dot"
            )));
        }
        self.0
            .connector
            .check(url)
            .map_err(|why| Error::usage(format!("{} cannot be a location: {why}", self.public(url))))?;
        if self.location_id(name).is_ok() {
            return Err(Error::failed(format!(
                "there is a location named {name} already; choose another name"
            )));
        }
        self.must_be_apart(url)?;
        // What is wrong with the server is told now and not when it is used first.
        let remote = self.0.connector.remote(url, &self.0.sync.owner()).map_err(Error::failed)?;
        let root = on_world(self.0.store.world(), async move {
            let root = match remote.connect().await {
                Ok(_) => remote.stat(&crate::model::LocPath::root()).await,
                Err(error) => Err(error),
            };
            remote.disconnect().await;
            root
        })
        .await
        .ok_or_else(|| Error::failed("the engine is closing"))?;
        let root =
            root.map_err(|error| Error::failed(format!("{} cannot be used: {error}", self.public(url))))?;
        let location = self.add_rows(name, url, root)?;
        self.start_location(&location);
        self.0.store.flushed().await?;
        Ok(())
    }

    /// A location in the mount, the mount in a location, or one location in another would feed on
    /// themselves.
    fn must_be_apart(&self, url: &str) -> Answer<()> {
        let Some(folder) = self.0.connector.local_folder(url) else {
            return Ok(());
        };
        if let Some(mount) = &self.0.mount
            && (folder.starts_with(mount) || mount.starts_with(&folder))
        {
            return Err(Error::failed(format!(
                "{} and the mount {} lie in one another; choose a folder apart from it",
                folder.display(),
                mount.display()
            )));
        }
        let others: Vec<(String, String)> =
            self.0.store.read().locations().map(|l| (l.row.name.clone(), l.row.url.clone())).collect();
        for (name, other) in others {
            let Some(other) = self.0.connector.local_folder(&other) else {
                continue;
            };
            if folder == other {
                return Err(Error::failed(format!(
                    "{} is the folder of the location {name} already; use {name} instead",
                    folder.display()
                )));
            }
            if folder.starts_with(&other) || other.starts_with(&folder) {
                return Err(Error::failed(format!(
                    "{} and the folder of the location {name} lie in one another; use {name} instead",
                    folder.display()
                )));
            }
        }
        Ok(())
    }

    fn public(&self, url: &str) -> String {
        self.0.connector.public_url(url)
    }

    fn add_rows(&self, name: &str, url: &str, root: Meta) -> Answer<Location> {
        let entry_name = Name::new(name.as_bytes()).map_err(|e| Error::usage(e.to_string()))?;
        self.0.store.write(|tx| {
            if tx.tree().location_named(name).is_some() {
                return Err(Error::failed(format!("there is a location named {name} already")));
            }
            let id = LocationId(tx.new_id());
            let item = ItemId(tx.new_id());
            let state = State {
                parent: None,
                name: entry_name.clone(),
                meta: Meta { kind: Kind::Folder, version: Version::new(b""), ..root },
                content: None,
            };
            let location = Location {
                id,
                name: name.into(),
                url: url.into(),
                root: item,
                by_hand: false,
                settings: Vec::new(),
                last_sync: None,
                brake: None,
            };
            tx.put_location(location.clone());
            let node = crate::reconcile::new_node(tx, &state);
            tx.put_item(Item {
                entry: Some(Entry { parent: NodeId::ROOT, name: entry_name.clone(), node }),
                base: Some(Box::new(state)),
                ..Item::new(item, id)
            });
            tx.invalidate_entry(NodeId::ROOT, &entry_name);
            tx.invalidate_node(NodeId::ROOT);
            Ok(location)
        })
    }

    pub async fn location_list(&self) -> Answer<Vec<LocationReport>> {
        let tree = self.0.store.read();
        let report = |l: &Location| LocationReport {
            name: l.name.clone(),
            url: self.public(&l.url),
            settings: l.settings.clone(),
        };
        Ok(tree.locations().map(|l| report(&l.row)).collect())
    }

    pub async fn location_remove(&self, name: &str, discard: bool) -> Answer<()> {
        let id = self.location_id(name)?;
        let waiting = self.0.sync.worker(id).map_or(0, |w| w.waiting());
        if waiting > 0 && !discard {
            return Err(Error::refused(format!(
                "{waiting} changes in {name} are not on the server yet; sync first, or discard them into the stash \
                 with --discard"
            )));
        }
        if let Some(worker) = self.0.sync.worker(id) {
            self.0.sync.remove(id);
            worker.closed().await;
        }
        self.0.store.write_in_reserve(|tx| {
            crate::conflict::part_from(tx, id);
            let items: Vec<ItemId> = tx.tree().items().filter(|i| i.location == id).map(|i| i.id).collect();
            for item in &items {
                if tx.tree().item(*item).is_some_and(|i| i.pending.is_some() || i.conflict.is_some()) {
                    crate::conflict::stash_local(tx, *item, "its location was removed", true);
                }
            }
            let mut nodes = Vec::new();
            for item in items {
                if let Some(entry) = tx.tree().item(item).and_then(|i| i.entry.clone()) {
                    nodes.push(entry.node);
                    if entry.parent == NodeId::ROOT {
                        tx.invalidate_entry(NodeId::ROOT, &entry.name);
                        tx.invalidate_node(NodeId::ROOT);
                    }
                }
                tx.remove_item(item);
            }
            nodes.into_iter().for_each(|node| crate::fileops::let_go(tx, node));
            tx.remove_location(id);
            Ok::<_, StoreError>(())
        })?;
        self.0.store.flushed().await?;
        Ok(())
    }

    pub async fn location_set(&self, name: &str, key: &str, value: &str) -> Answer<()> {
        let id = self.location_id(name)?;
        let bad = |what: &str| Error::usage(format!("{key} does not take {value:?}; {what}"));
        match key {
            "miss" if value == "fail" => {}
            "miss" => return Err(bad("it takes fail")),
            "limit" => {
                parse_size(value).ok_or_else(|| bad("it takes a size like 20G, or none"))?;
            }
            "ignore" => {
                build_ignored(value).map_err(|e| bad(&e))?;
            }
            _ if Limits::KEYS.contains(&key) => Limits::default().set(key, value).map_err(bad)?,
            "brake-items" => {
                value.parse::<u64>().map_err(|_| bad("it takes a number"))?;
            }
            "brake-percent" => {
                value.parse::<u64>().ok().filter(|p| *p <= 100).ok_or_else(|| bad("it takes 0 to 100"))?;
            }
            _ => {
                return Err(Error::usage(format!("a location has no setting {key}; it has: {KEYS}")));
            }
        }
        self.0.store.write(|tx| {
            tx.edit_location(id, |location| {
                location.settings.retain(|(k, _)| k != key);
                location.settings.push((key.into(), value.into()));
                location.settings.sort();
            });
            Ok::<_, StoreError>(())
        })?;
        if key == "ignore" {
            let ignored = Arc::new(build_ignored(value).map_err(|e| bad(&e))?);
            self.0.store.with_live(|tree| tree.set_ignored(id, ignored));
        }
        if Limits::KEYS.contains(&key)
            && let Ok(worker) = self.worker(id)
        {
            let limits = self.0.store.read().location(id).map(|live| Limits::of(&live.row));
            worker.set_limits(limits.unwrap_or_default());
        }
        if key == "limit" {
            self.0.store.changed.notify(usize::MAX);
            if let Ok(worker) = self.worker(id) {
                worker.want_all_pinned();
            }
        }
        self.0.store.flushed().await?;
        Ok(())
    }

    /// `None` means every location. Returns when nothing is in flight.
    pub async fn offline(&self, location: Option<&str>) -> Answer<()> {
        let workers = self.workers(location)?;
        self.set_by_hand(&workers, true)?;
        for worker in &workers {
            loop {
                let progress = worker.progress.listen();
                if matches!(worker.link().0, Link::Offline(OfflineReason::ByHand)) {
                    break;
                }
                progress.await;
            }
        }
        self.0.store.flushed().await?;
        Ok(())
    }

    pub async fn online(&self, location: Option<&str>) -> Answer<()> {
        let workers = self.workers(location)?;
        self.set_by_hand(&workers, false)?;
        self.0.store.flushed().await?;
        Ok(())
    }

    fn set_by_hand(&self, workers: &[Arc<Worker>], by_hand: bool) -> Answer<()> {
        self.0.store.write_in_reserve(|tx| {
            for worker in workers {
                tx.edit_location(worker.location, |l| l.by_hand = by_hand);
            }
            Ok::<_, StoreError>(())
        })?;
        workers.iter().for_each(|worker| worker.set_by_hand(by_hand));
        Ok(())
    }

    /// Without `wait` begins the sync and returns `Clean`.
    pub async fn sync(
        &self,
        location: Option<&str>,
        wait: bool,
        limit: Option<Duration>,
    ) -> Answer<SyncOutcome> {
        let workers = self.workers(location)?;
        for worker in &workers {
            self.forget_problems(worker.location)?;
        }
        self.await_closes().await;
        let rounds: Vec<_> = workers.iter().map(|w| (w.clone(), w.ask_round())).collect();
        if !wait {
            return Ok(SyncOutcome::Clean);
        }
        let all = async {
            for (worker, round) in &rounds {
                if !finished_or_offline(worker, *round).await {
                    return if worker.is_held_up() {
                        Err(StoreError::Full)
                    } else {
                        Ok(SyncOutcome::Offline)
                    };
                }
            }
            self.shown().await;
            Ok(if workers.iter().any(|w| w.needs_person()) {
                SyncOutcome::NeedsPerson
            } else {
                SyncOutcome::Clean
            })
        };
        let outcome = match limit {
            None => all.await,
            Some(limit) => {
                timeout(self.0.store.world(), limit, all).await.unwrap_or(Ok(SyncOutcome::TimedOut))
            }
        }?;
        self.0.store.flushed().await?;
        Ok(outcome)
    }

    /// The kernel tells of a close a moment after the program went on: what was closed just before
    /// the command is to count as closed.
    async fn await_closes(&self) {
        for _ in 0..CLOSES_AWAITED {
            let open = self.0.store.read().nodes().any(|live| live.row.writing);
            if !open {
                return;
            }
            self.0.store.world().sleep(CLOSE_TAKES).await;
        }
    }

    /// Waits until the mount shows what was learnt: the kernel has forgotten what is no longer true.
    async fn shown(&self) {
        let (sender, receiver) = async_channel::bounded(1);
        self.0.store.invalidate(crate::store::Invalidation::Barrier(sender));
        if self.0.mount.is_some() {
            let _ = receiver.recv().await;
        }
    }

    /// What only a failed attempt stands in the way of is attempted again.
    fn forget_problems(&self, location: LocationId) -> Answer<()> {
        self.0.store.write(|tx| {
            let Some(live) = tx.tree().location(location) else {
                return Ok(());
            };
            let again: Vec<ItemId> = live
                .attention
                .iter()
                .copied()
                .filter(|id| {
                    let problem = tx.tree().item(*id).and_then(|i| i.problem.as_ref());
                    problem.is_some_and(|p| matches!(p.needs, Needs::Retry | Needs::Space))
                })
                .collect();
            again.into_iter().for_each(|id| tx.edit_item(id, |item| item.problem = None));
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    }
}

/// Whether the round was finished; false where the location went offline first, or has no room to go on.
async fn finished_or_offline(worker: &Arc<Worker>, round: u64) -> bool {
    use futures::FutureExt;
    let tries = worker.tries();
    let lost = async {
        loop {
            let progress = worker.progress.listen();
            // An attempt that was made after the command, and failed.
            if !worker.is_online() && (worker.tries() > tries || worker.is_by_hand()) || worker.is_held_up() {
                return;
            }
            progress.await;
        }
    };
    futures::select_biased! {
        () = worker.finished(round).fuse() => true,
        () = lost.fuse() => false,
    }
}

fn ignored(settings: &[(String, String)]) -> Gitignore {
    let patterns = settings.iter().find(|(k, _)| k == "ignore").map_or(IGNORED, |(_, v)| v);
    build_ignored(patterns).unwrap_or_else(|_| Gitignore::empty())
}

fn build_ignored(patterns: &str) -> Result<Gitignore, String> {
    let mut builder = GitignoreBuilder::new(Path::new(""));
    for line in patterns.lines() {
        builder.add_line(None, line).map_err(|e| e.to_string())?;
    }
    builder.build().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_patterns() {
        let ignored = build_ignored(IGNORED).unwrap();
        let is = |name: &str| ignored.matched(Path::new(name), false).is_ignore();
        assert!(is(".~lock.a.odt#") && is("d/~$a.docx") && is(".a.swp") && is(".nfs0001") && is("Thumbs.db"));
        assert!(!is("a.txt") && !is("a.swp") && !is("a~"));
    }
}
