//! What the engine's process and the helper say to one another.
//!
//! Plain values, no I/O. Both ends are the same build of the same binary: nothing here is kept on
//! disk and nothing has to be understood by an older version.

use std::time::Duration;

use holdfast_engine::model::{LocPath, Meta, Name, Time, Version, Xattrs};
use holdfast_engine::remote::{Capabilities, Hint, NewMeta, RemoteError, SetMeta};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::options::Pretend;

/// The most that one frame carries of a file.
pub const PIECE_BYTES: usize = 1 << 20;

/// From the engine. The bytes of a file travel as the frame's payload.
#[derive(Serialize, Deserialize, Debug)]
pub enum Ask {
    Connect(Box<Hello>),
    List {
        folder: LocPath,
    },
    Stat {
        path: LocPath,
    },
    Read {
        path: LocPath,
        version: Version,
        offset: u64,
        len: u64,
    },
    /// A whole small upload.
    Put(Box<Upload>),
    /// A large upload; the id of this frame names it from then on.
    Begin(Box<Upload>),
    Write {
        upload: u64,
        offset: u64,
    },
    Finish {
        upload: u64,
    },
    Abandon {
        upload: u64,
    },
    CreateFolder {
        path: LocPath,
        meta: WireMeta,
    },
    CreateSymlink {
        path: LocPath,
        target: Vec<u8>,
    },
    CreateLink {
        existing: LocPath,
        version: Version,
        path: LocPath,
    },
    RemoveFile {
        path: LocPath,
        version: Version,
    },
    RemoveFolder {
        path: LocPath,
    },
    Rename {
        from: LocPath,
        version: Option<Version>,
        to: LocPath,
    },
    SetMeta {
        path: LocPath,
        version: Option<Version>,
        set: WireSet,
    },
    Leftovers {
        folder: LocPath,
    },
    Watch {
        folder: LocPath,
    },
    Unwatch {
        watch: u64,
    },
}

#[derive(Serialize, Deserialize, Debug)]
pub struct Hello {
    pub root: Vec<u8>,
    pub owner: String,
    /// Where the lock lies that a successor waits for.
    pub lock_dir: Vec<u8>,
    /// An eighth of the deadline.
    pub tick: Duration,
    pub known: Option<Identity>,
    pub expected: Option<String>,
    pub pretend: Pretend,
}

#[derive(Serialize, Deserialize, Debug)]
pub struct Upload {
    pub path: LocPath,
    /// The version to replace; `None` for a new file.
    pub replaces: Option<Version>,
    pub size: u64,
    pub meta: WireMeta,
    /// Start from a copy of what is replaced; only changed ranges follow.
    pub from_old: bool,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct WireMeta {
    pub mode: u32,
    pub mtime: Time,
    pub xattrs: Option<Xattrs>,
}

impl From<&NewMeta> for WireMeta {
    fn from(meta: &NewMeta) -> WireMeta {
        WireMeta { mode: meta.mode, mtime: meta.mtime, xattrs: meta.xattrs.clone() }
    }
}

#[derive(Serialize, Deserialize, Debug)]
pub struct WireSet {
    pub mode: Option<u32>,
    pub mtime: Option<Time>,
    pub xattrs: Option<Xattrs>,
}

impl From<&SetMeta> for WireSet {
    fn from(set: &SetMeta) -> WireSet {
        WireSet { mode: set.mode, mtime: set.mtime, xattrs: set.xattrs.clone() }
    }
}

/// From the helper. Every request ends with exactly one answer that is not `Part`, `Entries` or
/// `Hints`.
#[derive(Serialize, Deserialize, Debug)]
pub enum Answer {
    Connected(Box<Connected>),
    Meta(Box<Meta>),
    /// More of a read follows; the payload is a piece of it.
    Part,
    Entries {
        entries: Vec<(Name, Meta)>,
        refused: Vec<(Vec<u8>, String)>,
    },
    /// Whether hints will come; they follow under the same id.
    Watching(bool),
    Hints(Vec<WireHint>),
    Done,
    Failed(Failure),
    /// Under id 0, while anything is under way: the helper lives. `stuck` where one call has made
    /// no progress for the whole deadline.
    Beat {
        stuck: bool,
    },
}

#[derive(Serialize, Deserialize, Debug)]
pub struct Connected {
    pub capabilities: WireCapabilities,
    pub identity: Identity,
}

/// [`Capabilities`], which has no form of its own to travel in.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct WireCapabilities {
    pub exchange: bool,
    pub atomic_replace: bool,
    pub file_ids: bool,
    pub symlinks: bool,
    pub hard_links: bool,
    pub modes: bool,
    pub xattrs: bool,
    pub set_times: bool,
    pub time_step: Duration,
    pub ranged_write: bool,
    pub case_sensitive: bool,
    pub watches: bool,
    pub confidence: holdfast_engine::model::Confidence,
    pub caveat: String,
}

impl From<WireCapabilities> for Capabilities {
    fn from(c: WireCapabilities) -> Capabilities {
        Capabilities {
            exchange: c.exchange,
            atomic_replace: c.atomic_replace,
            file_ids: c.file_ids,
            symlinks: c.symlinks,
            hard_links: c.hard_links,
            modes: c.modes,
            xattrs: c.xattrs,
            set_times: c.set_times,
            time_step: c.time_step,
            ranged_write: c.ranged_write,
            case_sensitive: c.case_sensitive,
            watches: c.watches,
            confidence: c.confidence,
            caveat: c.caveat,
        }
    }
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum WireHint {
    Folder(LocPath),
    Everything,
}

impl From<WireHint> for Hint {
    fn from(hint: WireHint) -> Hint {
        match hint {
            WireHint::Folder(path) => Hint::Folder(path),
            WireHint::Everything => Hint::Everything,
        }
    }
}

/// [`RemoteError`] as it travels.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub enum Failure {
    Changed(Option<Box<Meta>>),
    Displaced { kept: Name, now: Box<Meta> },
    NotFound,
    NotEmpty,
    Forbidden(String),
    NoSpace(String),
    BadName(String),
    Io(String),
    Gone(String),
    Unsupported(Lacking),
}

/// What a file system does not have.
#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
pub enum Lacking {
    Call,
    Symlinks,
    HardLinks,
}

impl From<Failure> for RemoteError {
    fn from(failure: Failure) -> RemoteError {
        match failure {
            Failure::Changed(now) => RemoteError::Changed { now },
            Failure::Displaced { kept, now } => RemoteError::Displaced { kept, now },
            Failure::NotFound => RemoteError::NotFound,
            Failure::NotEmpty => RemoteError::NotEmpty,
            Failure::Forbidden(text) => RemoteError::Forbidden(text),
            Failure::NoSpace(text) => RemoteError::NoSpace(text),
            Failure::BadName(text) => RemoteError::BadName(text),
            Failure::Io(text) => RemoteError::Io(text),
            Failure::Gone(text) => RemoteError::gone(text),
            Failure::Unsupported(Lacking::Call) => {
                RemoteError::Unsupported("its file system does not know this call")
            }
            Failure::Unsupported(Lacking::Symlinks) => {
                RemoteError::Unsupported("its file system has no symbolic links")
            }
            Failure::Unsupported(Lacking::HardLinks) => {
                RemoteError::Unsupported("its file system has no hard links")
            }
        }
    }
}
