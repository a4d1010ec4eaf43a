//! What reviews found, each as what should have happened.

#![allow(clippy::unwrap_used)]

mod chains;
mod decisions;
mod fetching;
mod history;
mod limits;
mod line;
mod link;
mod observing;
mod place;
mod replaying;
mod room;
