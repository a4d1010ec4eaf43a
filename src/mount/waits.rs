//! Requests that lack something: it is fetched and they are tried again, away from the threads
//! that serve the kernel.
//!
//! Each is a future, so thousands can wait on a few threads. One ends when the operation succeeds
//! or fails, when its caller gets a signal that ends it (`EINTR`), or when the mount ends
//! (`ENOTCONN`).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::Errno;
use futures::executor::ThreadPool;
use futures::future::{AbortHandle, Abortable};
use holdfast_engine::fileops::{Caller, Fileops, Need, OpError};
use parking_lot::{Condvar, Mutex};

use crate::answer::Outcome;
use crate::convert::errno;
use crate::signals;

/// Threads on which what came is carried on. The waiting itself needs none.
const THREADS: usize = 4;

/// A large read may take many fetches, but what is fetched and found missing again for so long
/// will never come.
const MOST_ROUNDS: usize = 10_000;

/// How often callers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Waits {
    pool: ThreadPool,
    shared: Arc<Shared>,
}

struct Shared {
    fileops: Fileops,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    last: u64,
    stopped: bool,
}

struct Waiting {
    pid: u32,
    abort: AbortHandle,
}

/// An operation with its reply, to be tried again.
pub(crate) struct Retry<R, Attempt, Answer> {
    pub caller: Caller,
    pub reply: R,
    pub attempt: Attempt,
    pub answer: Answer,
}

impl Waits {
    pub fn new(fileops: Fileops) -> io::Result<Waits> {
        let pool = ThreadPool::builder().pool_size(THREADS).name_prefix("mount-wait-").create()?;
        let shared = Arc::new(Shared { fileops, state: Mutex::default(), changed: Condvar::new() });
        let looking = shared.clone();
        thread::Builder::new().name("mount-signals".into()).spawn(move || looking.look_at_callers())?;
        Ok(Waits { pool, shared })
    }

    /// Fetches what is needed, tries again as often as it takes, answers.
    pub fn begin<R, T, A, F>(&self, need: Need, retry: Retry<R, A, F>)
    where
        R: Send + 'static,
        T: Send + 'static,
        A: FnMut(&Fileops, &mut R) -> Result<T, OpError> + Send + 'static,
        F: FnOnce(R, Outcome<T>) + Send + 'static,
    {
        let Retry { caller, mut reply, mut attempt, answer } = retry;
        let (abort, registration) = AbortHandle::new_pair();
        let shared = self.shared.clone();
        let id = shared.enter(caller.pid, abort);
        self.pool.spawn_ok(async move {
            let rounds = rounds(&shared.fileops, caller, need, &mut reply, &mut attempt);
            let outcome = match Abortable::new(rounds, registration).await {
                Ok(result) => result.map_err(|error| errno(&error)),
                Err(_) => Err(shared.why_aborted()),
            };
            shared.leave(id);
            answer(reply, outcome);
        });
    }

    /// All that wait are answered, as is what comes later.
    pub fn stop(&self) {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        for waiting in state.waiting.values() {
            waiting.abort.abort();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn rounds<R, T>(
    fileops: &Fileops,
    caller: Caller,
    mut need: Need,
    reply: &mut R,
    attempt: &mut (impl FnMut(&Fileops, &mut R) -> Result<T, OpError> + Send),
) -> Result<T, OpError> {
    for _ in 0..MOST_ROUNDS {
        fileops.provide(caller, &need).await?;
        match attempt(fileops, reply) {
            Err(OpError::NotHere(next)) => need = next,
            result => return result,
        }
    }
    tracing::error!(?need, "given up: it is missing again after each fetch");
    Err(OpError::Io)
}

impl Shared {
    fn enter(&self, pid: u32, abort: AbortHandle) -> u64 {
        let mut state = self.state.lock();
        if state.stopped {
            abort.abort();
        }
        state.last += 1;
        let id = state.last;
        state.waiting.insert(id, Waiting { pid, abort });
        self.changed.notify_all();
        id
    }

    fn leave(&self, id: u64) {
        self.state.lock().waiting.remove(&id);
    }

    fn why_aborted(&self) -> Errno {
        match self.state.lock().stopped {
            true => Errno::ENOTCONN,
            false => Errno::EINTR,
        }
    }

    /// The life of the thread that interrupts those who want out; sleeps while nobody waits.
    fn look_at_callers(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            if state.waiting.is_empty() {
                self.changed.wait(&mut state);
                continue;
            }
            self.changed.wait_for(&mut state, LOOK_EVERY);
            let waiting: Vec<(u32, AbortHandle)> =
                state.waiting.values().map(|w| (w.pid, w.abort.clone())).collect();
            drop(state);
            for (pid, abort) in waiting {
                if signals::wants_out(pid) {
                    abort.abort();
                }
            }
            state = self.state.lock();
        }
    }
}
