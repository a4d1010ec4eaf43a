//! A world of one thread, one seed and a paused clock, for whole engines in a test.
//!
//! Tasks run one at a time, in an order drawn from the seed. Time stands still while anything can
//! run; when nothing can, it jumps to the next timer. Two worlds with one seed that are told to do
//! the same do exactly the same: [`SimWorld::trace_hash`] is how a test asserts it.
//!
//! There are no threads and no real time here. What blocks its thread blocks the world.

mod executor;
mod timer;
mod trace;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::Time;
use holdfast_engine::world::{Task, World};

use crate::rng::Rng;
use executor::{LifeId, Shared};

/// How [`SimWorld::run_until_idle`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// Nothing can run and no timer is set.
    Quiet,
    /// The time was up and timers are still set: something looks at the world now and then.
    TimeUp,
}

/// Cheap to clone; all clones are one world.
///
/// ```
/// # use std::time::Duration;
/// use holdfast_engine::world::World;
/// use holdfast_testkit::SimWorld;
///
/// let world = SimWorld::new(1);
/// world.run_until(world.sleep(Duration::from_secs(3600)));
/// assert_eq!(world.elapsed(), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct SimWorld {
    shared: Arc<Shared>,
}

impl SimWorld {
    pub fn new(seed: u64) -> SimWorld {
        SimWorld { shared: Arc::new(Shared::new(seed)) }
    }

    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// A stream of chance of its own, the same for the same seed and label.
    pub fn rng(&self, label: &str) -> Rng {
        Rng::of(self.shared.seed, label)
    }

    /// Runs the world until the future is done. Panics where it can never be: nothing can run and
    /// no timer is set.
    pub fn run_until<T>(&self, future: impl Future<Output = T>) -> T {
        match self.shared.run(Some(future), Duration::MAX) {
            executor::Ended::Done(value) => value,
            executor::Ended::Quiet | executor::Ended::TimeUp => panic!(
                "seed {}: it waits for something that never comes; the last steps were:\n{}",
                self.shared.seed,
                self.trace_tail(40)
            ),
        }
    }

    /// As `run_until`, for at most so much virtual time; `None` where it was not done by then.
    pub fn run_for<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        match self.shared.run(Some(future), limit) {
            executor::Ended::Done(value) => Some(value),
            executor::Ended::Quiet | executor::Ended::TimeUp => None,
        }
    }

    /// Runs the world until nothing is left to do, at most so much virtual time. Where the time
    /// was up the clock stands at its end.
    pub fn run_until_idle(&self, limit: Duration) -> Idle {
        match self.shared.run(None::<std::future::Pending<()>>, limit) {
            executor::Ended::TimeUp => Idle::TimeUp,
            executor::Ended::Quiet | executor::Ended::Done(()) => Idle::Quiet,
        }
    }

    /// Moves the wall clock (only), also backwards.
    pub fn jump_wall_clock(&self, nanos: i64) {
        self.shared.jump(nanos);
        self.trace(|| format!("wall clock jumps by {nanos} ns"));
    }

    /// A view of this world for one run of an engine: what is spawned in it ends with it.
    pub fn life(&self) -> Life {
        Life { id: self.shared.begin_life(), shared: self.shared.clone() }
    }

    /// How many tasks are there, of any life.
    pub fn tasks(&self) -> usize {
        self.shared.tasks()
    }

    /// Notes a step: goes into the hash, and into the lines that a failure prints.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        self.shared.trace(line);
    }

    /// The same for two runs that took the same steps in the same order.
    pub fn trace_hash(&self) -> u64 {
        self.shared.trace_hash()
    }

    /// The last lines noted, each with its time.
    pub fn trace_tail(&self, lines: usize) -> String {
        self.shared.trace_tail(lines)
    }
}

impl World for SimWorld {
    fn now(&self) -> Time {
        self.shared.wall()
    }
    fn elapsed(&self) -> Duration {
        self.shared.now()
    }
    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(self.shared.timer(duration))
    }
    fn random(&self) -> u64 {
        self.shared.random()
    }
    fn spawn(&self, task: Task) {
        self.shared.spawn(LifeId::WORLD, task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task {
        Box::pin(async move { work() })
    }
}

/// One run of an engine in a [`SimWorld`]: hand it to the engine, then `end` it as a kill would.
#[derive(Clone)]
pub struct Life {
    id: LifeId,
    shared: Arc<Shared>,
}

impl Life {
    /// Drops every task spawned here, wherever it waits, and ignores what is spawned from now on.
    pub fn end(&self) {
        self.shared.end_life(self.id);
    }
}

impl World for Life {
    fn now(&self) -> Time {
        self.shared.wall()
    }
    fn elapsed(&self) -> Duration {
        self.shared.now()
    }
    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(self.shared.timer(duration))
    }
    fn random(&self) -> u64 {
        self.shared.random()
    }
    fn spawn(&self, task: Task) {
        self.shared.spawn(self.id, task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task {
        Box::pin(async move { work() })
    }
}

#[cfg(test)]
mod tests;
