//! Socket paths of any length: the kernel takes 107 bytes, folders may be deeper.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// A short name for a socket, good as long as it is held.
pub struct ShortPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl ShortPath {
    pub fn new(socket: &Path) -> io::Result<ShortPath> {
        const MOST: usize = 107;
        let (folder, name) = match (socket.parent(), socket.file_name()) {
            (Some(folder), Some(name)) if socket.as_os_str().len() > MOST => (folder, name),
            _ => {
                return Ok(ShortPath { path: socket.to_owned(), _folder: None });
            }
        };
        let folder =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(ShortPath { path, _folder: Some(folder) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}
