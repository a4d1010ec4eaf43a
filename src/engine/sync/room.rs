//! A location while the disk of the store is full: it waits for room and goes on by itself.

use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::FutureExt;

use crate::store::persist::StoreError;

use super::worker::{End, Worker};

/// After a full disk nothing is tried again before this.
const PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Does work that ends with the connection; again, once there is room, where a full disk ended it.
    pub(super) async fn with_room<F: Future<Output = End>>(&self, work: impl Fn() -> F) -> End {
        loop {
            match work().await {
                End::Store(StoreError::Full) => {}
                end => return end,
            }
            tracing::warn!(
                location = self.location.0,
                "the disk of the store is full; the location waits for room"
            );
            self.held_up.store(true, SeqCst);
            self.progress.notify(usize::MAX);
            if !self.wait_for_room().await {
                return End::Asked;
            }
            self.held_up.store(false, SeqCst);
            self.want_all_pinned();
        }
    }

    /// False where the work is to end instead.
    async fn wait_for_room(&self) -> bool {
        let room = async {
            loop {
                self.world.sleep(PAUSE).await;
                if self.store.room.restore() {
                    return;
                }
            }
        };
        let mut room = std::pin::pin!(room.fuse());
        loop {
            let woken = self.wake.listen();
            if self.is_stopping() {
                return false;
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
