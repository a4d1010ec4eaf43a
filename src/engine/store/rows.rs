//! What is kept, row by row: the shapes in which trees, log and stash outlive the process.
//!
//! A change of any of these goes into the journal and the database as whole rows ([`Delta`]), so
//! that applying one twice is harmless.

use std::ops::Range;
use std::sync::Arc;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::model::{
    ConflictId, ConflictKind, ContentId, Digest, HistoryId, HistoryKind, ItemId, Kind, LocationId, Name,
    Needs, NodeId, ProblemId, Side, StashId, State, Time, Xattrs,
};

/// A name in a local folder that leads to a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub parent: NodeId,
    pub name: Name,
    pub node: NodeId,
}

/// What the server has, seen from what both sides last agreed on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ServerSide {
    /// As in `base` (absent where there is no base).
    #[default]
    AsBase,
    /// In `base`, and no longer there.
    Gone,
    At(Box<State>),
}

bitflags! {
    /// In which respects the local state differs from `base`: the log, item by item.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct Aspects: u16 {
        /// Here and not in `base`.
        const CREATE = 1;
        /// In `base` and not here.
        const REMOVE = 2;
        /// Another folder or name.
        const PLACE = 4;
        const CONTENT = 8;
        const MODE = 16;
        /// mtime was set by a program, apart from a write.
        const TIMES = 32;
        const XATTRS = 64;
    }
}

/// What waits to be replayed for one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub aspects: Aspects,
    /// When the first and the last of the operations joined here were made.
    pub first_at: Time,
    pub last_at: Time,
}

/// A record handed to the remote whose answer is not known yet. Never changed; kept until the
/// answer, or a look at the server, tells what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// What is being sent.
    pub aspects: Aspects,
    /// The state the server is to have afterwards, `None` for a removal. Its version is the one
    /// the record was based on.
    pub result: Option<Box<State>>,
    /// Digest of the content that is being sent.
    pub digest: Option<Digest>,
    /// The place where the server has it before.
    pub from: Option<(ItemId, Name)>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    pub id: ConflictId,
    pub kind: ConflictKind,
    pub since: Time,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    pub id: ProblemId,
    pub needs: Needs,
    pub message: String,
}

/// One item: an entry here, and what the server and `base` have of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    pub location: LocationId,
    pub entry: Option<Entry>,
    pub base: Option<Box<State>>,
    pub server: ServerSide,
    pub pending: Option<Pending>,
    pub sending: Option<Box<Intent>>,
    pub conflict: Option<Box<Conflict>>,
    pub problem: Option<Box<Problem>>,
    /// Itself pinned (what lies in a pinned folder is not marked).
    pub pinned: bool,
    /// An ignored name or a special file: lives only here.
    pub local_only: bool,
}

impl Item {
    /// Nothing yet: neither here nor agreed on nor on the server.
    pub fn new(id: ItemId, location: LocationId) -> Item {
        Item {
            id,
            location,
            entry: None,
            base: None,
            server: ServerSide::AsBase,
            pending: None,
            sending: None,
            conflict: None,
            problem: None,
            pinned: false,
            local_only: false,
        }
    }
}

/// A local inode. Its number of links is the number of items whose entry leads to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub kind: Kind,
    /// `0o7777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub size: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    /// Of a file.
    pub content: Option<ContentId>,
    /// Of a symbolic link.
    pub link_target: Option<Arc<[u8]>>,
    pub xattrs: Xattrs,
    /// A folder whose entries on the server are known.
    pub listed: bool,
    /// Changed by a program that has not closed it yet. Found set at start-up it means that the
    /// write was cut off.
    pub writing: bool,
    /// What a truncate under way replaces, until the last writer has closed it.
    pub replaced: Option<ContentId>,
}

/// A version of a file's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContentRow {
    pub id: ContentId,
    /// Number of the file in the store that holds its own bytes.
    pub file: u64,
    pub size: u64,
    /// The content under it, where only `changed` ranges are its own.
    pub over: Option<Over>,
    /// Own ranges of a content that lies over another: sorted, apart, in bytes.
    pub changed: Vec<Range<u64>>,
    /// All bytes are here. Where false, the blocks that are here stand in a map beside the file.
    pub whole: bool,
    /// Never written again; digest and checksums are known where `whole`.
    pub sealed: bool,
    pub digest: Option<Digest>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Over {
    pub content: ContentId,
    /// Bytes at and past this offset are zero unless changed, whatever the content under it has.
    pub limit: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Location {
    pub id: LocationId,
    pub name: String,
    pub url: String,
    pub root: ItemId,
    /// Offline by hand.
    pub by_hand: bool,
    /// As `location set` takes them, sorted.
    pub settings: Vec<(String, String)>,
    pub last_sync: Option<Time>,
    /// What the brake stopped: see `sync::brake`.
    pub brake: Option<Problem>,
}

/// A version that lost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stashed {
    pub id: StashId,
    pub location: LocationId,
    /// `NAME:path` as it was, so that it can be read when the location is gone.
    pub target: Vec<u8>,
    pub side: Side,
    pub kind: Kind,
    pub mode: u32,
    pub mtime: Time,
    pub size: u64,
    pub content: Option<ContentId>,
    pub link_target: Option<Arc<[u8]>>,
    pub at: Time,
    pub why: String,
    /// Set aside by a person's wish: limits never drop it.
    pub kept: bool,
}

/// A decision or reconnection. How things were before it is kept apart, item by item ([`Before`]).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct History {
    pub id: HistoryId,
    pub at: Time,
    /// Of a reconnection nothing: its words follow from what it counts, as long as its location is there.
    pub what: String,
    pub undone: bool,
    pub kind: HistoryKind,
    pub location: Option<LocationId>,
    /// How many items it concerns.
    pub items: u64,
    /// Of a reconnection.
    pub counted: Counted,
    /// What was before it was given up, so that it takes no room: it can no longer be taken back.
    pub released: bool,
    /// Items that stayed as they were when it was taken back.
    pub left_out: u64,
}

/// What a reconnection did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// How long the link was down, where that is known.
    pub away_seconds: Option<u64>,
    pub sent: u64,
    pub taken: u64,
    pub conflicts: u64,
}

bitflags! {
    /// What a reconnection did with an item; nothing in a decision.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct Did: u8 {
        const SENT = 1;
        const TAKEN = 2;
    }
}

/// An item as it was before a decision, or what both sides had last agreed on before a reconnection:
/// then the row has only that, as `base`, and is absent where there was nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Before {
    pub item: ItemId,
    pub row: Option<Box<Item>>,
    pub node: Option<Box<Node>>,
    /// The item's row as the decision left it: undo tells by it whether things moved on.
    pub after: Option<Box<Item>>,
    pub did: Did,
}

/// Which of the items of an entry: in a decision the order in which they were changed, in a
/// reconnection the item's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BeforeId {
    pub history: HistoryId,
    pub number: u64,
}

/// One thing that happened to an item; only ever added.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Happened {
    pub seq: u64,
    pub item: ItemId,
    pub at: Time,
    /// `NAME:path` at that time.
    pub target: Vec<u8>,
    pub what: String,
}

/// One row as it is now, or gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Delta {
    Item(ItemId, Option<Box<Item>>),
    Node(NodeId, Option<Box<Node>>),
    Content(ContentId, Option<Box<ContentRow>>),
    Location(LocationId, Option<Box<Location>>),
    Stash(StashId, Option<Box<Stashed>>),
    History(HistoryId, Option<Box<History>>),
    Happened(Box<Happened>),
    /// Numbers are handed out up to here; a start-up goes on from there, so none is used twice.
    NextId(u64),
    Before(BeforeId, Option<Box<Before>>),
}

/// Everything that is kept, as loaded at start-up (`Happened` stays in the database).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    pub items: Vec<Item>,
    pub nodes: Vec<Node>,
    pub contents: Vec<ContentRow>,
    pub locations: Vec<Location>,
    pub stash: Vec<Stashed>,
    pub history: Vec<History>,
    pub befores: Vec<(BeforeId, Before)>,
    pub next_id: u64,
}
