//! A session on a connection that is served already.
//!
//! The kernel greets only once, and fuser waits for the greeting. It is given one made up here, through a
//! pair of sockets, and then the connection in the place of the socket; the kernel is asked to send
//! again what the engine before had taken along.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use fuser::{Config, Session};
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
    put_in_place(fd, session.as_fd())?;
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

fn put_in_place(fd: &OwnedFd, place: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the number is open for as long as the session is borrowed, and is not closed here. What it
    // stands for changes in one step, and nobody reads from it yet.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(place.as_raw_fd()) });
    dup3(fd, &mut place, DupFlags::CLOEXEC)?;
    Ok(())
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
