//! What the engine can keep folders of: `file://` and `sftp://`.
//!
//! A host puts a [`Connectors`] together and hands it to the engine:
//!
//! ```no_run
//! use holdfast_remotes::folder::{FolderOptions, HelperCommand};
//! use holdfast_remotes::{Connectors, FileConnector};
//!
//! let helper = HelperCommand {
//!     program: std::env::current_exe()?,
//!     args: vec!["remote-helper".into()],
//! };
//! let connectors = Connectors::new()
//!     .with("file", FileConnector::new(helper, FolderOptions::new("/run/user/1000/holdfast")));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! and, first thing in its `main`, calls [`folder::helper_main`] where it was started with that
//! argument. Nothing here decides what is to be synchronised.

#[cfg(feature = "conformance")]
pub mod conformance;
mod connectors;
mod file_url;
pub mod folder;
mod kinds;
mod percent;
pub mod sftp;
mod spawn;
mod supply;
mod temp;
mod token;
mod until;

pub use connectors::{Connectors, FileConnector};
