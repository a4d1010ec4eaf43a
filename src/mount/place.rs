//! Makes the place of the mount ready: found, cleared of what a killed engine left, made, empty.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::MountError;
use crate::{mountinfo, recover};

/// As many symbolic links as the kernel follows.
const MOST_LINKS: usize = 40;

/// The folder to mount at, absolute and without symbolic links.
pub(crate) fn prepare(directory: &Path) -> Result<PathBuf, MountError> {
    let directory =
        resolve(directory).map_err(|cause| MountError::Look { directory: directory.to_owned(), cause })?;
    recover::clear(&directory)?;
    match std::fs::create_dir(&directory) {
        Ok(()) => return Ok(directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(MountError::Create { directory, cause }),
    }
    match std::fs::read_dir(&directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(directory),
            Some(_) => Err(MountError::NotEmpty(directory)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(MountError::NotFolder(directory)),
        Err(cause) => Err(MountError::Look { directory, cause }),
    }
}

/// Follows links by hand: what may be a mount that hangs is looked up in the table of mounts
/// before it is touched. Makes the folders above.
fn resolve(directory: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(directory)?;
    for _ in 0..MOST_LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return path.canonicalize();
        };
        std::fs::create_dir_all(parent)?;
        let parent = parent.canonicalize()?;
        let candidate = parent.join(name);
        if mountinfo::top(&candidate)?.is_some() {
            return Ok(candidate);
        }
        match std::fs::read_link(&candidate) {
            Ok(target) => path = parent.join(target),
            Err(_) => return Ok(candidate),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_is_absent_and_follows_links() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        assert_eq!(prepare(&root.join("a/b")).unwrap(), root.join("a/b"));
        std::os::unix::fs::symlink("a/b", root.join("link")).unwrap();
        assert_eq!(prepare(&root.join("link")).unwrap(), root.join("a/b"));
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert!(matches!(prepare(&root.join("loop")), Err(MountError::Look { .. })));
    }

    #[test]
    fn refuses_what_would_be_hidden() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("file"), "x").unwrap();
        assert!(matches!(prepare(temp.path()), Err(MountError::NotEmpty(_))));
        assert!(matches!(prepare(&temp.path().join("file")), Err(MountError::NotFolder(_))));
        assert!(matches!(prepare(Path::new("/proc")), Err(MountError::Occupied { .. })));
    }
}
