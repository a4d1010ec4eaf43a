//! What the engine tells its clients, and what they ask of it: the words of `CONTRACT`, as types.
//!
//! Paths are bytes here; the command line and the bus turn them into what they print.

use serde::{Deserialize, Serialize};

use super::{Confidence, ConflictId, ContentId, Digest, HistoryId, Kind, ProblemId, StashId, Target, Time};

/// Whether a location's server can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Link {
    Online,
    Slow,
    Offline(OfflineReason),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OfflineReason {
    ByHand,
    NoNetwork,
    ServerGone,
    SignInNeeded,
    Error,
}

impl Link {
    /// `online`, `slow`, `offline`.
    pub fn word(self) -> &'static str {
        match self {
            Link::Online => "online",
            Link::Slow => "slow",
            Link::Offline(_) => "offline",
        }
    }

    /// Empty where online.
    pub fn reason(self) -> &'static str {
        match self {
            Link::Online | Link::Slow => "",
            Link::Offline(OfflineReason::ByHand) => "by-hand",
            Link::Offline(OfflineReason::NoNetwork) => "no-network",
            Link::Offline(OfflineReason::ServerGone) => "server-gone",
            Link::Offline(OfflineReason::SignInNeeded) => "sign-in-needed",
            Link::Offline(OfflineReason::Error) => "error",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// Where the mount is; empty where there is none.
    pub mount: Vec<u8>,
    pub locations: Vec<LocationStatus>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LocationStatus {
    pub name: String,
    /// Without its secret.
    pub url: String,
    pub link: Link,
    /// Plain sentence of the last failure, where there is one.
    pub detail: String,
    pub confidence: Confidence,
    pub pins: u64,
    /// Pinned files and their bytes, and how many of these bytes are here.
    pub files: u64,
    pub bytes: u64,
    pub present_bytes: u64,
    pub changes: u64,
    pub conflicts: u64,
    pub problems: u64,
    pub fetching: bool,
    pub last_sync: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PinState {
    Fetching,
    Present,
    Waiting,
    OverLimit,
}

impl PinState {
    pub fn word(self) -> &'static str {
        match self {
            PinState::Fetching => "fetching",
            PinState::Present => "present",
            PinState::Waiting => "waiting",
            PinState::OverLimit => "over-limit",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PinReport {
    pub path: Target,
    pub files: u64,
    pub bytes: u64,
    pub present_files: u64,
    pub present_bytes: u64,
    /// Of the fetch under way; 0 where there is none.
    pub bytes_per_second: u64,
    pub state: PinState,
}

/// What a record does on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Op {
    Create,
    Write,
    Remove,
    Move,
    Mkdir,
    Rmdir,
    Symlink,
    Link,
    Attributes,
}

impl Op {
    pub fn word(self) -> &'static str {
        match self {
            Op::Create => "create",
            Op::Write => "write",
            Op::Remove => "remove",
            Op::Move => "move",
            Op::Mkdir => "mkdir",
            Op::Rmdir => "rmdir",
            Op::Symlink => "symlink",
            Op::Link => "link",
            Op::Attributes => "attributes",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RecordState {
    Waiting,
    Sending,
    Conflict,
    Problem,
}

impl RecordState {
    pub fn word(self) -> &'static str {
        match self {
            RecordState::Waiting => "waiting",
            RecordState::Sending => "sending",
            RecordState::Conflict => "conflict",
            RecordState::Problem => "problem",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChangeReport {
    pub id: u64,
    pub path: Target,
    pub op: Op,
    /// Of a move.
    pub from: Option<Target>,
    pub at: Time,
    pub bytes: u64,
    pub state: RecordState,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Needs {
    Retry,
    Confirm,
    SignIn,
    Space,
    Name,
    Unfinished,
}

impl Needs {
    pub fn word(self) -> &'static str {
        match self {
            Needs::Retry => "retry",
            Needs::Confirm => "confirm",
            Needs::SignIn => "sign-in",
            Needs::Space => "space",
            Needs::Name => "name",
            Needs::Unfinished => "unfinished",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProblemReport {
    pub id: ProblemId,
    pub path: Target,
    pub message: String,
    pub needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ConflictKind {
    EditEdit,
    /// Edited here, deleted on the server.
    EditDelete,
    /// Deleted here, edited on the server.
    DeleteEdit,
    CreateCreate,
    MoveMove,
    MoveDelete,
    DeleteMove,
    Type,
    Cycle,
    Name,
    Metadata,
}

impl ConflictKind {
    pub const ALL: [ConflictKind; 11] = [
        ConflictKind::EditEdit,
        ConflictKind::EditDelete,
        ConflictKind::DeleteEdit,
        ConflictKind::CreateCreate,
        ConflictKind::MoveMove,
        ConflictKind::MoveDelete,
        ConflictKind::DeleteMove,
        ConflictKind::Type,
        ConflictKind::Cycle,
        ConflictKind::Name,
        ConflictKind::Metadata,
    ];

    pub fn word(self) -> &'static str {
        match self {
            ConflictKind::EditEdit => "edit/edit",
            ConflictKind::EditDelete => "edit/delete",
            ConflictKind::DeleteEdit => "delete/edit",
            ConflictKind::CreateCreate => "create/create",
            ConflictKind::MoveMove => "move/move",
            ConflictKind::MoveDelete => "move/delete",
            ConflictKind::DeleteMove => "delete/move",
            ConflictKind::Type => "type",
            ConflictKind::Cycle => "cycle",
            ConflictKind::Name => "name",
            ConflictKind::Metadata => "metadata",
        }
    }

    pub fn from_word(word: &str) -> Option<ConflictKind> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }
}

/// Which of the three states.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Side {
    Original,
    Local,
    Server,
}

impl Side {
    pub const ALL: [Side; 3] = [Side::Original, Side::Local, Side::Server];

    pub fn word(self) -> &'static str {
        match self {
            Side::Original => "original",
            Side::Local => "local",
            Side::Server => "server",
        }
    }

    pub fn from_word(word: &str) -> Option<Side> {
        Self::ALL.into_iter().find(|s| s.word() == word)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StateReport {
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub mtime: Time,
    /// Empty for what the server has not seen.
    pub version: String,
    pub confidence: Confidence,
    pub digest: Option<Digest>,
    pub path: Target,
    /// Whether all its bytes are here.
    pub here: bool,
    /// Of a symbolic link.
    pub link_target: Option<Vec<u8>>,
    /// Of a file, for `Handle::open_content`.
    pub content: Option<ContentId>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatesReport {
    pub path: Target,
    pub original: Option<StateReport>,
    pub local: Option<StateReport>,
    pub server: Option<StateReport>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConflictReport {
    pub id: ConflictId,
    pub kind: ConflictKind,
    pub since: Time,
    /// A text merge without open regions exists.
    pub mergeable: bool,
    pub states: StatesReport,
}

/// What is to become of a conflict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Choice {
    KeepLocal,
    KeepServer,
    KeepOriginal,
    KeepNewest,
    KeepBoth,
    StashLocal,
    StashServer,
    StashBoth,
    /// Text merge; refused where regions conflict.
    Merge,
    /// A content of one's own, handed over before by `Handle::add_content`.
    With(ContentId),
    /// Put off.
    Later,
}

impl Choice {
    /// As the command line spells it.
    pub fn words(&self) -> &'static str {
        match self {
            Choice::KeepLocal => "keep local",
            Choice::KeepServer => "keep server",
            Choice::KeepOriginal => "keep original",
            Choice::KeepNewest => "keep newest",
            Choice::KeepBoth => "keep both",
            Choice::StashLocal => "stash local",
            Choice::StashServer => "stash server",
            Choice::StashBoth => "stash both",
            Choice::Merge => "merge",
            Choice::With(_) => "with",
            Choice::Later => "later",
        }
    }
}

/// Which conflicts a decision is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Selection {
    /// Each one by its path.
    Paths(Vec<Target>),
    /// All under a folder that match a glob on the path below it, and are of a kind.
    Under { folder: Target, pattern: Option<Vec<u8>>, kind: Option<ConflictKind> },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResolveReport {
    pub path: Target,
    pub kind: ConflictKind,
    pub choice: String,
    pub done: bool,
    /// Why not, in one sentence.
    pub message: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StashReport {
    pub id: StashId,
    pub path: Target,
    pub side: Side,
    pub size: u64,
    pub digest: Option<Digest>,
    pub at: Time,
    pub why: String,
}

/// What an entry of the history tells of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum HistoryKind {
    /// Conflicts were decided.
    Decision,
    /// A version was put back from the stash.
    Restored,
    /// The link came back: changes were sent and taken.
    Reconnection,
}

impl HistoryKind {
    pub const ALL: [HistoryKind; 3] =
        [HistoryKind::Decision, HistoryKind::Restored, HistoryKind::Reconnection];

    pub fn word(self) -> &'static str {
        match self {
            HistoryKind::Decision => "decision",
            HistoryKind::Restored => "restored",
            HistoryKind::Reconnection => "reconnection",
        }
    }

    pub fn from_word(word: &str) -> Option<HistoryKind> {
        HistoryKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistoryReport {
    pub id: HistoryId,
    pub at: Time,
    /// One sentence.
    pub what: String,
    pub items: u64,
    pub undone: bool,
    pub can_undo: bool,
    pub kind: HistoryKind,
    /// Absent where it concerns several, or one that was removed.
    pub location: Option<String>,
    /// Items that stayed as they were when it was taken back.
    pub left_out: u64,
}

/// One thing that happened to an item, for `why`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WhyReport {
    pub at: Time,
    pub what: String,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CheckReport {
    pub ok: bool,
    /// One sentence each.
    pub findings: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationReport {
    pub name: String,
    pub url: String,
    /// Settings that were changed, as `location set` takes them.
    pub settings: Vec<(String, String)>,
}

/// How `sync --wait` ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SyncOutcome {
    Clean,
    /// Conflicts or problems remain.
    NeedsPerson,
    Offline,
    TimedOut,
}
