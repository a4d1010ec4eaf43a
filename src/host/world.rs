//! The real world for the engine: the machine's clocks, its randomness, tokio's tasks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_engine::model::Time;
use holdfast_engine::world::{Task, World};

pub struct RealWorld {
    runtime: tokio::runtime::Handle,
    start: Instant,
}

impl RealWorld {
    pub fn new(runtime: tokio::runtime::Handle) -> RealWorld {
        RealWorld { runtime, start: Instant::now() }
    }
}

impl World for RealWorld {
    fn now(&self) -> Time {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Time::ZERO + after,
            Err(before) => {
                let nanos = i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX);
                Time(-nanos)
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Task {
        // Made inside the runtime, it can be polled by any thread: one of the mount, or of the bus.
        let _inside = self.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        getrandom::u64().expect("the kernel has random bytes once it has booted")
    }

    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task {
        let done = self.runtime.spawn_blocking(work);
        Box::pin(async move {
            // A panic in it is told by whoever waits for its result.
            let _ = done.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_works_outside_the_runtime() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let world = RealWorld::new(runtime.handle().clone());
        let before = world.elapsed();
        async_io::block_on(world.sleep(Duration::from_millis(5)));
        assert!(world.elapsed() - before >= Duration::from_millis(5));
        assert_ne!(world.random(), world.random());
        assert!(world.now() > Time::new(1_600_000_000, 0));
    }
}
