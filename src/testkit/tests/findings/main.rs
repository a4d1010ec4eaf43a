//! What reviews found, each as what should have happened.

#![allow(clippy::unwrap_used)]

mod decisions;
mod fetching;
mod observing;
mod place;
mod replaying;
mod room;
