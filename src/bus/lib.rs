//! The D-Bus face of the engine, both sides.
//!
//! ```text
//!  client program -> socket or session bus -> server::faces -> Commands (the engine's Handle)
//!  Client (the same Commands, over a socket) <- signals <- server::events <- Handle::subscribe
//! ```
//!
//! [`Commands`] is what an engine can be asked, whoever answers: the [`Handle`] of an engine in
//! this process, or a [`Client`] of one in another. [`Server`] offers any `Commands` on the bus.
//! The values on the wire (`wire`) are dictionaries with the same keys as the command line's JSON,
//! so that they can grow; paths are byte arrays, contents are file descriptors. No path of a
//! client is ever opened here.
//!
//! [`Handle`]: holdfast_engine::handle::Handle

mod client;
mod commands;
mod place;
mod server;
mod socket;
mod wire;

pub use client::{Client, ConnectError};
pub use commands::{Answer, Commands};
pub use place::{PlaceError, parse_target, target_below};
pub use server::{Server, ServerError, ServerOptions, introspection};

/// The name on the session bus.
pub const BUS_NAME: &str = "app.holdfast.Holdfast.Engine";
/// The one object.
pub const OBJECT_PATH: &str = "/app/holdfast/Holdfast/Engine";
