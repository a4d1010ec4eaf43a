//! (draft)
pub mod model;
pub mod remote;
pub mod store;
pub mod world;
