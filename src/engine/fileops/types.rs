//! What the operations take and give.

use std::ops::Range;

use crate::model::{ContentId, FileHandle, Kind, NodeId, RequestId, Time};

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    /// With what, where it may come again.
    pub request: Option<RequestId>,
    /// It has come again: the engine that was to answer it is gone.
    pub again: bool,
}

impl Caller {
    pub const fn new(uid: u32, gid: u32, pid: u32) -> Caller {
        Caller { uid, gid, pid, request: None, again: false }
    }
}

/// Attributes of a node, as `stat` shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attr {
    pub node: NodeId,
    pub kind: Kind,
    /// `0o7777`.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub size: u64,
    /// In units of 512 bytes, of what is here.
    pub blocks: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
}

/// A time to set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    Now,
    To(Time),
}

/// Attributes to set; `None` stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetAttr {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenMode {
    pub write: bool,
    pub truncate: bool,
}

/// How `rename` treats what is at the new name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameMode {
    Replace,
    NoReplace,
    Exchange,
}

/// How `setxattr` treats what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XattrMode {
    Any,
    Create,
    Replace,
}

/// One entry of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderEntry {
    pub node: NodeId,
    pub kind: Kind,
    /// `.` and `..` are no `Name`s: bytes.
    pub name: Vec<u8>,
}

/// `fallocate`, as far as it is supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocate {
    Extend,
    KeepSize,
    PunchHole,
    ZeroRange { keep_size: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statfs {
    pub block_bytes: u64,
    pub blocks: u64,
    pub free: u64,
    pub files: u64,
    pub files_free: u64,
}

/// What must be fetched before an operation can go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Need {
    /// The names in a folder.
    Listing(NodeId),
    /// Bytes of a content.
    Bytes { node: NodeId, content: ContentId, range: Range<u64> },
}

/// Why an operation failed. `errno` is the only place where numbers come from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpError {
    #[error("no such file or folder")]
    NotFound,
    #[error("it exists already")]
    Exists,
    #[error("not a folder")]
    NotFolder,
    #[error("it is a folder")]
    IsFolder,
    #[error("the folder is not empty")]
    NotEmpty,
    #[error("the name is too long")]
    NameTooLong,
    #[error("invalid argument")]
    Invalid,
    #[error("not permitted")]
    NotPermitted,
    #[error("access denied")]
    Access,
    #[error("the disk is full")]
    NoSpace,
    #[error("it can only be read")]
    ReadOnly,
    #[error("not an open file")]
    BadHandle,
    #[error("it is gone")]
    Stale,
    #[error("it lies in another location")]
    OtherLocation,
    #[error("too many links")]
    TooManyLinks,
    #[error("no such attribute")]
    NoAttribute,
    #[error("the buffer is too small")]
    Range,
    #[error("not supported")]
    Unsupported,
    #[error("the file would be too large")]
    TooLarge,
    #[error("past the end")]
    PastEnd,
    #[error("its data is not here")]
    NotHere(Need),
    #[error("its data is not here and the location is offline")]
    Unreachable,
    #[error("its data did not come in time")]
    TimedOut,
    #[error("the engine's store cannot be read or written")]
    Io,
}

impl OpError {
    pub fn errno(&self) -> i32 {
        use rustix::io::Errno;
        match self {
            OpError::NotFound => Errno::NOENT,
            OpError::Exists => Errno::EXIST,
            OpError::NotFolder => Errno::NOTDIR,
            OpError::IsFolder => Errno::ISDIR,
            OpError::NotEmpty => Errno::NOTEMPTY,
            OpError::NameTooLong => Errno::NAMETOOLONG,
            OpError::Invalid => Errno::INVAL,
            OpError::NotPermitted => Errno::PERM,
            OpError::Access => Errno::ACCESS,
            OpError::NoSpace => Errno::NOSPC,
            OpError::ReadOnly => Errno::ROFS,
            OpError::BadHandle => Errno::BADF,
            OpError::Stale => Errno::STALE,
            OpError::OtherLocation => Errno::XDEV,
            OpError::TooManyLinks => Errno::MLINK,
            OpError::NoAttribute => Errno::NODATA,
            OpError::Range => Errno::RANGE,
            OpError::Unsupported => Errno::OPNOTSUPP,
            OpError::TooLarge => Errno::FBIG,
            OpError::PastEnd => Errno::NXIO,
            OpError::NotHere(_) | OpError::Unreachable => Errno::NETUNREACH,
            OpError::TimedOut => Errno::TIMEDOUT,
            OpError::Io => Errno::IO,
        }
        .raw_os_error()
    }
}

/// What `open` and `create` give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    pub handle: FileHandle,
    /// The kernel may keep its pages of the node from earlier.
    pub keep_cache: bool,
}
