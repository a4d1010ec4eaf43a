//! What the store needs now and then, whichever location it is for: closes that a full disk kept from
//! being recorded, files changed in place that can take over their originals, locations that are over
//! their limits, when what was used last.
//!
//! One task for the whole engine; it never holds up a program.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::Either;

use crate::fileops::close_unrecorded;
use crate::model::LocationId;
use crate::pins::{evict_oldest, excess, forget_past, limit_of};
use crate::store::Store;
use crate::world::blocking;

/// Between two looks, however much happens.
const PAUSE: Duration = Duration::from_secs(1);
/// Where nothing could go although a location is over its limit, it is tried again after this.
const FRUITLESS: Duration = Duration::from_secs(30);
/// So often it is written down when what was used.
const NOTE_EVERY: Duration = Duration::from_secs(600);
/// More than must be goes by this part of the limit, so that not each new file makes a walk.
const SLACK: u64 = 20;

#[derive(Default)]
struct Memory {
    /// Locations that are over their limits by what may not go, and when to try again.
    fruitless: BTreeMap<LocationId, Duration>,
    noted: Duration,
}

/// Works until the store is closed.
pub(super) async fn keep_up(store: Store) {
    let world = store.world().clone();
    let mut memory = Memory { noted: world.elapsed(), ..Memory::default() };
    while !store.is_closed() {
        let (changed, crowded) = (store.changed.listen(), store.crowded.listen());
        let work = store.clone();
        let done = blocking(&world, move || {
            look_after(&work, &mut memory);
            memory
        });
        let Some(after) = done.await else { return };
        memory = after;
        if !store.room.is_short() {
            let again = match memory.fruitless.is_empty() {
                true => Either::Left(futures::future::pending()),
                false => Either::Right(world.sleep(FRUITLESS)),
            };
            futures::select_biased! {
                () = changed.fuse() => {}
                () = crowded.fuse() => {}
                () = again.fuse() => {}
            }
        }
        world.sleep(PAUSE).await;
    }
}

fn look_after(store: &Store, memory: &mut Memory) {
    store.room.restore();
    keep_within_limits(store, memory);
    if let Err(error) = forget_past(store) {
        tracing::warn!(%error, "what was before reconnections is kept for longer");
    }
    store.shorten_chains();
    if let Err(error) = close_unrecorded(store) {
        tracing::warn!(%error, "closed files are not recorded as closed yet");
    }
    let now = store.world().elapsed();
    if now.saturating_sub(memory.noted) >= NOTE_EVERY && !store.room.is_short() {
        memory.noted = now;
        if let Err(error) = store.contents().note_used() {
            tracing::debug!(%error, "it is not written down when what was used");
        }
    }
}

fn keep_within_limits(store: &Store, memory: &mut Memory) {
    let limited: Vec<(LocationId, u64)> = {
        let tree = store.read();
        tree.locations().filter_map(|live| Some((live.row.id, limit_of(&live.row)?))).collect()
    };
    memory.fruitless.retain(|id, _| limited.iter().any(|(limited, _)| limited == id));
    for (id, limit) in limited {
        let now = store.world().elapsed();
        let over = excess(store, id);
        if over == 0 {
            memory.fruitless.remove(&id);
            continue;
        }
        if memory.fruitless.get(&id).is_some_and(|again| *again > now) {
            continue;
        }
        match evict_oldest(store, Some(id), over + limit / SLACK) {
            Ok(freed) if freed >= over => _ = memory.fruitless.remove(&id),
            Ok(_) => _ = memory.fruitless.insert(id, now + FRUITLESS),
            Err(error) => {
                tracing::warn!(%error, "a location stays over its limit");
                memory.fruitless.insert(id, now + FRUITLESS);
            }
        }
    }
}
