//! The private socket's file: a folder of our own, one engine at a time, no stale socket.
//!
//! A lock file beside the socket says who serves it, so that two engines that start at once cannot
//! both take a socket left by a killed one for their own.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::ServerError;
use crate::socket::ShortPath;

/// The listening socket and the lock that is to be held as long as it is served.
pub fn bind(socket: &Path) -> Result<(UnixListener, File), ServerError> {
    let io = |error| ServerError::Io { socket: socket.to_owned(), error };
    let folder = socket.parent().ok_or_else(|| io(io::ErrorKind::InvalidInput.into()))?;
    own_folder(folder).map_err(io)?;
    if std::fs::symlink_metadata(folder).map_err(io)?.uid() != geteuid().as_raw() {
        return Err(ServerError::NotOurs(folder.to_owned()));
    }
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(socket.with_extension("lock"))
        .map_err(io)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(ServerError::Taken(socket.to_owned())),
        Err(error) => return Err(io(error.into())),
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let short = ShortPath::new(socket).map_err(io)?;
    let listener = UnixListener::bind(short.path()).map_err(io)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    Ok((listener, lock))
}

fn own_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = std::fs::symlink_metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

pub fn is_same_user(stream: &UnixStream) -> io::Result<bool> {
    Ok(socket_peercred(stream)?.uid == geteuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/bus");
        let first = bind(&socket).unwrap();
        assert!(matches!(bind(&socket), Err(ServerError::Taken(_))));
        drop(first);
        assert!(socket.exists());
        let (_listener, _lock) = bind(&socket).unwrap();
        assert!(is_same_user(&UnixStream::connect(&socket).unwrap()).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.path().join("run")), mode(&socket)), (0o700, 0o600));
    }
}
