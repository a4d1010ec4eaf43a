//! (draft)
mod engine;
pub mod fileops;
pub mod handle;
pub mod model;
pub mod remote;
pub mod store;
pub mod sync;
pub mod world;

pub use engine::{Engine, Options};
