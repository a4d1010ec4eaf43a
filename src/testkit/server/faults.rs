//! What goes wrong at a fake server, and what it noted for the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_engine::model::OfflineReason;

/// The line to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Line {
    #[default]
    Up,
    /// Calls end with `Gone` and this reason.
    Down(OfflineReason),
    /// Nothing is answered: calls end with `Gone` after the deadline. What was asked may be done
    /// once the line is up again.
    Frozen,
}

/// What is wrong at a server. Paths are as the second user writes them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Of a thousand calls, how many are done and answered with `Gone`.
    pub lost_answers: u32,
    /// Of a thousand calls, how many end with `Gone` and are not done.
    pub breaks: u32,
    /// Of a thousand swaps, before how many the second user changes the very file.
    pub races: u32,
    /// Of a thousand hints, how many are lost (and told as `Everything`).
    pub lost_hints: u32,
    /// Bytes of files that fit.
    pub capacity: Option<u64>,
    /// Folders that can neither be listed nor entered.
    pub forbidden: BTreeSet<Vec<u8>>,
    /// Folders in which nothing can be changed.
    pub read_only: BTreeSet<Vec<u8>>,
    /// Files that cannot be read and folders that cannot be listed: `Io`.
    pub unreadable: BTreeSet<Vec<u8>>,
    /// The server's clock is ahead by this.
    pub clock_ahead_ns: i64,
}

impl Faults {
    pub(super) fn lies_in(paths: &BTreeSet<Vec<u8>>, path: &[u8]) -> bool {
        paths.iter().any(|folder| {
            path.starts_with(folder) && matches!(path.get(folder.len()), Some(b'/')) || folder == path
        })
    }
}

/// A time when a documented weakness of the server's kind was hit: the guarantees do not cover
/// what happened there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hit {
    /// A second user's version was replaced between look and swap, and nobody saw it.
    Lost { path: Vec<u8>, content: Arc<Vec<u8>> },
    /// The same, found after the swap: `Displaced` was answered.
    Displaced { path: Vec<u8>, content: Arc<Vec<u8>> },
    /// An edit left the version as it was.
    Unseen { path: Vec<u8>, content: Arc<Vec<u8>> },
}

/// One change that was made through a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    pub owner: String,
    pub call: &'static str,
    pub path: Vec<u8>,
    /// The bytes that stood at the path before and no longer do.
    pub before: Option<Arc<Vec<u8>>>,
    /// The bytes that stand there now.
    pub after: Option<Arc<Vec<u8>>>,
}

/// How much went over the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Attempts to connect.
    pub connects: u64,
    pub calls: u64,
    /// Calls under way at once, at the most.
    pub most_at_once: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
}
