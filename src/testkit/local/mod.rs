//! The local side of a simulation: programs, the kernel's caches, and what a right tree would do.
//!
//! ```text
//!  RandomProgram -> Step -> Program -> Kernel (caches) -> LocalFs: the engine's Fileops
//!                      \--> Program -> Kernel ----------> LocalFs: ModelFs, the oracle
//! ```
//!
//! Both sides are given the same steps; outcomes and trees must be the same. An invalidation that
//! the engine forgets shows as a wrong read through [`Kernel`], as it would to a real program.

mod audit;
mod copy;
mod fileops;
mod fs;
mod kernel;
mod model;
mod pages;
mod program;
mod random;
mod step;
mod tree;

pub use copy::{Copied, copy_of};
pub use fs::{CALLER, LocalFs, Op, snapshot};
pub use kernel::Kernel;
pub use model::ModelFs;
pub use program::Program;
pub use random::RandomProgram;
pub use step::{Outcome, Step};

#[cfg(test)]
mod tests;
