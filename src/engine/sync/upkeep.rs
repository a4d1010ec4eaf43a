//! What the store needs now and then, whichever location it is for: closes that a full disk kept from
//! being recorded.
//!
//! One task for the whole engine; it never holds up a program.

use std::time::Duration;

use crate::fileops::close_unrecorded;
use crate::store::Store;
use crate::world::blocking;

/// Between two looks, however much happens.
const PAUSE: Duration = Duration::from_secs(1);

/// Works until the store is closed.
pub(super) async fn keep_up(store: Store) {
    let world = store.world().clone();
    while !store.is_closed() {
        let changed = store.changed.listen();
        let work = store.clone();
        if blocking(&world, move || look_after(&work)).await.is_none() {
            return;
        }
        if !store.room.is_short() {
            changed.await;
        }
        world.sleep(PAUSE).await;
    }
}

fn look_after(store: &Store) {
    store.room.restore();
    if let Err(error) = close_unrecorded(store) {
        tracing::warn!(%error, "closed files are not recorded as closed yet");
    }
}
