//! What reviews found, each as what should have happened.

#![allow(clippy::unwrap_used)]

mod place;
mod replaying;
