//! Commands that only our own processes give: the executable is started again as a helper.

use std::ffi::OsStr;
use std::process::ExitCode;

/// The first argument that makes the executable a helper of the remotes.
pub(crate) const REMOTE_HELPER: &str = "remote-helper";

/// Runs a hidden command where the arguments ask for one; the program then ends with this code.
pub fn dispatch_hidden() -> Option<ExitCode> {
    let first = std::env::args_os().nth(1)?;
    if first == OsStr::new(REMOTE_HELPER) {
        crate::connector::helper_main();
    }
    None
}
