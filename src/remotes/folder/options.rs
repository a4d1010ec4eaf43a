//! What a host may choose about `file://` locations.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the helper is started: the host's own binary with a hidden argument, upon which it calls
/// [`helper_main`](super::helper_main) and does nothing else.
#[derive(Clone, Debug)]
pub struct HelperCommand {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// A call that makes no progress for so long ends the connection.
    pub deadline: Duration,
    /// A private local folder (mode 0700, in the runtime directory). A helper holds a lock there as
    /// long as any of its threads lives.
    pub lock_dir: PathBuf,
    /// What [`FolderRemote::identity`](super::FolderRemote::identity) told in an earlier run: anything
    /// else at the path is "not mounted". `None` takes what is there.
    pub expected_identity: Option<String>,
    /// For tests.
    #[doc(hidden)]
    pub pretend: Pretend,
}

impl FolderOptions {
    pub fn new(lock_dir: impl Into<PathBuf>) -> FolderOptions {
        FolderOptions {
            deadline: Duration::from_secs(8),
            lock_dir: lock_dir.into(),
            expected_identity: None,
            pretend: Pretend::default(),
        }
    }
}

/// Takes abilities from a file system, so that tests reach what only poorer ones need.
#[doc(hidden)]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pretend {
    /// As if `renameat2` knew no flags.
    pub no_rename_flags: bool,
    pub no_hard_links: bool,
    /// Ranged writes by copying the old content, where it cannot be cloned.
    pub copy_for_ranges: bool,
    /// The type of the file system, instead of what the kernel says.
    pub fs_type: Option<String>,
    /// A folder where a test stops the helper at a named point.
    pub gate: Option<PathBuf>,
}
