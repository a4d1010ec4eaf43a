//! Newtypes for the numbers by which things are known. None is ever used again.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A location: a folder on a file server.
    LocationId
);
id!(
    /// What exists on the server and in `base` and is tracked through time; one name in one folder.
    ItemId
);
id!(
    /// A local inode, as the kernel sees it.
    NodeId
);
id!(
    /// One version of a file's bytes in the store.
    ContentId
);
id!(
    /// An open conflict.
    ConflictId
);
id!(
    /// Something that could not be read or done.
    ProblemId
);
id!(
    /// A version that lost and was set aside.
    StashId
);
id!(
    /// A decision or a reconnection that can be taken back.
    HistoryId
);
id!(
    /// An open file or folder of the mount.
    FileHandle
);

/// A request of a program, told apart from all others for as long as its mount lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RequestId {
    /// The connection of the mount to the kernel.
    pub mount: u64,
    pub number: u64,
}

impl NodeId {
    /// The root of the mount, above all locations.
    pub const ROOT: NodeId = NodeId(1);
}
