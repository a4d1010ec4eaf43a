//! A session on a connection that is served already, or is to be served by somebody else.
//!
//! The kernel greets only once, and fuser waits for the greeting. It is given one made up here, through a
//! pair of sockets, and then the connection in the place of the socket; the kernel is asked to send
//! again what the engine before had taken along.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread;

use fuser::{Config, Notifier, Session};
use rustix::io::{DupFlags, dup3};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::server::Server;

/// `struct fuse_in_header`, then `struct fuse_init_in`.
const GREETING_BYTES: u32 = 40 + 64;
const FUSE_INIT: u32 = 26;
const FUSE_MAJOR: u32 = 7;
const FUSE_MINOR: u32 = 40;
/// What the kernel can do was agreed on long ago: everything is offered.
const EVERYTHING: u32 = u32::MAX;
/// All of the second word, without the bits that are not given a meaning yet.
const EVERYTHING_MORE: u32 = 0x7ff;
const READAHEAD_BYTES: u32 = 1 << 20;

const NOTIFY_RESEND: i32 = 7;

pub(crate) fn session(server: Server, fd: &OwnedFd, config: Config) -> io::Result<Session<Server>> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::write(&ours, &greeting())?;
    let session = Session::from_fd(server, theirs, config.acl, config)?;
    Channel::of(&session).becomes(fd)?;
    Ok(session)
}

/// The kernel sends again whatever is not answered.
pub(crate) fn ask_again(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut message = [0; 16];
    message[..4].copy_from_slice(&16u32.to_ne_bytes());
    message[4..8].copy_from_slice(&NOTIFY_RESEND.to_ne_bytes());
    rustix::io::write(fd, &message)?;
    Ok(())
}

/// The number by which a session knows its connection.
pub(crate) struct Channel {
    number: RawFd,
    /// Keeps the number from being anything else.
    _alive: Notifier,
}

impl Channel {
    pub fn of(session: &Session<Server>) -> Channel {
        Channel { number: session.as_fd().as_raw_fd(), _alive: session.notifier() }
    }

    /// What is answered from now on goes nowhere, and nothing comes any more but what is waited for
    /// already.
    pub fn silence(&self) -> io::Result<()> {
        let (nowhere, mut end) = UnixStream::pair()?;
        thread::Builder::new().name("mount-silent".into()).spawn(move || {
            let _ = io::copy(&mut end, &mut io::sink());
        })?;
        self.becomes(&nowhere.into())
    }

    /// The session goes on with another descriptor.
    fn becomes(&self, fd: &OwnedFd) -> io::Result<()> {
        // SAFETY: the number is open for as long as the notifier is there, and is not closed here. What it
        // stands for changes in one step.
        let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(self.number) });
        dup3(fd, &mut place, DupFlags::CLOEXEC)?;
        Ok(())
    }
}

fn greeting() -> Vec<u8> {
    let mut bytes = vec![0; GREETING_BYTES as usize];
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    put(0, GREETING_BYTES);
    put(4, FUSE_INIT);
    // The request's number.
    put(8, 1);
    put(40, FUSE_MAJOR);
    put(44, FUSE_MINOR);
    put(48, READAHEAD_BYTES);
    put(52, EVERYTHING);
    put(56, EVERYTHING_MORE);
    bytes
}
