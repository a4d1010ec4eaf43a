//! Commands that only our own processes give: the executable is started again as a helper.

use std::ffi::OsStr;
use std::process::ExitCode;

/// The first argument that makes the executable a helper of the remotes.
pub(crate) const REMOTE_HELPER: &str = "remote-helper";
/// The one that makes it the keeper of a mount, met at the socket that follows.
pub(crate) const KEEPER: &str = "mount-keeper";

/// Runs a hidden command where the arguments ask for one; the program then ends with this code.
pub fn dispatch_hidden() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    if first == OsStr::new(REMOTE_HELPER) {
        crate::connector::helper_main();
    }
    if first == OsStr::new(KEEPER) {
        return Some(crate::keeper::keeper_main(arguments.next()?.as_ref()));
    }
    None
}
