//! Why a content could not be read or changed.

use std::io;
use std::ops::Range;

use crate::model::ContentId;

#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Bytes of a server's version that have to be fetched first. The content is the one that lacks
    /// them, which can be the one under the one that was asked; the range is cut to its blocks.
    #[error("bytes {} to {} of content {content} are not here", .range.start, .range.end)]
    NotHere { content: ContentId, range: Range<u64> },
    /// What is on the disk is not what was written there.
    #[error("content {content} is damaged on this computer, at byte {offset}")]
    Corrupt { content: ContentId, offset: u64 },
    /// The bytes fetched are not those that this version had when it was here before.
    #[error("the bytes of content {content} are no longer the same on the server")]
    Differs { content: ContentId },
    #[error("content {content} is never written again")]
    Sealed { content: ContentId },
    /// Bytes to fill that do not begin with a block, or that lie past the end of the version.
    #[error("bytes {} to {} do not fit content {content}", .range.start, .range.end)]
    Misfit { content: ContentId, range: Range<u64> },
    #[error("the disk of the store is full")]
    Full,
    #[error("the store cannot be read or written: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ContentError {
    fn from(error: io::Error) -> ContentError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ContentError::Full,
            _ => ContentError::Io(error),
        }
    }
}

impl From<ContentError> for io::Error {
    fn from(error: ContentError) -> io::Error {
        match error {
            ContentError::Io(error) => error,
            ContentError::Full => io::ErrorKind::StorageFull.into(),
            other => io::Error::other(other),
        }
    }
}
