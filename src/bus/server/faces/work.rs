//! Keeping things here, and bringing both sides together.

use std::time::Duration;

use zbus::interface;

use super::{Engine, Result, all_if_empty, while_connected};
use crate::wire::{CheckDict, PinDict, Wire, outcome_word, to_wire};

pub struct Pins(pub Engine);

#[interface(name = "app.holdfast.Engine1.Pins")]
impl Pins {
    /// Keeps a folder or file wholly present, now and in future.
    /// With `wait`, answers when all of it is here.
    async fn pin(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        path: Vec<u8>,
        wait: bool,
    ) -> Result<()> {
        let target = self.0.target(&path).await?;
        while_connected(connection, self.0.pin(&target, wait)).await
    }

    async fn unpin(&self, path: Vec<u8>) -> Result<()> {
        let target = self.0.target(&path).await?;
        Ok(self.0.unpin(&target).await?)
    }

    /// Keys: path ay; files, bytes, present_files, present_bytes and bytes_per_second t;
    /// state s (fetching, present, waiting, over-limit).
    async fn list(&self) -> Result<Vec<PinDict>> {
        Ok(to_wire(&self.0.pins().await?))
    }

    /// Drops content that is neither pinned nor changed. Answers the bytes that were freed.
    async fn evict(&self, path: Vec<u8>) -> Result<u64> {
        let target = self.0.target(&path).await?;
        Ok(self.0.evict(&target).await?)
    }
}

pub struct Sync(pub Engine);

#[interface(name = "app.holdfast.Engine1.Sync")]
impl Sync {
    /// Works offline by hand; an empty name means every location. Answers when nothing is in flight.
    async fn offline(&self, location: &str) -> Result<()> {
        Ok(self.0.offline(all_if_empty(location)).await?)
    }

    /// Ends working offline by hand.
    async fn online(&self, location: &str) -> Result<()> {
        Ok(self.0.online(all_if_empty(location)).await?)
    }

    /// Connects, observes and replays now. Without `wait` answers `clean` at once; with it, when
    /// all is done, or after `timeout_ms` (0: none): clean, needs-person, offline, timed-out.
    async fn sync(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        location: &str,
        wait: bool,
        timeout_ms: u64,
    ) -> Result<String> {
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
        let sync = self.0.sync(all_if_empty(location), wait, timeout);
        let outcome = while_connected(connection, sync).await?;
        Ok(outcome_word(outcome).to_owned())
    }
}

pub struct Store(pub Engine);

#[interface(name = "app.holdfast.Engine1.Store")]
impl Store {
    /// Compares store, log and trees with each other, and content with its checksums.
    /// Keys: ok b, findings as.
    async fn check(&self, repair: bool) -> Result<CheckDict> {
        Ok(self.0.check(repair).await?.to_wire())
    }
}
