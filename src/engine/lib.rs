//! (draft)
pub mod model;
pub mod remote;
pub mod world;
