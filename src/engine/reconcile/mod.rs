//! From base, local and server to what is done about an item: [`reconcile`] decides and touches
//! nothing, [`settle()`] carries out on the trees.

mod facts;
mod settle;
mod take;
mod verdict;

pub use facts::{is_folder_there, state_aspects};
pub use settle::{Settled, settle};
pub use take::{local_folder, new_node, node_like};
pub use verdict::{Facts, Verdict, reconcile};
