//! Threads that make the blocking calls, and the watch over them.
//!
//! Time is counted in ticks, not by a clock: a helper that was stopped, or a machine that slept,
//! loses nothing by it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

const THREADS: usize = 32;
const STACK_BYTES: usize = 512 << 10;
const IDLE: u32 = u32::MAX;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    busy: usize,
}

pub struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// For each thread: ticks since its job last got on; `IDLE` without a job.
    ticks: Vec<Arc<AtomicU32>>,
}

thread_local! {
    static MINE: RefCell<Option<Arc<AtomicU32>>> = const { RefCell::new(None) };
}

/// The job of this thread got on.
pub fn progress() {
    MINE.with_borrow(|mine| {
        if let Some(ticks) = mine {
            ticks.store(0, Ordering::Relaxed);
        }
    });
}

/// Does what waits for the engine, and not for the folder: an engine that takes its time is no folder
/// that hangs.
pub fn not_counted<T>(work: impl FnOnce() -> T) -> T {
    let count = |from: u32| {
        MINE.with_borrow(|mine| {
            if let Some(ticks) = mine {
                ticks.store(from, Ordering::Relaxed);
            }
        });
    };
    count(IDLE);
    let value = work();
    count(0);
    value
}

impl Pool {
    pub fn start() -> std::io::Result<Arc<Pool>> {
        let pool = Arc::new(Pool {
            queue: Mutex::default(),
            wake: Condvar::new(),
            ticks: (0..THREADS).map(|_| Arc::new(AtomicU32::new(IDLE))).collect(),
        });
        for ticks in &pool.ticks {
            let (pool, ticks) = (pool.clone(), ticks.clone());
            std::thread::Builder::new().name("call".into()).stack_size(STACK_BYTES).spawn(move || {
                MINE.set(Some(ticks.clone()));
                pool.work(&ticks);
            })?;
        }
        Ok(pool)
    }

    fn work(&self, ticks: &AtomicU32) {
        loop {
            let job = {
                let mut queue = self.lock();
                loop {
                    if let Some(job) = queue.jobs.pop_front() {
                        queue.busy += 1;
                        break job;
                    }
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            ticks.store(0, Ordering::Relaxed);
            job();
            ticks.store(IDLE, Ordering::Relaxed);
            self.lock().busy -= 1;
        }
    }

    pub fn push(&self, job: impl FnOnce() + Send + 'static) {
        self.lock().jobs.push_back(Box::new(job));
        self.wake.notify_one();
    }

    /// For the parts of a job that has begun.
    pub fn push_first(&self, job: impl FnOnce() + Send + 'static) {
        self.lock().jobs.push_front(Box::new(job));
        self.wake.notify_one();
    }

    /// Whether anything is queued or running.
    pub fn is_busy(&self) -> bool {
        let queue = self.lock();
        queue.busy > 0 || !queue.jobs.is_empty()
    }

    /// One tick has passed; how long the slowest job has not got on.
    pub fn tick(&self) -> u32 {
        let mut slowest = 0;
        for ticks in &self.ticks {
            let step = |n| if n == IDLE { None } else { Some(n + 1) };
            if let Ok(before) = ticks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
                slowest = slowest.max(before + 1);
            }
        }
        slowest
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// How slow the slowest is after fifty ticks of a job's wait.
    fn ticks_while(waits: impl FnOnce(&dyn Fn()) + Send + 'static) -> u32 {
        let pool = Pool::start().expect("threads");
        let ((begun, begins), (go, goes)) = (mpsc::channel(), mpsc::channel::<()>());
        pool.push(move || {
            waits(&|| {
                let _ = begun.send(());
                let _ = goes.recv();
            });
        });
        begins.recv().expect("it begins");
        let slowest = (0..50).map(|_| pool.tick()).max().unwrap_or_default();
        assert!(pool.is_busy());
        drop(go);
        slowest
    }

    #[test]
    fn only_a_wait_for_the_folder_counts() {
        assert_eq!(ticks_while(|wait| wait()), 50);
        assert_eq!(ticks_while(|wait| not_counted(wait)), 0);
    }
}
