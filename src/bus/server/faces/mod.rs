//! The interfaces of the one object, one struct each. Methods only translate and pass on; zbus runs
//! each call as a task of its own, so that a long one holds nobody up.

mod items;
mod locations;
mod work;

use std::sync::Arc;

use futures::future::{Either, select};
use holdfast_engine::handle::Error;
use holdfast_engine::model::Target;
use zbus::connection::Builder;

use super::error::BusError;
use super::events::Events;
use crate::{Commands, OBJECT_PATH, parse_target, target_below};

pub use items::{Changes, Conflicts, History, Problems, Stash, States};
pub use locations::{Locations, Status};
pub use work::{Pins, Store, Sync};

/// So named because the macro of the interfaces looks for it.
pub type Result<T> = std::result::Result<T, BusError>;

/// The engine behind the interfaces.
#[derive(Clone)]
pub struct Engine(Arc<dyn Commands>);

impl Engine {
    pub fn new(commands: Arc<dyn Commands>) -> Engine {
        Engine(commands)
    }

    /// What a client named: `NAME:path`, or an absolute path in the mount.
    ///
    /// GLib ends byte strings with a NUL, which no path can hold.
    pub async fn target(&self, path: &[u8]) -> Result<Target> {
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        if let Some(target) = parse_target(path) {
            return Ok(target?);
        }
        let mount = self.status().await?.mount;
        match target_below(&mount, path) {
            Some(below) => Ok(self.target_in_mount(below).await?),
            None => Err(crate::PlaceError::Form.into()),
        }
    }

    /// As `target`; empty bytes name nothing.
    pub async fn optional_target(&self, path: &[u8]) -> Result<Option<Target>> {
        match path {
            b"" | b"\0" => Ok(None),
            _ => self.target(path).await.map(Some),
        }
    }
}

impl std::ops::Deref for Engine {
    type Target = dyn Commands;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// A wait that ends with its client: nobody is left to hear of it.
async fn while_connected<T>(
    connection: &zbus::Connection,
    wait: impl Future<Output = std::result::Result<T, Error>>,
) -> Result<T> {
    let (wait, closed) = (std::pin::pin!(wait), std::pin::pin!(connection.closed()));
    match select(wait, closed).await {
        Either::Left((answer, _)) => Ok(answer?),
        Either::Right(_) => Err(BusError::Failed("the client has gone".into())),
    }
}

/// An empty name means all locations.
fn all_if_empty(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}

/// The items after an id, in the order of ids, so that a list of any length fits into messages.
fn page<T>(mut items: Vec<T>, id: impl Fn(&T) -> u64, after: u64, limit: u32) -> Vec<T> {
    /// Keeps a reply far below the 64 MiB that an array may have.
    const MOST: usize = 10_000;
    items.retain(|item| id(item) > after);
    items.sort_by_key(id);
    let limit = if limit == 0 { MOST } else { MOST.min(limit as usize) };
    items.truncate(limit);
    items
}

pub fn serve_at(builder: Builder<'_>, commands: Arc<dyn Commands>) -> zbus::Result<Builder<'_>> {
    let engine = Engine::new(commands);
    builder
        .serve_at(OBJECT_PATH, Status(engine.clone()))?
        .serve_at(OBJECT_PATH, Locations(engine.clone()))?
        .serve_at(OBJECT_PATH, Pins(engine.clone()))?
        .serve_at(OBJECT_PATH, Sync(engine.clone()))?
        .serve_at(OBJECT_PATH, Changes(engine.clone()))?
        .serve_at(OBJECT_PATH, Problems(engine.clone()))?
        .serve_at(OBJECT_PATH, States(engine.clone()))?
        .serve_at(OBJECT_PATH, Conflicts(engine.clone()))?
        .serve_at(OBJECT_PATH, Stash(engine.clone()))?
        .serve_at(OBJECT_PATH, History(engine.clone()))?
        .serve_at(OBJECT_PATH, Store(engine.clone()))?
        .serve_at(OBJECT_PATH, Events::new(engine))
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let ids = || vec![5_u64, 1, 9, 3];
        assert_eq!(page(ids(), |id| *id, 0, 2), [1, 3]);
        assert_eq!(page(ids(), |id| *id, 3, 2), [5, 9]);
        assert_eq!(page(ids(), |id| *id, 9, 2), [0; 0]);
        assert_eq!(page(ids(), |id| *id, 0, 0), [1, 3, 5, 9]);
    }
}
