//! Takes away what a killed engine left at the place of the mount.
//!
//! A dead mount answers everything with `ENOTCONN`, and nothing can be mounted over it. One whose
//! engine lives but is stuck does not answer at all: it is asked from a thread that can be left
//! behind. A mount that answers is somebody's work and stays.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::error::MountError;
use crate::mountinfo::{self, Entry};

/// How long a mount that lives may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Dead mounts may lie on top of one another; more than this is something else.
const MOST_LAYERS: usize = 16;

/// Afterwards nothing is mounted at exactly `directory`, or the error says what is.
pub(crate) fn clear(directory: &Path) -> Result<(), MountError> {
    for _ in 0..MOST_LAYERS {
        let Some(entry) = look(directory)? else {
            return Ok(());
        };
        if !entry.is_ours() {
            return Err(MountError::Occupied { directory: directory.to_owned(), kind: entry.kind });
        }
        match ask(directory) {
            Life::Dead => tracing::info!(?directory, "taking away a dead mount"),
            Life::Silent => tracing::warn!(?directory, "taking away a mount that does not answer"),
            Life::Lives => return Err(MountError::Served(directory.to_owned())),
        }
        detach(directory).map_err(|cause| stale(directory, cause))?;
        // Who still hangs in it gets an error instead.
        abort(entry.minor);
    }
    Err(stale(directory, "it came back each time".into()))
}

fn look(directory: &Path) -> Result<Option<Entry>, MountError> {
    mountinfo::top(directory).map_err(|cause| MountError::Look { directory: directory.to_owned(), cause })
}

fn stale(directory: &Path, cause: String) -> MountError {
    MountError::Stale { directory: directory.to_owned(), cause }
}

enum Life {
    Lives,
    Dead,
    Silent,
}

/// Asks for `statfs`, in a thread of its own that is left behind when no answer comes.
fn ask(directory: &Path) -> Life {
    let (answer, answered) = mpsc::channel();
    let path = directory.to_owned();
    let asked = thread::Builder::new()
        .name("mount-ask".into())
        .spawn(move || answer.send(rustix::fs::statfs(&path).map(drop)).ok());
    if asked.is_err() {
        return Life::Lives;
    }
    match answered.recv_timeout(ANSWER_WITHIN) {
        Ok(Err(Errno::NOTCONN)) => Life::Dead,
        // Any other answer, "access denied" among them, comes from something that lives.
        Ok(_) => Life::Lives,
        Err(_) => Life::Silent,
    }
}

/// Unmounts at once, whoever is in it: as root by itself, which also ends the connection, else
/// with the help of `fusermount3`.
pub(crate) fn detach(directory: &Path) -> Result<(), String> {
    let flags = UnmountFlags::FORCE | UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match rustix::mount::unmount(directory, flags) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => fusermount(directory),
        Err(error) => Err(error.to_string()),
    }
}

/// Unmounts, as an ordinary user by name only. Where a program is in it, it may stay for now.
pub(crate) fn unmount(directory: &Path) {
    let unmounted = match rustix::mount::unmount(directory, UnmountFlags::NOFOLLOW) {
        Err(Errno::PERM) => fusermount(directory),
        result => result.map_err(|error| error.to_string()),
    };
    if let Err(cause) = unmounted {
        tracing::debug!(?directory, cause, "not unmounted yet");
    }
}

fn fusermount(directory: &Path) -> Result<(), String> {
    let output = Command::new("fusermount3")
        .args(["-u", "-z", "--"])
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("fusermount3 cannot be run ({error}); install the package fuse3"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.trim().trim_start_matches("fusermount3: ").to_owned())
}

/// Ends a connection: whoever waits in it gets an error. Works for ordinary users too where the
/// control file system is mounted, as it usually is; that it fails does no harm.
pub(crate) fn abort(minor: u32) {
    let control = format!("/sys/fs/fuse/connections/{minor}/abort");
    if let Err(error) = std::fs::write(&control, "1") {
        tracing::debug!(control, %error, "connection not ended");
    }
}
