//! Clock, randomness and threads for an engine under test.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::channel::oneshot;
use futures::executor::ThreadPool;
use holdfast_engine::model::Time;
use holdfast_engine::world::{Task, World};

pub struct RealWorld {
    started: Instant,
    pool: ThreadPool,
}

impl RealWorld {
    pub fn new() -> RealWorld {
        RealWorld { started: Instant::now(), pool: ThreadPool::new().unwrap() }
    }
}

impl World for RealWorld {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time::new(since.as_secs() as i64, since.subsec_nanos())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Task {
        let (wake, woken) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            std::thread::sleep(duration);
            let _ = wake.send(());
        });
        Box::pin(async move {
            let _ = woken.await;
        })
    }

    fn random(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }

    fn spawn(&self, task: Task) {
        self.pool.spawn_ok(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task {
        let (done, finished) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            work();
            let _ = done.send(());
        });
        Box::pin(async move {
            let _ = finished.await;
        })
    }
}
