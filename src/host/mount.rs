//! Where the mount is to be.

use std::path::{Path, PathBuf};

use crate::places::follow;

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
