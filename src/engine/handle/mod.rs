//! What clients hold: commands with answers, and events.
//!
//! The application, the command line and the bus all speak to the engine through this; the engine
//! never waits for any of them. Commands take the store's short locks themselves and hand what takes
//! long to the workers of the locations, so they need no thread of their own.

mod check;
mod conflicts;
mod core;
mod error;
mod event;
mod history;
mod locations;
mod pins;
mod status;

pub use self::core::{Core, Handle};
pub use error::{Error, ErrorKind};
pub use event::{Event, Revised};

pub(crate) type Answer<T> = Result<T, Error>;
