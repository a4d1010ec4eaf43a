//! What is asked of a server.

use super::Attrs;
use super::wire::Writer;

const VERSION: u32 = 3;
const INIT: u8 = 1;
const EXTENDED: u8 = 200;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// What is there.
    Read,
    /// A new file, and only that.
    New,
}

/// One request. Handles are what [`Response::Handle`](super::Response::Handle) gave.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        how: Open,
        attrs: Attrs,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        len: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    /// Of the link itself.
    Lstat {
        path: &'a [u8],
    },
    /// Of where a link leads.
    Stat {
        path: &'a [u8],
    },
    Fstat {
        handle: &'a [u8],
    },
    /// Of where a link leads.
    Setstat {
        path: &'a [u8],
        attrs: Attrs,
    },
    Fsetstat {
        handle: &'a [u8],
        attrs: Attrs,
    },
    Opendir {
        path: &'a [u8],
    },
    Readdir {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    Mkdir {
        path: &'a [u8],
        attrs: Attrs,
    },
    Rmdir {
        path: &'a [u8],
    },
    Realpath {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    Readlink {
        path: &'a [u8],
    },
    /// In OpenSSH's order, which is not the draft's: where it leads, then its name.
    Symlink {
        target: &'a [u8],
        path: &'a [u8],
    },
    PosixRename {
        from: &'a [u8],
        to: &'a [u8],
    },
    Hardlink {
        from: &'a [u8],
        to: &'a [u8],
    },
    Fsync {
        handle: &'a [u8],
    },
    Limits,
    /// Of the link itself.
    Lsetstat {
        path: &'a [u8],
        attrs: Attrs,
    },
    Statvfs {
        path: &'a [u8],
    },
    /// Length 0 is all up to the end.
    CopyData {
        from: &'a [u8],
        offset: u64,
        len: u64,
        to: &'a [u8],
        to_offset: u64,
    },
}

/// Says hello.
pub fn init() -> Vec<u8> {
    let mut message = Writer(vec![0; 4]);
    message.u8(INIT).u32(VERSION);
    finish(message)
}

/// One message, with its length in front.
pub fn encode(id: u32, request: &Request<'_>) -> Vec<u8> {
    let mut message = Writer(Vec::with_capacity(64 + request.bulk()));
    message.u32(0).u8(request.kind()).u32(id);
    request.body(&mut message);
    finish(message)
}

fn finish(Writer(mut message): Writer) -> Vec<u8> {
    let length = u32::try_from(message.len() - 4).unwrap_or(u32::MAX);
    message[..4].copy_from_slice(&length.to_be_bytes());
    message
}

impl Request<'_> {
    fn kind(&self) -> u8 {
        match self {
            Request::Open { .. } => 3,
            Request::Close { .. } => 4,
            Request::Read { .. } => 5,
            Request::Write { .. } => 6,
            Request::Lstat { .. } => 7,
            Request::Fstat { .. } => 8,
            Request::Setstat { .. } => 9,
            Request::Fsetstat { .. } => 10,
            Request::Opendir { .. } => 11,
            Request::Readdir { .. } => 12,
            Request::Remove { .. } => 13,
            Request::Mkdir { .. } => 14,
            Request::Rmdir { .. } => 15,
            Request::Realpath { .. } => 16,
            Request::Stat { .. } => 17,
            Request::Rename { .. } => 18,
            Request::Readlink { .. } => 19,
            Request::Symlink { .. } => 20,
            Request::PosixRename { .. }
            | Request::Hardlink { .. }
            | Request::Fsync { .. }
            | Request::Limits
            | Request::Lsetstat { .. }
            | Request::Statvfs { .. }
            | Request::CopyData { .. } => EXTENDED,
        }
    }

    /// The name that an extension has among those which a server offers.
    fn extension(&self) -> Option<&'static [u8]> {
        Some(match self {
            Request::PosixRename { .. } => b"posix-rename@openssh.com",
            Request::Hardlink { .. } => b"hardlink@openssh.com",
            Request::Fsync { .. } => b"fsync@openssh.com",
            Request::Limits => b"limits@openssh.com",
            Request::Lsetstat { .. } => b"lsetstat@openssh.com",
            Request::Statvfs { .. } => b"statvfs@openssh.com",
            Request::CopyData { .. } => b"copy-data",
            _ => return None,
        })
    }

    fn bulk(&self) -> usize {
        match self {
            Request::Write { data, .. } => data.len(),
            _ => 0,
        }
    }

    /// May take long on the server, however good the connection.
    pub fn is_slow(&self) -> bool {
        matches!(self, Request::Fsync { .. } | Request::CopyData { .. })
    }

    fn body(&self, to: &mut Writer) {
        if let Some(extension) = self.extension() {
            to.string(extension);
        }
        match *self {
            Request::Open { path, how, attrs } => {
                to.string(path).u32(how.flags());
                attrs.write(to);
            }
            Request::Close { handle }
            | Request::Fstat { handle }
            | Request::Readdir { handle }
            | Request::Fsync { handle } => drop(to.string(handle)),
            Request::Read { handle, offset, len } => drop(to.string(handle).u64(offset).u32(len)),
            Request::Write { handle, offset, data } => drop(to.string(handle).u64(offset).string(data)),
            Request::Lstat { path }
            | Request::Stat { path }
            | Request::Opendir { path }
            | Request::Remove { path }
            | Request::Rmdir { path }
            | Request::Realpath { path }
            | Request::Readlink { path }
            | Request::Statvfs { path } => drop(to.string(path)),
            Request::Setstat { path, attrs }
            | Request::Mkdir { path, attrs }
            | Request::Lsetstat { path, attrs } => attrs.write(to.string(path)),
            Request::Fsetstat { handle, attrs } => attrs.write(to.string(handle)),
            Request::Rename { from, to: other }
            | Request::PosixRename { from, to: other }
            | Request::Hardlink { from, to: other } => drop(to.string(from).string(other)),
            Request::Symlink { target, path } => drop(to.string(target).string(path)),
            Request::Limits => {}
            Request::CopyData { from, offset, len, to: other, to_offset } => {
                to.string(from).u64(offset).u64(len).string(other).u64(to_offset);
            }
        }
    }
}

impl Open {
    fn flags(self) -> u32 {
        const READ: u32 = 1;
        const WRITE: u32 = 2;
        const CREATE: u32 = 8;
        const EXCLUSIVE: u32 = 0x20;
        match self {
            Open::Read => READ,
            Open::New => WRITE | CREATE | EXCLUSIVE,
        }
    }
}
