//! Every refusal is one plain sentence that names the thing and what can be done, its exit status is
//! that of the contract, and nothing is lost.

mod disks;
mod names;
mod places;
mod stores;
