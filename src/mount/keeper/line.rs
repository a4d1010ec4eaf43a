//! What a keeper and an engine say to one another: one message a packet, with a descriptor where one is
//! handed over.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg,
    socket_with, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const LONGEST_BYTES: usize = 16 << 10;

/// The connection of a mount to the kernel, as whoever takes it over must know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub id: u64,
    pub directory: Vec<u8>,
    pub options: Vec<String>,
    /// Its name under `/sys/fs/fuse/connections`.
    pub minor: Option<u32>,
    /// Requests that an engine took along are sent again (Linux 6.9 and later).
    pub resends: bool,
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
        let about =
            About { id: 7, directory: b"/m".to_vec(), options: vec![], minor: Some(3), resends: true };
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
