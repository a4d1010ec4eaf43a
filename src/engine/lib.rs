//! The cache engine of Holdfast: disconnected operation for the folders of file servers.
//!
//! ```text
//!  program -> mount -> fileops: tree + content + record, one step
//!                         | wakes
//!                         v
//!  sync: schedule -> replay -> remote          remote -> observe -> reconcile -> trees
//!                         |                                             |
//!                         +------------------ conflict -----------------+
//! ```
//!
//! The engine knows no display, bus, mount or protocol: clock and spawning are handed in
//! ([`world::World`]), servers too ([`remote::Remote`]). Clients hold a [`handle::Handle`], the mount
//! calls [`fileops::Fileops`].

pub mod conflict;
mod engine;
pub mod fileops;
pub mod handle;
pub mod merge;
pub mod model;
pub mod pins;
pub mod reconcile;
pub mod remote;
pub mod store;
pub mod sync;
pub mod world;

pub use engine::{Engine, Options, Setting};
