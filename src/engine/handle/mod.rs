//! What clients hold: commands with answers, and events.
//!
//! The application, the command line and the bus all speak to the engine through this; the engine
//! never waits for any of them.

mod error;
mod event;

use std::os::fd::OwnedFd;
use std::time::Duration;

pub use error::{Error, ErrorKind};
pub use event::{Event, Revised};

use crate::model::*;

type Answer<T> = Result<T, Error>;

/// Cheap to clone; its methods are called from any thread.
#[derive(Clone)]
pub struct Handle {}

#[allow(unused_variables)]
impl Handle {
    pub async fn status(&self) -> Answer<Status> {
        todo!()
    }

    pub async fn location_add(&self, name: &str, url: &str) -> Answer<()> {
        todo!()
    }
    pub async fn location_list(&self) -> Answer<Vec<LocationReport>> {
        todo!()
    }
    pub async fn location_remove(&self, name: &str, discard: bool) -> Answer<()> {
        todo!()
    }
    pub async fn location_set(&self, name: &str, key: &str, value: &str) -> Answer<()> {
        todo!()
    }

    /// With `wait`, returns when all of it is here.
    pub async fn pin(&self, path: &Target, wait: bool) -> Answer<()> {
        todo!()
    }
    pub async fn unpin(&self, path: &Target) -> Answer<()> {
        todo!()
    }
    pub async fn pins(&self) -> Answer<Vec<PinReport>> {
        todo!()
    }
    /// Bytes freed.
    pub async fn evict(&self, path: &Target) -> Answer<u64> {
        todo!()
    }

    /// `None` means every location. Returns when nothing is in flight.
    pub async fn offline(&self, location: Option<&str>) -> Answer<()> {
        todo!()
    }
    pub async fn online(&self, location: Option<&str>) -> Answer<()> {
        todo!()
    }
    /// Without `wait` begins the sync and returns `Clean`.
    pub async fn sync(
        &self,
        location: Option<&str>,
        wait: bool,
        timeout: Option<Duration>,
    ) -> Answer<SyncOutcome> {
        todo!()
    }

    pub async fn problems(&self, under: Option<&Target>) -> Answer<Vec<ProblemReport>> {
        todo!()
    }
    pub async fn retry(&self, id: ProblemId) -> Answer<()> {
        todo!()
    }
    pub async fn confirm(&self, id: ProblemId) -> Answer<()> {
        todo!()
    }

    pub async fn changes(&self, under: Option<&Target>) -> Answer<Vec<ChangeReport>> {
        todo!()
    }
    /// The local state of a changed path as a content (`None` for what is no file).
    pub async fn conflicts(&self, under: Option<&Target>) -> Answer<Vec<ConflictReport>> {
        todo!()
    }
    pub async fn states(&self, path: &Target) -> Answer<StatesReport> {
        todo!()
    }
    /// A read-only descriptor of a state's content; fetches what is not here.
    pub async fn open_state(&self, path: &Target, side: Side) -> Answer<OwnedFd> {
        todo!()
    }
    /// Takes bytes from a descriptor into the store, for `Choice::With`.
    pub async fn add_content(&self, from: OwnedFd) -> Answer<ContentId> {
        todo!()
    }
    pub async fn resolve(
        &self,
        selection: &Selection,
        choice: &Choice,
        dry_run: bool,
    ) -> Answer<Vec<ResolveReport>> {
        todo!()
    }

    pub async fn why(&self, path: &Target) -> Answer<Vec<WhyReport>> {
        todo!()
    }
    pub async fn stash_list(&self, under: Option<&Target>) -> Answer<Vec<StashReport>> {
        todo!()
    }
    pub async fn stash_open(&self, id: StashId) -> Answer<OwnedFd> {
        todo!()
    }
    /// Puts it back as a local change: at its own path, or at `to`. Returns where.
    pub async fn stash_restore(&self, id: StashId, to: Option<&Target>) -> Answer<Target> {
        todo!()
    }
    pub async fn stash_drop(&self, id: StashId) -> Answer<()> {
        todo!()
    }
    pub async fn history(&self) -> Answer<Vec<HistoryReport>> {
        todo!()
    }
    /// The newest where no id is given. Says what was taken back.
    pub async fn undo(&self, id: Option<HistoryId>) -> Answer<HistoryReport> {
        todo!()
    }

    pub async fn check(&self, repair: bool) -> Answer<CheckReport> {
        todo!()
    }

    /// Events from now on; a subscriber that falls behind gets `Event::Lost`.
    pub fn subscribe(&self) -> async_channel::Receiver<Revised> {
        todo!()
    }

    /// Which path of which location a path inside the mount leads to, given as bytes below the
    /// mount (`nas/papers/a.txt`).
    pub fn target_in_mount(&self, below_mount: &[u8]) -> Answer<Target> {
        todo!()
    }

    /// Commits, stops all work and returns when nothing is in flight any more.
    pub async fn shut_down(&self) -> Answer<()> {
        todo!()
    }
}
