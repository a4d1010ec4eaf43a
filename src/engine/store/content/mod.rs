//! Contents: versions of files' bytes, in the store's own files.
//!
//! ```text
//!  create --> mutable, whole --seal--> sealed, whole --derive--> mutable (a copy, or laid over it)
//!  expect --> sealed, nothing here --fill--> sealed, whole --evict--> sealed, nothing here
//! ```
//!
//! A content is a file of the store with its bytes at their places; a larger one that is derived
//! from another lies *over* it and holds only what differs ([`overlay`]). What is sealed has a digest
//! and a sum for each block of 256 KiB ([`map`]), and a block is compared with its sum when it is
//! first read in a run.
//!
//! # What crashes leave
//!
//! Data is written first, then the map, then, by the caller, the row. Nothing here syncs but
//! [`Contents::sync`] and [`Contents::flatten`]. The caller keeps this order:
//!
//! 1. A row that says something new of the bytes (`whole`, `sealed`, `size`, `changed`) is *committed*
//!    (as opposed to journaled) only after [`Contents::sync`] of that content.
//!    A mutable content whose row was committed earlier reads zero where a crash of the machine
//!    took what was not synced, be it the whole file; the caller knows that the write was cut off.
//! 2. What frees a file ([`Content::evict`], [`Contents::flatten`], [`Contents::discard`]) hands its
//!    number out as [`Freed`]; it is removed with [`Contents::free`] after the row without it is
//!    committed. What a crash leaves behind is found by [`Contents::orphans`].
//! 3. No id and no number of a file is ever used again, and a content lies only over one with a
//!    lower id.
//!
//! This module never decides what is kept, never reaches for a server and never waits for a network.

mod account;
mod contents;
mod error;
mod fill;
mod flags;
mod flatten;
mod handles;
mod holes;
mod map;
mod overlay;
mod ranges;
mod read;
mod seal;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod write;

pub use contents::{Contents, Freed};
pub use error::ContentError;
pub use fill::Filled;
pub use flatten::{Finished, Flattened};
pub use map::MAP;
pub use ranges::RangeSet;
pub use state::Content;

/// Presence is kept, and sums are made, for blocks of this many bytes. A file of at most one block
/// has no map: it is here where its row says `whole`, and its digest is its sum.
pub const BLOCK: u64 = 256 * 1024;

/// Up to this size a derived content is a copy.
pub const COPIED_WHOLE: u64 = 1 << 20;
