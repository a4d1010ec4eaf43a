//! (draft) The store.
pub mod content;
pub mod persist;
pub mod rows;
