//! The mount: the local tree of an engine as a file system, through FUSE.
//!
//! ```text
//!  kernel --request--> session thread --> fileops --> reply           what is here
//!                            |  NotHere
//!                            v
//!                          waits: provide, try again, reply           what must be fetched
//!  kernel <--forget this-- invalidate <-- fileops.invalidations()     what changed on the server
//! ```
//!
//! The crate translates and decides nothing: names, times, modes and the rules of POSIX beyond
//! what the kernel checks (`default_permissions`) belong to [`holdfast_engine::fileops`].
//!
//! What is never done here:
//!
//! - A session thread never waits for the network (`waits` carries the request on), nor for a disk to
//!   sync, nor for an invalidation.
//! - A thread that tells the kernel to forget something holds no lock and serves no request: the
//!   kernel may make it wait for a request in the same folder.
//! - No write-back cache and no passthrough: the kernel would hide what the server changed.
//!
//! POSIX and BSD locks are left to the kernel, which keeps them for the one machine they are
//! meant for.
//!
//! ```no_run
//! # fn show(engine: holdfast_engine::Engine) -> Result<(), holdfast_mount::MountError> {
//! use holdfast_mount::{Mount, MountOptions};
//!
//! let mount = Mount::start(engine.fileops.clone(), &MountOptions::at("/home/u/Holdfast"))?;
//! // ... programs work in /home/u/Holdfast ...
//! mount.unmount();
//! # Ok(())
//! # }
//! ```

mod adopt;
mod answer;
mod buffer;
mod content;
mod convert;
mod error;
mod filesystem;
mod folder;
mod invalidate;
mod keeper;
mod mount;
mod mountinfo;
mod options;
mod place;
mod recover;
mod server;
mod signals;
mod waits;
mod workers;
mod xattr;

pub use error::MountError;
pub use keeper::{Found, KeeperPlace, Kept, keeper_main};
// For the bare file system of the bench, which is to differ in nothing else.
#[doc(hidden)]
pub use filesystem::agree;
pub use mount::Mount;
pub use options::MountOptions;
