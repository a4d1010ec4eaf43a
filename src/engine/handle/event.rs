//! What the engine tells of its own accord.

use serde::{Deserialize, Serialize};

use crate::model::{ChangeReport, ConflictReport, LocationStatus, PinReport, ProblemReport};

/// Each carries the whole new value, so a client that lost one loses nothing by reading the next.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Event {
    Location(LocationStatus),
    LocationRemoved(String),
    Pin(PinReport),
    Unpinned(crate::model::Target),
    Change(ChangeReport),
    ChangeDone(u64),
    Conflict(ConflictReport),
    ConflictClosed(crate::model::ConflictId),
    Problem(ProblemReport),
    ProblemClosed(crate::model::ProblemId),
    /// Events were lost because the subscriber fell behind: read everything again.
    Lost,
}

/// An event and the revision of the engine's state after it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Revised {
    pub revision: u64,
    pub event: Event,
}
