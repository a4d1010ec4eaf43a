//! The words of the engine as types: ids, names, states, versions.
//!
//! Plain values without I/O; everything else in the crate is written in terms of these.

mod ids;
mod name;
mod path;
mod report;
mod state;
mod time;

pub use ids::{
    ConflictId, ContentId, FileHandle, HistoryId, ItemId, LocationId, NodeId, ProblemId, RequestId, StashId,
};
pub use name::{Name, NameError, TEMP_PREFIX};
pub use path::{LocPath, PathError, Target, is_location_name};
pub use report::*;
pub use state::{Confidence, Digest, Kind, Meta, State, Version, Xattrs, no_xattrs};
pub use time::Time;
