//! `file://`: any folder of this computer as a server, above all a mounted network file system.
//!
//! Calls on such a folder can hang for ever, so none is made in the engine's process:
//!
//! ```text
//!  engine -> FolderRemote (remote, send) -> Link -> pipes -> helper process: 32 threads -> the folder
//!            a helper that does not get on is killed ----^     ends with its engine, holds a lock
//! ```
//!
//! A call that makes no progress for the deadline (8 s) ends the connection: the helper is killed, all
//! its calls fail with `Gone`, the next `connect` starts another. A long transfer that gets on is left
//! alone. A helper that hangs in the kernel and cannot be killed keeps its lock, and `connect` fails
//! until it is gone: so it never does late what nobody expects any more.
//!
//! # What can go unseen
//!
//! - *Open files.* A program that holds a file open while it is replaced or removed writes on into
//!   the old one, which then has no name. No file system tells.
//! - *With exchange* what is replaced is looked at afterwards, and put back or kept if it was not the
//!   original. A write in place that restores size and mtime, between the look at the guarded version
//!   (which compares ctime too) and the exchange, is taken for the original: an exchange itself changes
//!   ctime.
//! - *Without exchange, with hard links* a write in place is seen, as the old file keeps a second name
//!   until after the rename. A *new file that somebody renames to the path* between the last look and
//!   our rename, two calls on, is lost.
//! - *With neither* any change in that moment is lost. New files and renames are placed by looking
//!   first there: what comes to the path between the two calls is overwritten.
//! - *Times.* Two changes within one step of a file system's clock that keep the size look the same.
//!   A file read is one whose last step is over, by the clock of this computer; after an upload the
//!   window is one step (1 s on sshfs). Where the change time is not kept, a change that sets the
//!   old mtime again is not seen at all.
//! - *Caches.* A guard asks the server (`AT_STATX_FORCE_SYNC`), a listing may come from the cache of
//!   the mount, and so is as old as its attribute cache allows.
//! - *`set_meta`* with a new mtime covers a write of the same size that comes between look and change.
//! - *Folders* renamed without `RENAME_NOREPLACE` replace an empty folder that came in that moment.

mod frame;
mod helper;
mod identity;
mod link;
mod options;
mod protocol;
mod remote;
mod send;

pub use crate::temp::may_hold_theirs;
pub use helper::helper_main;
#[doc(hidden)]
pub use options::Pretend;
pub use options::{FolderOptions, HelperCommand};
pub use remote::FolderRemote;
