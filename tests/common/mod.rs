//! A session of one's own for each test: a served engine with private folders, a folder that plays
//! the file server, and the command line.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

mod far;
mod keeper;
mod known;
mod ran;
pub mod saving;
mod session;
mod shape;
mod tree;

use std::time::{Duration, Instant};

pub use far::Far;
pub use keeper::kernel_sends_again;
pub use known::{known, tries_known};
pub use ran::Ran;
pub use session::{Session, has_program, is_root, skip};
pub use shape::{Is, all_have, has};
pub use tree::{Found, Times, Tree, differences, leftovers, tree};

/// No test's outcome depends on speed: this is only how long a wait may last before it is hopeless.
pub fn limit() -> Duration {
    Duration::from_secs(if long() { 2400 } else { 300 })
}

/// Waits for a condition.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit();
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the many and large cases are to run too.
pub fn long() -> bool {
    std::env::var_os("HOLDFAST_LONG").is_some_and(|v| v == "1")
}

/// A small generator with a seed, so that a failing run can be had again.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
