//! Conflicts and what is decided about them.
//!
//! A conflict is a value on its item; the three states are the trees. A decision ([`decide`]) says
//! which of them is to be: it changes the local side, declares the server's state to be what both
//! last agreed on, and leaves the difference to the log. So a decision is one step on the trees, is
//! sent like any other change, guarded by the version that was looked at, and can be taken back.

mod decide;
mod reconnected;
mod stash;
mod told;
mod undo;

pub use decide::{Inputs, decide, inputs_missing};
pub use stash::{restore, seal_local, stash_local, stash_server};
pub use told::{part_from, what_was_done};
pub use undo::{made, note_decision, snapshot, snapshots, undo};
