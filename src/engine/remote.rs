//! The face every kind of server shows to the engine.
//!
//! A remote is dumb: it lists, reads and changes paths of one location, guarded by versions, and
//! decides nothing. It never follows a server's symbolic link, never hands up a name that is no
//! [`Name`], and hides the temporary names of every owner ([`TEMP_PREFIX`]).
//! One conformance suite (in the crate `remotes`) holds each to what stands here.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Confidence, LocPath, Meta, Name, OfflineReason, Time, Version, Xattrs};

pub use crate::model::TEMP_PREFIX;

/// What a location can do and represent, known once it is connected.
#[derive(Clone, PartialEq, Debug)]
pub struct Capabilities {
    /// Two names are swapped in one step, so what was replaced can be looked at and put back.
    pub exchange: bool,
    /// A file is replaced in one step: its path is never absent.
    pub atomic_replace: bool,
    /// `file_id` is given and follows a file through renames.
    pub file_ids: bool,
    pub symlinks: bool,
    pub hard_links: bool,
    /// Permission bits are kept as they are set.
    pub modes: bool,
    /// `user.` attributes are kept.
    pub xattrs: bool,
    /// Times can be set.
    pub set_times: bool,
    /// Times are kept in steps of this.
    pub time_step: Duration,
    /// Ranges of a file can be changed in place, as new content beside it.
    pub ranged_write: bool,
    /// Names that differ only in case are two.
    pub case_sensitive: bool,
    /// What [`Remote::watch`] tells is complete as far as this client can know.
    pub watches: bool,
    /// How far an unchanged version means an unchanged file.
    pub confidence: Confidence,
    /// In one sentence, what can go unseen here, for the person; empty where nothing can.
    pub caveat: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    pub name: Name,
    pub meta: Meta,
}

/// A folder's entries and what in it cannot be had.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    pub entries: Vec<Listed>,
    /// Names that are there but cannot be kept here (too long, a device, unreadable), each with a
    /// sentence. They are not absent.
    pub refused: Vec<(Vec<u8>, String)>,
}

/// What must be true on the server for a change to be made, looked at as late as possible.
#[derive(Clone, PartialEq, Debug)]
pub enum Guard {
    /// Nothing is at the path.
    Absent,
    /// Exactly this version is at the path.
    Is(Version),
}

/// The bytes of an upload, read by the remote as it needs them. Never changes while it is held.
#[async_trait]
pub trait Source: Send + Sync {
    fn size(&self) -> u64;

    /// Fills `buf` from `offset`; short only at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize>;

    /// Ranges that hold data, where the rest reads as zero; one range for a file without holes.
    fn data_ranges(&self) -> Vec<Range<u64>>;

    /// The only ranges in which it differs from the content of the version that it replaces,
    /// where that is known: with `ranged_write` only these travel.
    fn changed_ranges(&self) -> Option<Vec<Range<u64>>>;

    /// Awaited by the remote before it reads and sends so many bytes: others may go first, and a limit
    /// may make it wait, for however long. Meanwhile no request is late.
    async fn turn(&self, _bytes: u64) {}

    /// The most bytes to ask a turn for.
    fn piece_bytes(&self) -> u64 {
        u64::MAX
    }
}

/// What an upload is to look like. What the location cannot represent is left out.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMeta {
    pub mode: u32,
    pub mtime: Time,
    pub xattrs: Option<Xattrs>,
}

/// Attributes to change; `None` stays.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SetMeta {
    pub mode: Option<u32>,
    pub mtime: Option<Time>,
    pub xattrs: Option<Xattrs>,
}

/// Why a remote did not do as it was told. The text of each is one plain sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoteError {
    /// The guard did not hold; nothing was changed. `now` is what is there, as far as it was seen.
    #[error("it has changed on the server")]
    Changed { now: Option<Box<Meta>> },
    /// As `Changed`, found only after the swap, and the swap could not be taken back: the server's
    /// newer content now lies at `kept` (a temporary name of ours beside the path).
    #[error("it changed on the server at the very moment it was replaced")]
    Displaced { kept: Name, now: Box<Meta> },
    #[error("it is not there")]
    NotFound,
    /// A folder that is to go holds something.
    #[error("the folder is not empty")]
    NotEmpty,
    #[error("the server refuses: {0}")]
    Forbidden(String),
    #[error("the server is full: {0}")]
    NoSpace(String),
    /// The name cannot exist there.
    #[error("the server cannot hold this name: {0}")]
    BadName(String),
    /// Reading or writing this one thing failed; others may go.
    #[error("the server reports an error: {0}")]
    Io(String),
    /// No connection. Whether what was under way has been done is not known.
    #[error("{message}")]
    Gone { reason: OfflineReason, message: String },
    #[error("this server cannot do that: {0}")]
    Unsupported(&'static str),
}

impl RemoteError {
    pub fn gone(message: impl Into<String>) -> RemoteError {
        RemoteError::Gone { reason: OfflineReason::ServerGone, message: message.into() }
    }
}

/// Something may have changed on the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// In this folder, not below.
    Folder(LocPath),
    /// Anywhere: hints were lost.
    Everything,
}

/// One location's server. All paths are relative to the location's root.
///
/// Calls may run at once, by the hundred. Each ends: with an answer, or `Gone` within the remote's
/// own deadlines. Dropping the future of a call gives it up; what it was to do may still happen.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Makes or renews the connection, finds the capabilities, makes sure the root is the one it
    /// was (same file system, a folder, not an unmounted mount point).
    async fn connect(&self) -> Result<Capabilities, RemoteError>;

    /// Everything in a folder, without the temporary names of any owner.
    async fn list(&self, folder: &LocPath) -> Result<Listing, RemoteError>;

    /// What is at a path; the link itself, not where it leads.
    async fn stat(&self, path: &LocPath) -> Result<Meta, RemoteError>;

    /// Bytes of exactly that version: `Changed` where it is another one by the end of the read.
    /// Short only at the end of the file. At most 8 MiB are asked for.
    async fn read(
        &self,
        path: &LocPath,
        version: &Version,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, RemoteError>;

    /// A new file, complete or not at all. The guard is `Absent`.
    async fn create_file(
        &self,
        path: &LocPath,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError>;

    /// New content for an existing file, complete or not at all, if it is still `version`.
    async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError>;

    async fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Result<Meta, RemoteError>;

    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Result<Meta, RemoteError>;

    /// A second name for the file at `existing`, if it is still `version`.
    async fn create_link(
        &self,
        existing: &LocPath,
        version: &Version,
        path: &LocPath,
    ) -> Result<Meta, RemoteError>;

    /// Removes a file or link, if it is still `version`.
    async fn remove_file(&self, path: &LocPath, version: &Version) -> Result<(), RemoteError>;

    /// Removes an empty folder. Leftover temporary names of ours in it go with it.
    async fn remove_folder(&self, path: &LocPath) -> Result<(), RemoteError>;

    /// Gives what is at `from` the name `to`, where nothing is. `version` guards files and links;
    /// for folders it is `None`.
    async fn rename(
        &self,
        from: &LocPath,
        version: Option<&Version>,
        to: &LocPath,
    ) -> Result<Meta, RemoteError>;

    /// Changes attributes, if it is still `version` (`None` for folders).
    async fn set_meta(
        &self,
        path: &LocPath,
        version: Option<&Version>,
        set: &SetMeta,
    ) -> Result<Meta, RemoteError>;

    /// Our own temporary names in a folder: left by a crash, or kept by `Displaced`.
    async fn leftovers(&self, folder: &LocPath) -> Result<Vec<Listed>, RemoteError>;

    /// Hints from now on, below the folder; `None` where the location gives none.
    async fn watch(&self, folder: &LocPath) -> Option<async_channel::Receiver<Hint>>;

    /// Finds out whether the connection still leads to the server: `Ok` where anything at all was
    /// heard from it, else `Gone` after about this time, or the remote's own deadline where it cannot
    /// tell sooner; the connection has then ended.
    async fn probe(&self, within: Duration) -> Result<(), RemoteError>;

    /// Returns why, when the connection that there is has ended by itself; never where that cannot be
    /// known without a call.
    async fn lost(&self) -> RemoteError {
        std::future::pending().await
    }

    /// Waits until nothing is under way and lets the connection go.
    async fn disconnect(&self);
}

/// Makes remotes from URLs; handed to the engine by the host.
pub trait Connector: Send + Sync {
    /// Checks that the URL makes sense, without reaching for the server. The text is for the person.
    fn check(&self, url: &str) -> Result<(), String>;

    /// The URL without its secret.
    fn public_url(&self, url: &str) -> String;

    /// The folder of this computer that the URL names, where it names one: two locations must not
    /// lie in one another. Symbolic links in it are resolved as far as that does not hang.
    fn local_folder(&self, url: &str) -> Option<std::path::PathBuf>;

    /// `owner` goes into temporary names.
    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String>;
}
