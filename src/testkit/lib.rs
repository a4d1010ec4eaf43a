//! What tests of all crates share: a simulated world, a server in memory, oracles.

mod connector;
mod disk;
pub mod local;
mod rng;
pub mod server;
mod snapshot;
mod source;
mod words;
mod world;

pub use connector::FakeConnector;
pub use disk::{DiskFiles, MemDatabase, MemJournal, OpenDisk, SimDisk};
pub use rng::Rng;
pub use server::{FakeRemote, FakeServer, Profile};
pub use snapshot::{Entry, Snapshot};
pub use source::BytesSource;
pub use world::{Idle, Life, SimWorld};
