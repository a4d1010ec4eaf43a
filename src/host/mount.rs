//! The one place where the mount is started and ended.

use std::path::{Path, PathBuf};

use holdfast_engine::fileops::Fileops;

use crate::places::follow;

/// What a mount is started with.
#[derive(Clone, Debug)]
pub struct MountOptions {
    pub dir: PathBuf,
    /// As `mount -o` takes them.
    pub options: Vec<String>,
}

/// A mounted file system.
pub struct Mount {}

impl Mount {
    /// Returns when the mount can be used.
    pub fn start(_fileops: Fileops, options: &MountOptions) -> Result<Mount, String> {
        tracing::debug!(dir = ?options.dir, options = ?options.options, "no mount is built in");
        Err("no mount is built in".into())
    }

    pub fn unmount(self) -> Result<(), String> {
        Ok(())
    }
}

/// The folder of the mount: absolute, its parents made, without symbolic links, so that paths can be
/// compared with it as text. Nothing is asked of a mount that was left there: it may hang.
pub fn prepared(dir: &Path) -> std::io::Result<PathBuf> {
    let dir = std::path::absolute(dir)?;
    let Some((parent, name)) = dir.parent().zip(dir.file_name()) else {
        return Err(std::io::Error::other("a mount needs a folder of its own"));
    };
    std::fs::create_dir_all(parent)?;
    Ok(follow(&parent.canonicalize()?.join(name), None))
}

/// Makes the folder where there is none.
pub fn make_folder(dir: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_told_without_links() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("there", base.join("link")).unwrap();
        assert_eq!(prepared(&base.join("link")).unwrap(), base.join("there"));
        assert_eq!(prepared(&base.join("new/mount")).unwrap(), base.join("new/mount"));
        assert!(base.join("new").is_dir() && !base.join("new/mount").exists());
        assert!(prepared(Path::new("/")).is_err());
    }
}
