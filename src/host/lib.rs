//! Puts engine, mount, remotes and bus together: for the application and for the command line.
//!
//! ```text
//!  Paths::from_env -> Service::start: engine (locks the store) -> mount -> bus
//!                     Service::stop:  bus -> mount -> engine (commits)
//! ```
//!
//! Environment and home are read here and nowhere below, once ([`Paths`]). A program that embeds
//! the service calls [`dispatch_hidden`] first of all: its own executable is also the helper
//! process of the remotes.

mod boot;
mod clash;
mod connector;
mod hidden;
mod keeper;
mod log;
mod mount;
mod network;
mod paths;
mod places;
mod service;
mod world;

pub use hidden::dispatch_hidden;
pub use log::init as init_log;
pub use paths::{Paths, PathsError};
pub use places::follow;
pub use service::{HostError, ServeOptions, Service, serve_until_signal};
pub use world::RealWorld;
