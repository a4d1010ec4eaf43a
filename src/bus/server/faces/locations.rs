//! The engine as a whole, and its locations.

use zbus::interface;

use super::{Engine, Result};
use crate::wire::{LinkDict, StatusDict, Wire, to_wire};

pub struct Status(pub Engine);

#[interface(name = "app.holdfast.Engine1.Status")]
impl Status {
    /// Version, mount and each location with its link and counts.
    /// Keys: version s, mount ay, locations aa{sv}; each: name, url, link, reason, detail and
    /// confidence s; pins, files, bytes, present_bytes, changes, conflicts and problems t;
    /// fetching b; last_sync x (nanoseconds since 1970; absent where never).
    async fn get(&self) -> Result<StatusDict> {
        Ok(self.0.status().await?.to_wire())
    }

    /// A path in the mount, or NAME:path, as NAME:path.
    async fn target(&self, path: Vec<u8>) -> Result<Vec<u8>> {
        Ok(self.0.target(&path).await?.to_bytes())
    }
}

pub struct Locations(pub Engine);

#[interface(name = "app.holdfast.Engine1.Locations")]
impl Locations {
    async fn add(&self, name: &str, url: &str) -> Result<()> {
        Ok(self.0.location_add(name, url).await?)
    }

    /// Keys: name s, url s (without its secret), settings a(ss) (those that were changed).
    async fn list(&self) -> Result<Vec<LinkDict>> {
        Ok(to_wire(&self.0.location_list().await?))
    }

    /// Refused while changes wait, unless they may be discarded into the stash.
    async fn remove(&self, name: &str, discard: bool) -> Result<()> {
        Ok(self.0.location_remove(name, discard).await?)
    }

    /// Changes one setting.
    async fn set(&self, name: &str, key: &str, value: &str) -> Result<()> {
        Ok(self.0.location_set(name, key, value).await?)
    }
}
