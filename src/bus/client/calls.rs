//! Each command as a call.

use std::os::fd::OwnedFd;
use std::time::Duration;

use async_channel::Receiver;
use async_trait::async_trait;
use holdfast_engine::handle::Revised;
use holdfast_engine::model::*;
use zbus::zvariant::{Fd, OwnedFd as BusFd};

use super::Client;
use crate::commands::{Answer, Commands};
use crate::wire::{Wire, from_wire, outcome_from_word, target};

impl Client {
    async fn list<T: Wire>(&self, interface: &str) -> Answer<Vec<T>> {
        let dicts: Vec<T::Dict> = self.call(interface, "List", &()).await?;
        Ok(from_wire(dicts)?)
    }

    /// All pages of a list.
    async fn pages<T: Wire>(
        &self,
        interface: &str,
        under: Option<&Target>,
        id: impl Fn(&T) -> u64,
    ) -> Answer<Vec<T>> {
        let under = under.map(Target::to_bytes).unwrap_or_default();
        let mut items: Vec<T> = Vec::new();
        loop {
            let after = items.last().map_or(0, &id);
            let page: Vec<T::Dict> = self.call(interface, "List", &(&under, after, 0_u32)).await?;
            if page.is_empty() {
                return Ok(items);
            }
            items.extend(from_wire(page)?);
        }
    }
}

#[async_trait]
impl Commands for Client {
    async fn status(&self) -> Answer<Status> {
        Ok(Status::from_wire(self.call("Status", "Get", &()).await?)?)
    }

    async fn location_add(&self, name: &str, url: &str) -> Answer<()> {
        self.call("Locations", "Add", &(name, url)).await
    }

    async fn location_list(&self) -> Answer<Vec<LocationReport>> {
        self.list("Locations").await
    }

    async fn location_remove(&self, name: &str, discard: bool) -> Answer<()> {
        self.call("Locations", "Remove", &(name, discard)).await
    }

    async fn location_set(&self, name: &str, key: &str, value: &str) -> Answer<()> {
        self.call("Locations", "Set", &(name, key, value)).await
    }

    async fn pin(&self, path: &Target, wait: bool) -> Answer<()> {
        self.call("Pins", "Pin", &(path.to_bytes(), wait)).await
    }

    async fn unpin(&self, path: &Target) -> Answer<()> {
        self.call("Pins", "Unpin", &(path.to_bytes(),)).await
    }

    async fn pins(&self) -> Answer<Vec<PinReport>> {
        self.list("Pins").await
    }

    async fn evict(&self, path: &Target) -> Answer<u64> {
        self.call("Pins", "Evict", &(path.to_bytes(),)).await
    }

    async fn offline(&self, location: Option<&str>) -> Answer<()> {
        self.call("Sync", "Offline", &(location.unwrap_or_default(),)).await
    }

    async fn online(&self, location: Option<&str>) -> Answer<()> {
        self.call("Sync", "Online", &(location.unwrap_or_default(),)).await
    }

    async fn sync(
        &self,
        location: Option<&str>,
        wait: bool,
        timeout: Option<Duration>,
    ) -> Answer<SyncOutcome> {
        // 0 is "no limit" on the bus.
        let timeout_ms =
            timeout.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1));
        let body = (location.unwrap_or_default(), wait, timeout_ms);
        let word: String = self.call("Sync", "Sync", &body).await?;
        Ok(outcome_from_word(&word)?)
    }

    async fn problems(&self, under: Option<&Target>) -> Answer<Vec<ProblemReport>> {
        self.pages("Problems", under, |problem: &ProblemReport| problem.id.0).await
    }

    async fn retry(&self, id: ProblemId) -> Answer<()> {
        self.call("Problems", "Retry", &(id.0,)).await
    }

    async fn confirm(&self, id: ProblemId) -> Answer<()> {
        self.call("Problems", "Confirm", &(id.0,)).await
    }

    async fn changes(&self, under: Option<&Target>) -> Answer<Vec<ChangeReport>> {
        self.pages("Changes", under, |change: &ChangeReport| change.id).await
    }

    async fn conflicts(&self, under: Option<&Target>) -> Answer<Vec<ConflictReport>> {
        self.pages("Conflicts", under, |conflict: &ConflictReport| conflict.id.0).await
    }

    async fn states(&self, path: &Target) -> Answer<StatesReport> {
        let dict = self.call("States", "Get", &(path.to_bytes(),)).await?;
        Ok(StatesReport::from_wire(dict)?)
    }

    async fn open_state(&self, path: &Target, side: Side) -> Answer<OwnedFd> {
        let fd: BusFd = self.call("States", "Open", &(path.to_bytes(), side.word())).await?;
        Ok(fd.into())
    }

    async fn add_content(&self, from: OwnedFd) -> Answer<ContentId> {
        self.call("Conflicts", "AddContent", &(Fd::from(from),)).await.map(ContentId)
    }

    async fn resolve(
        &self,
        selection: &Selection,
        choice: &Choice,
        dry_run: bool,
    ) -> Answer<Vec<ResolveReport>> {
        let content = match choice {
            Choice::With(content) => content.0,
            _ => 0,
        };
        let dicts = match selection {
            Selection::Paths(paths) => {
                let paths: Vec<Vec<u8>> = paths.iter().map(Target::to_bytes).collect();
                let body = (paths, choice.words(), content, dry_run);
                self.call("Conflicts", "Resolve", &body).await?
            }
            Selection::Under { folder, pattern, kind } => {
                let pattern = pattern.as_deref().unwrap_or_default();
                let kind = kind.map_or("", ConflictKind::word);
                let body = (folder.to_bytes(), pattern, kind, choice.words(), content, dry_run);
                self.call("Conflicts", "ResolveUnder", &body).await?
            }
        };
        Ok(from_wire(dicts)?)
    }

    async fn why(&self, path: &Target) -> Answer<Vec<WhyReport>> {
        Ok(from_wire(self.call("States", "Why", &(path.to_bytes(),)).await?)?)
    }

    async fn stash_list(&self, under: Option<&Target>) -> Answer<Vec<StashReport>> {
        self.pages("Stash", under, |entry: &StashReport| entry.id.0).await
    }

    async fn stash_open(&self, id: StashId) -> Answer<OwnedFd> {
        let fd: BusFd = self.call("Stash", "Open", &(id.0,)).await?;
        Ok(fd.into())
    }

    async fn stash_restore(&self, id: StashId, to: Option<&Target>) -> Answer<Target> {
        let to = to.map(Target::to_bytes).unwrap_or_default();
        let at: Vec<u8> = self.call("Stash", "Restore", &(id.0, to)).await?;
        Ok(target(&at)?)
    }

    async fn stash_drop(&self, id: StashId) -> Answer<()> {
        self.call("Stash", "Drop", &(id.0,)).await
    }

    async fn history(&self) -> Answer<Vec<HistoryReport>> {
        self.list("History").await
    }

    async fn undo(&self, id: Option<HistoryId>) -> Answer<HistoryReport> {
        let id = id.map_or(0, |id| id.0);
        Ok(HistoryReport::from_wire(self.call("History", "Undo", &(id,)).await?)?)
    }

    async fn check(&self, repair: bool) -> Answer<CheckReport> {
        Ok(CheckReport::from_wire(self.call("Store", "Check", &(repair,)).await?)?)
    }

    async fn target_in_mount(&self, below_mount: &[u8]) -> Answer<Target> {
        let mut path = self.status().await?.mount;
        path.push(b'/');
        path.extend_from_slice(below_mount);
        let at: Vec<u8> = self.call("Status", "Target", &(path,)).await?;
        Ok(target(&at)?)
    }

    async fn subscribe(&self) -> Answer<Receiver<Revised>> {
        self.subscribe_to_signals().await
    }
}
