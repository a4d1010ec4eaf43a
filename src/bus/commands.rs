//! What an engine can be asked, whoever answers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_engine::handle::{Error, Handle, Revised};
use holdfast_engine::model::*;

pub type Answer<T> = Result<T, Error>;

/// Declares the trait, and implements it for `Handle` by its methods of the same names.
macro_rules! commands {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        /// The commands of the engine, one for one those of its [`Handle`].
        #[async_trait]
        pub trait Commands: Send + Sync {
            $($(#[$doc])* async fn $name(&self $(, $arg: $type)*) -> Answer<$out>;)*

            /// Which path of which location a path below the mount (`nas/papers/a.txt`) leads to.
            async fn target_in_mount(&self, below_mount: &[u8]) -> Answer<Target>;

            /// Events from now on; a subscriber that falls behind gets `Event::Lost`.
            async fn subscribe(&self) -> Answer<async_channel::Receiver<Revised>>;
        }

        #[async_trait]
        impl Commands for Handle {
            $(async fn $name(&self $(, $arg: $type)*) -> Answer<$out> {
                Handle::$name(self $(, $arg)*).await
            })*

            async fn target_in_mount(&self, below_mount: &[u8]) -> Answer<Target> {
                Handle::target_in_mount(self, below_mount)
            }

            async fn subscribe(&self) -> Answer<async_channel::Receiver<Revised>> {
                Ok(Handle::subscribe(self))
            }
        }
    };
}

commands! {
    fn status(&self) -> Status;

    fn location_add(&self, name: &str, url: &str) -> ();
    fn location_list(&self) -> Vec<LocationReport>;
    fn location_remove(&self, name: &str, discard: bool) -> ();
    fn location_set(&self, name: &str, key: &str, value: &str) -> ();

    /// With `wait`, returns when all of it is here.
    fn pin(&self, path: &Target, wait: bool) -> ();
    fn unpin(&self, path: &Target) -> ();
    fn pins(&self) -> Vec<PinReport>;
    /// Bytes freed.
    fn evict(&self, path: &Target) -> u64;

    /// `None` means every location. Returns when nothing is in flight.
    fn offline(&self, location: Option<&str>) -> ();
    fn online(&self, location: Option<&str>) -> ();
    /// Without `wait` begins the sync and returns `Clean`.
    fn sync(&self, location: Option<&str>, wait: bool, timeout: Option<Duration>) -> SyncOutcome;

    fn problems(&self, under: Option<&Target>) -> Vec<ProblemReport>;
    fn retry(&self, id: ProblemId) -> ();
    fn confirm(&self, id: ProblemId) -> ();

    fn changes(&self, under: Option<&Target>) -> Vec<ChangeReport>;
    fn conflicts(&self, under: Option<&Target>) -> Vec<ConflictReport>;
    fn states(&self, path: &Target) -> StatesReport;
    /// A read-only descriptor of a state's content; fetches what is not here.
    fn open_state(&self, path: &Target, side: Side) -> OwnedFd;
    /// Takes bytes from a descriptor into the store, for `Choice::With`.
    fn add_content(&self, from: OwnedFd) -> ContentId;
    fn resolve(&self, selection: &Selection, choice: &Choice, dry_run: bool) -> Vec<ResolveReport>;

    fn why(&self, path: &Target) -> Vec<WhyReport>;
    fn stash_list(&self, under: Option<&Target>) -> Vec<StashReport>;
    fn stash_open(&self, id: StashId) -> OwnedFd;
    /// Puts it back as a local change: at its own path, or at `to`. Returns where.
    fn stash_restore(&self, id: StashId, to: Option<&Target>) -> Target;
    fn stash_drop(&self, id: StashId) -> ();
    fn history(&self) -> Vec<HistoryReport>;
    /// The newest where no id is given. Says what was taken back.
    fn undo(&self, id: Option<HistoryId>) -> HistoryReport;

    fn check(&self, repair: bool) -> CheckReport;
}
