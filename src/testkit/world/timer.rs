//! Timers on the virtual clock.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::executor::Shared;

/// The clock and who waits for it, sorted by time and then by the order of setting.
#[derive(Default)]
pub(super) struct Timers {
    pub(super) now: Duration,
    waiting: BTreeMap<(Duration, u64), Waker>,
    next_id: u64,
}

impl Timers {
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Jumps to the next timer; all that are set for that very time fire together.
    pub(super) fn advance(&mut self) -> Vec<Waker> {
        let Some(at) = self.next() else {
            return Vec::new();
        };
        self.now = self.now.max(at);
        let later = self.waiting.split_off(&(at + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }
}

/// Done once the clock has come to its time. The time counts from when it was made.
pub(super) struct Timer {
    shared: Arc<Shared>,
    at: Duration,
    key: Option<(Duration, u64)>,
}

impl Timer {
    pub(super) fn new(shared: Arc<Shared>, duration: Duration) -> Timer {
        let at = shared.now().saturating_add(duration);
        Timer { shared, at, key: None }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (at, key) = (self.at, self.key);
        // The old waker is handed out of the lock: dropping it may run code of its task.
        let (set, _old) = self.shared.with_timers(|timers| {
            if timers.now >= at {
                return (None, None);
            }
            let key = key.unwrap_or_else(|| {
                timers.next_id += 1;
                (at, timers.next_id)
            });
            (Some(key), timers.waiting.insert(key, context.waker().clone()))
        });
        match set {
            None => Poll::Ready(()),
            Some(key) => {
                self.key = Some(key);
                Poll::Pending
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.shared.with_timers(|timers| timers.waiting.remove(&key));
            drop(waker);
        }
    }
}
