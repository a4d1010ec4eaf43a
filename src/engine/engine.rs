//! Starts an engine on a store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fileops::Fileops;
use crate::handle::{Error, Handle};
use crate::remote::Connector;
use crate::world::World;

/// What an engine is started with.
pub struct Options {
    /// The store's folder; made where absent.
    pub store: PathBuf,
    /// Of this boot of the machine: the journal of another one does not count.
    pub boot_id: [u8; 16],
    /// Owner and group of all nodes; `None` keeps whoever makes them (an engine that runs as root).
    pub owner: Option<(u32, u32)>,
    /// Where the mount is, for `status`; also what no location may lie in.
    pub mount: Option<PathBuf>,
}

/// A running engine.
pub struct Engine {
    pub handle: Handle,
    pub fileops: Fileops,
}

impl Engine {
    /// Opens the store, recovers what the last run left, begins to work.
    pub fn start(
        options: Options,
        world: Arc<dyn World>,
        connector: Arc<dyn Connector>,
    ) -> Result<Engine, Error> {
        let _ = (options, world, connector);
        todo!()
    }
}
