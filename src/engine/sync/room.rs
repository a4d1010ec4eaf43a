//! A location while the disk of the store is full: it waits for room and goes on by itself.

use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::FutureExt;

use crate::store::persist::StoreError;

use super::worker::{End, Worker};

/// First and longest pause before something is tried again after a full disk: where a quota stands in
/// the way, nobody says when there is room.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Between two looks whether there is room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
