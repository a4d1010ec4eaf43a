//! What tests of all crates share: a simulated world, a server in memory, oracles.

mod rng;
mod world;

pub use rng::Rng;
pub use world::{Idle, Life, SimWorld};
