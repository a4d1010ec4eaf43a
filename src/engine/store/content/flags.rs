//! What is yes or no of a content and set by several threads: one byte for all of it.

use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Flag {
    /// The file may be longer than the content, with bytes that are no longer part of it.
    Tail = 1,
    /// One block at most: it matched its digest in this run.
    Checked = 2,
    /// Somebody may hold a descriptor of its file, and expects it not to change.
    HandedOut = 4,
    /// Nothing refers to it any more.
    Gone = 8,
    /// It may have holes, or more space than its size: written with a gap, or not known.
    Uneven = 16,
}

#[derive(Default)]
pub(super) struct Flags(AtomicU8);

impl Flags {
    pub fn is(&self, flag: Flag) -> bool {
        self.0.load(Ordering::Acquire) & flag as u8 != 0
    }

    pub fn set(&self, flag: Flag, on: bool) {
        match on {
            true => self.0.fetch_or(flag as u8, Ordering::AcqRel),
            false => self.0.fetch_and(!(flag as u8), Ordering::AcqRel),
        };
    }
}
