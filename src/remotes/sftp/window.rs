//! How many bytes are in flight: as many as the connection carries in a moment.
//!
//! What waits longer in buffers on the way makes nothing faster, delays what a program waits for and
//! looks like a server that does not answer. So the window grows while answers come soon, and shrinks
//! when they come late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

const SOON: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_millis(1500);
/// The largest piece must pass.
const LEAST_KIB: usize = 256;
const STEP_KIB: usize = 64;
const WIDE_KIB: usize = 1 << 10;

pub struct Window {
    room: Arc<Semaphore>,
    kib: AtomicUsize,
    most_kib: usize,
}

impl Window {
    /// At first so large, and at most.
    pub fn new((kib, most_kib): (usize, usize)) -> Window {
        Window { room: Arc::new(Semaphore::new(kib)), kib: AtomicUsize::new(kib), most_kib }
    }

    /// Room for a piece, until what is returned goes.
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        let kib = bytes.div_ceil(1024).clamp(1, LEAST_KIB);
        self.room.clone().acquire_many_owned(kib as u32).await
    }

    /// How long a piece took.
    pub fn feedback(&self, took: Duration) {
        let kib = self.kib.load(Ordering::Relaxed);
        if took < SOON && kib < self.most_kib {
            self.kib.fetch_add(STEP_KIB, Ordering::Relaxed);
            self.room.add_permits(STEP_KIB);
        } else if took > LATE && kib > LEAST_KIB {
            let fewer = self.room.forget_permits((kib / 4).min(kib - LEAST_KIB));
            self.kib.fetch_sub(fewer, Ordering::Relaxed);
        }
    }

    /// Whether the connection has been found to be fast.
    pub fn is_wide(&self) -> bool {
        self.kib.load(Ordering::Relaxed) >= WIDE_KIB
    }

    pub fn close(&self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_grows_and_shrinks_within_bounds() {
        let window = Window::new((512, 1024));
        for _ in 0..100 {
            window.feedback(Duration::from_millis(1));
        }
        assert_eq!(window.room.available_permits(), 1024);
        for _ in 0..100 {
            window.feedback(Duration::from_secs(9));
        }
        assert_eq!(window.room.available_permits(), LEAST_KIB);
        let all = window.room(usize::MAX).await.unwrap();
        assert_eq!(window.room.available_permits(), 0);
        drop(all);
        assert_eq!(window.room.available_permits(), LEAST_KIB);
    }
}
