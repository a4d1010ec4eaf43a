//! Bringing local and server together: one worker for each location.
//!
//! ```text
//!  log -> schedule -> replay -> remote            (replay, schedule, recover)
//!  remote -> observe -> settle(reconcile) -> trees (observe, settling, reconcile)
//!  remote -> fetch -> contents                     (fetch, provide)
//! ```
//!
//! `reconcile` and `schedule` decide and do no I/O; the rest carries out.

mod back_off;
mod fetch;
mod line;
mod observe;
mod prove;
mod provide;
mod reconnection;
mod recover;
mod replay;
mod room;
pub mod schedule;
mod settling;
mod upkeep;
mod waiting;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{ItemId, LocationId};
use crate::remote::Remote;
use crate::store::Store;
use crate::world::World;

pub use line::Limits;
pub use observe::expect_content;
pub use replay::note_problem;
pub use worker::Worker;

/// All locations at work.
pub struct Sync {
    store: Store,
    world: Arc<dyn World>,
    owner: String,
    workers: Mutex<BTreeMap<LocationId, Arc<Worker>>>,
    making_room: Mutex<()>,
}

impl Sync {
    /// `owner` goes into the temporary names on servers.
    pub fn new(store: Store, owner: String) -> Sync {
        Sync {
            world: store.world().clone(),
            store,
            owner,
            workers: Mutex::default(),
            making_room: Mutex::default(),
        }
    }

    /// Begins what goes on in the background for the store as a whole.
    pub fn keep_up(&self) {
        self.world.spawn(Box::pin(upkeep::keep_up(self.store.clone())));
    }

    pub fn owner(&self) -> String {
        self.owner.clone()
    }

    pub fn start(&self, location: LocationId, remote: Arc<dyn Remote>) -> Arc<Worker> {
        let worker = Arc::new(Worker::new(location, self.store.clone(), remote, self.owner.clone()));
        self.workers.lock().insert(location, worker.clone());
        self.world.spawn(Box::pin(worker.clone().run()));
        worker
    }

    pub fn worker(&self, location: LocationId) -> Option<Arc<Worker>> {
        self.workers.lock().get(&location).cloned()
    }

    pub fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.lock().values().cloned().collect()
    }

    /// Routes or addresses of this computer changed, or it slept: each location finds out what that
    /// means for it.
    pub fn network_changed(&self) {
        self.workers().iter().for_each(|worker| worker.network_changed());
    }

    pub fn remove(&self, location: LocationId) {
        if let Some(worker) = self.workers.lock().remove(&location) {
            worker.close();
        }
    }

    fn worker_of(&self, item: ItemId) -> Option<Arc<Worker>> {
        let location = self.store.read().item(item)?.location;
        self.worker(location)
    }
}
