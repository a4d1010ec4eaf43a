//! What a keeper and an engine say to one another: one message a packet, with a descriptor where one is
//! handed over.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg,
    socket_with, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::recover;

const LONGEST_BYTES: usize = 16 << 10;

/// The connection of a mount to the kernel, as whoever takes it over must know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(super) id: u64,
    pub(super) directory: Vec<u8>,
    pub(super) options: Vec<String>,
    /// Its name under `/sys/fs/fuse/connections`.
    pub(super) minor: Option<u32>,
    /// Requests that an engine took along are sent again (Linux 6.9 and later).
    pub(super) resends: bool,
}

impl About {
    pub fn new(id: u64, directory: &Path, options: &[String], minor: Option<u32>, resends: bool) -> About {
        let directory = directory.as_os_str().as_bytes().to_vec();
        About { id, directory, options: options.to_vec(), minor, resends }
    }

    pub(super) fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.directory))
    }

    /// Takes the mount away. Whoever waits in it gets an error.
    pub(super) fn end(&self) -> Result<(), String> {
        let detached = recover::detach(self.directory());
        if let Some(minor) = self.minor {
            recover::abort(minor);
        }
        detached
    }
}

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum ToKeeper {
    /// With the descriptor.
    Hold(About),
    /// Who asks locks the store afterwards; `replace`: whoever serves it now is asked to make way.
    Take { replace: bool },
    /// There is nothing to hold any more.
    End,
}

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum FromKeeper {
    Held,
    /// With the descriptor.
    Here(About),
    Busy,
    MakeWay,
}

/// One end of a connection.
pub(super) struct Line(OwnedFd);

impl Line {
    pub fn pair() -> io::Result<(Line, OwnedFd)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Line(a), b))
    }

    pub fn from_fd(fd: OwnedFd) -> Line {
        Line(fd)
    }

    pub fn connect(socket: &Path) -> io::Result<Line> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        connect(&fd, &SocketAddrUnix::new(socket)?)?;
        Ok(Line(fd))
    }

    /// What is received from now on comes within this, or an error does.
    pub fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, time)?)
    }

    pub fn send(&self, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = postcard::to_allocvec(message).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = fd.into_iter().collect();
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        sendmsg(&self.0, &[io::IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// `None` where the other end is gone.
    pub fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Option<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        let received = match recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            received => received?,
        };
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if received.bytes == 0 {
            return Ok(None);
        }
        let message = postcard::from_bytes(&bytes[..received.bytes]).map_err(io::Error::other)?;
        Ok(Some((message, fd)))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_goes_along() {
        let (a, b) = Line::pair().unwrap();
        let b = Line::from_fd(b);
        let about = About::new(7, Path::new("/m"), &[], Some(3), true);
        let file = tempfile::tempfile().unwrap();
        a.send(&ToKeeper::Hold(about.clone()), Some(file.as_fd())).unwrap();
        a.send(&ToKeeper::End, None).unwrap();
        drop(a);
        let (message, fd) = b.receive::<ToKeeper>().unwrap().unwrap();
        assert_eq!(message, ToKeeper::Hold(about));
        assert!(fd.is_some());
        assert!(matches!(b.receive::<ToKeeper>().unwrap(), Some((ToKeeper::End, None))));
        assert!(b.receive::<ToKeeper>().unwrap().is_none());
    }
}
