//! From base, local and server to what is done about an item: [`reconcile`] decides and touches
//! nothing, [`settle()`] carries out on the trees.

mod settle;
mod verdict;

pub use settle::{Settled, is_folder_there, local_folder, new_node, settle, state_aspects};
pub use verdict::{Facts, Verdict, reconcile};
