//! Threads for what may block for a while: syncing to the disk, telling the kernel to forget.
//!
//! They come as they are needed, up to a limit, and go after some time without work; beyond the
//! limit work queues.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

const IDLE_FOR: Duration = Duration::from_secs(10);

/// Cheap to clone; what is queued is still done when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

struct Shared {
    name: &'static str,
    most_threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Workers {
    pub fn new(name: &'static str, most_threads: usize) -> Workers {
        Workers(Arc::new(Shared { name, most_threads, state: Mutex::default(), work: Condvar::new() }))
    }

    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state.lock();
        state.queue.push_back(Box::new(job));
        if state.idle >= state.queue.len() {
            self.0.work.notify_one();
        } else if state.threads < self.0.most_threads {
            state.threads += 1;
            drop(state);
            self.start_thread();
        }
    }

    fn start_thread(&self) {
        let shared = self.0.clone();
        let started = thread::Builder::new().name(self.0.name.into()).spawn(move || shared.work());
        if let Err(error) = started {
            tracing::warn!(%error, "no thread to be had");
            let mut state = self.0.state.lock();
            state.threads -= 1;
            // The others will come to it; where there are none, whoever brought it does it.
            let stranded =
                if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
            drop(state);
            stranded.into_iter().for_each(|job| job());
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_for(&mut state, IDLE_FOR);
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_job_that_blocks_holds_up_no_other() {
        let workers = Workers::new("test", 8);
        let (unblock, blocked) = mpsc::channel::<()>();
        workers.run(move || {
            let _ = blocked.recv();
        });
        let (done, finished) = mpsc::channel();
        for n in 0..1000 {
            let done = done.clone();
            workers.run(move || done.send(n).unwrap());
        }
        let mut all: Vec<i32> = finished.iter().take(1000).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        drop(unblock);
    }

    #[test]
    fn beyond_the_limit_work_queues() {
        let workers = Workers::new("test", 1);
        let (done, finished) = mpsc::channel();
        for n in 0..100 {
            let done = done.clone();
            workers.run(move || done.send(n).unwrap());
        }
        assert!(finished.iter().take(100).eq(0..100));
    }
}
