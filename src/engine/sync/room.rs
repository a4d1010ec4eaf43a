//! Room for what a location brings here: within its limit, and on the disk of the store. Where that is
//! full the location waits for room and goes on by itself.

use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::FutureExt;

use crate::model::LocationId;
use crate::pins::{evict_oldest, fits, limit_of};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::world::blocking;

use super::worker::{End, Worker};

/// First and longest pause before something is tried again after a full disk: where a quota stands in
/// the way, nobody says when there is room.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Room is made by so many bytes at once, so that not each write has to.
const FREED_BYTES: u64 = 64 << 20;
/// Between two looks whether there is room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Drops what was used longest ago, whichever location it is of. Whether anything could go.
pub(super) fn make_room(store: &Store) -> bool {
    match evict_oldest(store, None, FREED_BYTES) {
        Ok(freed) => freed > 0,
        Err(error) => {
            tracing::warn!(%error, "nothing can be dropped to make room");
            false
        }
    }
}

fn make_fit(store: &Store, location: LocationId, bytes: u64) -> bool {
    let limit = store.read().location(location).and_then(|live| limit_of(&live.row)).unwrap_or(u64::MAX);
    if bytes > limit {
        // Whatever went for it, it would not fit.
        return false;
    }
    let here = store.contents().bytes_here(location);
    let excess = here.saturating_add(bytes).saturating_sub(limit);
    if let Err(error) = evict_oldest(store, Some(location), excess) {
        tracing::warn!(%error, "nothing can be dropped to stay within a limit");
    }
    fits(store, location, bytes)
}

impl Worker {
    /// Does work that ends with the connection; again, once there is room, where a full disk ended it.
    pub(super) async fn with_room<F: Future<Output = End>>(&self, work: impl Fn() -> F) -> End {
        let mut pause = PAUSE.0;
        loop {
            let began = self.world.elapsed();
            match work().await {
                End::Store(StoreError::Full) => {}
                end => return end,
            }
            if self.world.elapsed().saturating_sub(began) > PAUSE.1 {
                pause = PAUSE.0;
            }
            tracing::warn!(
                location = self.location.0,
                "the disk of the store is full; the location waits for room"
            );
            self.held_up.store(true, SeqCst);
            self.progress.notify(usize::MAX);
            if !self.wait_for_room(pause).await {
                return End::Asked;
            }
            pause = (pause * 2).min(PAUSE.1);
            self.held_up.store(false, SeqCst);
            self.want_all_pinned();
        }
    }

    /// Whether so many bytes of what is pinned may come: what may go goes for them. Where they do not
    /// fit, nothing more that is pinned is fetched before something changes.
    pub(super) async fn has_room_for(&self, bytes: u64) -> bool {
        let mut fits = fits(&self.store, self.location, bytes);
        if !fits {
            let (store, location) = (self.store.clone(), self.location);
            let done = blocking(&self.world, move || make_fit(&store, location, bytes)).await;
            fits = done.unwrap_or(false);
        }
        let mut wanted = self.wanted.lock();
        wanted.over_limit = !fits;
        if !fits {
            wanted.pinned.clear();
        }
        fits
    }

    /// The disk is full: drops what may go. Whether anything did.
    pub(super) async fn make_room(&self) -> bool {
        let store = self.store.clone();
        blocking(&self.world, move || make_room(&store)).await.unwrap_or(false)
    }

    /// False where the work is to end instead.
    async fn wait_for_room(&self, pause: Duration) -> bool {
        let room = async {
            self.world.sleep(pause).await;
            while !self.store.room.is_worth_a_try() {
                self.world.sleep(LOOK_EVERY).await;
            }
        };
        let mut room = std::pin::pin!(room.fuse());
        loop {
            let woken = self.wake.listen();
            if self.is_stopping() {
                return false;
            }
            // Somebody asked: then at once, for an answer.
            if self.rounds.asked.load(SeqCst) > self.rounds.begun.load(SeqCst) {
                return true;
            }
            futures::select_biased! {
                () = room => return true,
                () = woken.fuse() => {}
            }
        }
    }

    /// Whether it cannot go on before there is room on the disk of the store.
    pub fn is_held_up(&self) -> bool {
        self.held_up.load(SeqCst)
    }
}
