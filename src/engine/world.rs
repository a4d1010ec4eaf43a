//! What the engine is handed instead of reaching for it: clock, randomness, spawning.
//!
//! The real world lives in `host`, a simulated one (one thread, one seed, paused clock) in `testkit`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Time;

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub trait World: Send + Sync {
    /// Wall clock; may jump, also backwards. For what people read and for mtimes only.
    fn now(&self) -> Time;

    /// Time since some fixed point; never jumps. All waiting is measured by it.
    fn elapsed(&self) -> Duration;

    fn sleep(&self, duration: Duration) -> Task;

    fn random(&self) -> u64;

    fn spawn(&self, task: Task);

    /// Does work that computes or reads and writes files for long, away from the tasks.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task;
}

/// `World::run_blocking`, with a result.
pub async fn blocking<T: Send + 'static>(
    world: &Arc<dyn World>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = futures::channel::oneshot::channel();
    world
        .run_blocking(Box::new(move || {
            let _ = sender.send(work());
        }))
        .await;
    receiver.await.ok()
}

/// Runs a future where the world runs its tasks, whoever waits for it. `None` where it was given up.
pub async fn on_world<T: Send + 'static>(
    world: &Arc<dyn World>,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = futures::channel::oneshot::channel();
    world.spawn(Box::pin(async move {
        let _ = sender.send(future.await);
    }));
    receiver.await.ok()
}

/// The first of the two to be done; `None` where the time ran out first.
pub async fn timeout<T>(
    world: &Arc<dyn World>,
    duration: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let future = std::pin::pin!(future);
    match futures::future::select(future, world.sleep(duration)).await {
        futures::future::Either::Left((value, _)) => Some(value),
        futures::future::Either::Right(_) => None,
    }
}
