//! (draft)
pub mod observe;
pub mod reconcile;
pub mod replay;
pub mod schedule;
pub mod settle;
