//! How failures of the store look to a program.

use std::io::ErrorKind;

use crate::store::content::ContentError;
use crate::store::persist::StoreError;

use super::OpError;

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> OpError {
        match error {
            StoreError::Full => OpError::NoSpace,
            StoreError::Io(error) => from_io(&error),
            error => {
                tracing::error!(%error, "an operation failed");
                OpError::Io
            }
        }
    }
}

/// `NotHere` is told apart by the callers, who know the node.
pub(super) fn from_content(error: ContentError) -> OpError {
    match error {
        ContentError::Full => OpError::NoSpace,
        ContentError::Io(error) => from_io(&error),
        error => {
            tracing::error!(%error, "a content cannot be used");
            OpError::Io
        }
    }
}

pub(super) fn from_io(error: &std::io::Error) -> OpError {
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return OpError::NoSpace;
    }
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::FBIG) => OpError::TooLarge,
        Some(rustix::io::Errno::NXIO) => OpError::PastEnd,
        Some(rustix::io::Errno::INVAL) => OpError::Invalid,
        Some(rustix::io::Errno::OPNOTSUPP) => OpError::Unsupported,
        _ => {
            tracing::error!(%error, "the store's disk reports an error");
            OpError::Io
        }
    }
}
