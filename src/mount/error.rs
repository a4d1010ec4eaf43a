//! Why a mount cannot be made: one plain sentence each, with the folder, the cause, the way out.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("{} cannot be mounted because /dev/fuse is missing: load the kernel module with `modprobe fuse`", .0.display())]
    NoDevice(PathBuf),
    #[error("{} cannot be mounted because /dev/fuse may not be opened: ask the administrator for access to it", .0.display())]
    DeviceDenied(PathBuf),
    #[error("{} cannot be mounted because the program fusermount3 is missing: install the package fuse3", .0.display())]
    NoHelper(PathBuf),
    #[error("{} cannot be mounted with allow_other: add the line user_allow_other to /etc/fuse.conf, or leave the option out", .0.display())]
    AllowOther(PathBuf),
    #[error("the mount option {option} {why}")]
    Option { option: String, why: &'static str },
    #[error("the folder {} cannot be made: {cause}; make it yourself, or choose another one", .directory.display())]
    Create { directory: PathBuf, cause: io::Error },
    #[error("{} cannot be looked at: {cause}; choose another folder for the mount", .directory.display())]
    Look { directory: PathBuf, cause: io::Error },
    #[error("{} is not a folder: choose another one for the mount", .0.display())]
    NotFolder(PathBuf),
    #[error("{} is not empty: move away what it holds, or choose another folder for the mount", .0.display())]
    NotEmpty(PathBuf),
    #[error("something is already served at {}: stop the engine that does it, or choose another folder", .0.display())]
    Served(PathBuf),
    #[error("another file system ({kind}) is mounted at {}: unmount it, or choose another folder", .directory.display())]
    Occupied { directory: PathBuf, kind: String },
    #[error("a dead mount at {} cannot be taken away: {cause}; try `fusermount3 -u -z` on it", .directory.display())]
    Stale { directory: PathBuf, cause: String },
    #[error("{} cannot be mounted: {cause}", .directory.display())]
    Failed { directory: PathBuf, cause: String },
}

impl MountError {
    /// What the failure of the mounting itself means. `io::Error` is all that is known of it;
    /// what `fusermount3` printed is its text.
    pub(crate) fn explain(directory: &Path, error: &io::Error) -> MountError {
        let directory = directory.to_owned();
        let text = error.to_string();
        let device = Path::new("/dev/fuse");
        match error.kind() {
            _ if text.contains("user_allow_other") => MountError::AllowOther(directory),
            _ if !device.exists() => MountError::NoDevice(directory),
            io::ErrorKind::NotFound => MountError::NoHelper(directory),
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_some() => {
                MountError::DeviceDenied(directory)
            }
            _ => MountError::Failed { directory, cause: plain(&text) },
        }
    }
}

/// The last line a helper printed, without its own name.
fn plain(text: &str) -> String {
    let line = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("unknown cause");
    let line = line.trim();
    line.strip_prefix("fusermount3: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_helper_printed_is_told_apart() {
        let at = Path::new("/m");
        let refused = io::Error::other(
            "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n",
        );
        assert!(matches!(MountError::explain(at, &refused), MountError::AllowOther(_)));
        assert_eq!(
            plain("fusermount3: user has no write access to mountpoint /m\n"),
            "user has no write access to mountpoint /m"
        );
    }
}
