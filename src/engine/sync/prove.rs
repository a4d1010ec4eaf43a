//! Whether the link that is up still leads anywhere: asked when nothing was heard for a while, when a
//! program's call failed, and when routes or addresses changed.
//!
//! A server that froze or vanished tells nobody. Without this it would be noticed only by who waits for
//! it, and a connection from an address that is gone by nobody.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::FutureExt;

use crate::remote::RemoteError;

use super::worker::{End, Worker};

/// So long without a word from the server, and it is asked for one.
const QUIET: Duration = Duration::from_secs(5);
/// It has so long to say anything at all.
const WITHIN: Duration = Duration::from_secs(4);
/// Between two questions, however many hints come.
const APART: Duration = Duration::from_secs(1);

impl Worker {
    /// Routes or addresses of this computer changed, or it slept.
    pub fn network_changed(&self) {
        self.network_changed.store(true, SeqCst);
        self.doubts.notify(usize::MAX);
    }

    /// A call found no connection: the others are to learn of it.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, SeqCst);
        self.doubts.notify(usize::MAX);
    }

    /// Returns when the link is down.
    pub(super) async fn prove_loop(&self) -> End {
        loop {
            let began = self.world.elapsed();
            loop {
                self.note_speed();
                let at = began.max(self.line.heard()) + QUIET;
                let doubts = self.doubts.listen();
                if self.network_changed.swap(false, SeqCst) | self.doubted.swap(false, SeqCst) {
                    self.world.sleep((began + APART).saturating_sub(self.world.elapsed())).await;
                    break;
                }
                let left = at.saturating_sub(self.world.elapsed());
                if left.is_zero() {
                    break;
                }
                futures::select_biased! {
                    () = doubts.fuse() => {}
                    () = self.world.sleep(left).fuse() => {}
                }
            }
            if let Err(error @ RemoteError::Gone { .. }) = self.remote.probe(WITHIN).await {
                return End::Lost(error);
            }
        }
    }
}
