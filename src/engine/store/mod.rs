//! (draft) The store.
pub mod content;
pub mod memory;
pub mod persist;
pub mod rows;
