//! One seed, one run: a whole engine with its kernel, its disk, its server, a second user and all
//! that goes wrong, and the invariants of the design checked after each step.
//!
//! ```text
//!  Plan (drawn) -> Run: step, step, step ... -> heal -> agreement
//!                   |  Machine: disk, engine, kernel, server
//!                   |  Oracle: what a POSIX tree does with the same steps
//!                   +- Ledger: which versions exist and must not be lost
//! ```
//!
//! In a *lone* run nobody else works at the server, so the local tree is what the program made of
//! it and nothing else, always; a conflict there is a false one, and a crash of the machine must
//! leave a prefix. In a *shared* run a second user works at the server; the oracle is made anew
//! before each step of the program, and conflicts are decided at random.
//!
//! A [`Plant`] breaks one part of the world: the simulation must find it.

mod agreement;
mod crash;
mod deeds;
mod ledger;
mod liar;
mod machine;
mod oracle;
mod plan;
mod plant;
mod run;
mod telling;

pub use plan::Plan;
pub use plant::Plant;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of the trace: the same for the same seed.
    pub hash: u64,
    pub conflicts: usize,
    /// Reconnections that were taken back.
    pub taken_back: usize,
    pub effects: usize,
    pub kills: usize,
}

/// What was found wrong, for a person to read.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub plan: String,
    pub wrong: Vec<String>,
    /// The last steps.
    pub trace: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {} ({}):", self.seed, self.plan)?;
        for line in &self.wrong {
            writeln!(f, "  {line}")?;
        }
        write!(f, "the last steps were:\n{}", self.trace)
    }
}

/// Runs one seed.
pub fn run(seed: u64, plant: Plant) -> Result<Ended, Box<Failure>> {
    run::Run::new(Plan::draw(seed), plant).go()
}
