//! (draft) The store.
pub mod content;
pub mod files;
pub mod journal;
pub mod lock;
pub mod persist;
pub mod rows;
pub mod sqlite;
