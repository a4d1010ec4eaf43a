//! The bus from end to end, over a real socket, in front of an engine that only remembers.

#![allow(clippy::unwrap_used)]

mod fake;
mod interfaces;
mod round_trip;
