//! What was done in a world, as a hash over everything and as the last lines in plain words.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rng::hash;

/// Lines kept for a failure to print.
const KEPT: usize = 4000;

#[derive(Default)]
pub(super) struct Trace {
    hash: u64,
    lines: VecDeque<(Duration, String)>,
}

impl Trace {
    pub(super) fn note(&mut self, now: Duration, line: String) {
        self.hash = hash(self.hash, &now.as_nanos().to_le_bytes());
        self.hash = hash(self.hash, line.as_bytes());
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back((now, line));
    }

    /// A task was given its turn: counts for the hash, makes no line.
    pub(super) fn step(&mut self, task: u64) {
        self.hash = hash(self.hash, &task.to_le_bytes());
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn tail(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        self.lines
            .iter()
            .skip(skipped)
            .map(|(at, line)| format!("{:>12.6} s  {line}\n", at.as_secs_f64()))
            .collect()
    }
}
