//! What tests of all crates share: a simulated world, a server in memory, a disk that outlives
//! engines, and oracles that say what should have happened. And a real server ([`sshd`]), for what
//! only real runs show.
//!
//! ```text
//!  program -> Kernel -> Fileops -> engine -> FakeRemote -> FakeServer <- second user
//!     |                              |  |
//!  ModelFs (oracle)            SimDisk  SimWorld: clock, chance, tasks
//! ```
//!
//! Everything that is drawn is drawn from the seed of the [`SimWorld`], and nothing here keeps
//! things in an order that differs from run to run (no hash maps): the same seed is the same run.
//!
//! ```
//! use holdfast_engine::model::LocPath;
//! use holdfast_engine::remote::Remote;
//! use holdfast_testkit::{FakeServer, Profile, SimWorld};
//!
//! let world = SimWorld::new(7);
//! let server = FakeServer::new(&world, "nas", Profile::posix());
//! server.user().write("papers/a.txt", "hello");
//! let remote = server.remote("me");
//! let listing = world.run_until(async {
//!     remote.connect().await?;
//!     remote.list(&LocPath::root()).await
//! });
//! assert_eq!(listing.unwrap().entries.len(), 1);
//! ```

mod connector;
mod disk;
pub mod local;
pub mod netns;
pub mod process;
pub mod relay;
mod rng;
pub mod server;
pub mod simulation;
mod snapshot;
mod source;
pub mod sshd;
mod words;
mod world;

pub use connector::{FakeConnector, connect};
pub use disk::{DiskFiles, MemDatabase, MemJournal, OpenDisk, SimDisk};
pub use rng::Rng;
pub use server::{FakeRemote, FakeServer, Profile};
pub use snapshot::{Entry, Snapshot};
pub use source::BytesSource;
pub use world::{Idle, Life, SimWorld};
