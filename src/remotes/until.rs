//! Waiting for something to become true.

use tokio::sync::Notify;

/// Returns once it is true; `changed` tells, after each change, that it may be.
pub async fn until(changed: &Notify, mut is_true: impl FnMut() -> bool) {
    loop {
        let change = changed.notified();
        if is_true() {
            return;
        }
        change.await;
    }
}
