//! (draft)
pub mod merge;
pub mod model;
pub mod remote;
pub mod world;
