//! One engine at a time: the lock on the folder of the store.
//!
//! The lock ends with the process, however that ends; the file stays and says nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::persist::StoreError;

/// Held as long as the store is in use.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Makes the folder, for its owner only, where there is none, and locks it.
    pub fn take(dir: &Path) -> Result<StoreLock, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(StoreLock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(StoreError::InUse),
            Err(error) => Err(StoreError::Io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_goes() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("a/store");
        let held = StoreLock::take(&store).unwrap();
        assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(matches!(StoreLock::take(&store), Err(StoreError::InUse)));
        drop(held);
        StoreLock::take(&store).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(StoreLock::take(&path), Err(StoreError::Io(_))));
    }
}
