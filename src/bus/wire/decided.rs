//! What was decided, set aside, found.

use holdfast_engine::model::{
    CheckReport, ConflictKind, HistoryId, HistoryKind, HistoryReport, ResolveReport, Side, StashId,
    StashReport, Time, WhyReport,
};

use super::{Strange, Wire, Word, dict, digest, target};

dict! {
    /// A [`ResolveReport`].
    ResolveDict {
        path: Vec<u8>,
        kind: String,
        choice: String,
        done: bool,
        message: String,
    }
}

dict! {
    /// A [`StashReport`].
    StashDict {
        id: u64,
        path: Vec<u8>,
        side: String,
        size: u64,
        at: i64,
        why: String,
    }
    optional {
        digest: Vec<u8>,
    }
}

dict! {
    /// A [`HistoryReport`].
    HistoryDict {
        id: u64,
        at: i64,
        what: String,
        items: u64,
        undone: bool,
        can_undo: bool,
        kind: String,
        left_out: u64,
    }
    optional {
        location: String,
    }
}

dict! {
    /// A [`WhyReport`].
    WhyDict {
        at: i64,
        what: String,
    }
}

dict! {
    /// A [`CheckReport`].
    CheckDict {
        ok: bool,
        findings: Vec<String>,
    }
}

impl Wire for ResolveReport {
    type Dict = ResolveDict;

    fn to_wire(&self) -> ResolveDict {
        ResolveDict {
            path: self.path.to_bytes(),
            kind: self.kind.to_word().to_owned(),
            choice: self.choice.clone(),
            done: self.done,
            message: self.message.clone(),
        }
    }

    fn from_wire(dict: ResolveDict) -> Result<ResolveReport, Strange> {
        Ok(ResolveReport {
            path: target(&dict.path)?,
            kind: <ConflictKind as Word>::from_word(&dict.kind)?,
            choice: dict.choice,
            done: dict.done,
            message: dict.message,
        })
    }
}

impl Wire for StashReport {
    type Dict = StashDict;

    fn to_wire(&self) -> StashDict {
        StashDict {
            id: self.id.0,
            path: self.path.to_bytes(),
            side: self.side.to_word().to_owned(),
            size: self.size,
            at: self.at.0,
            why: self.why.clone(),
            digest: self.digest.map(|digest| digest.0.to_vec()),
        }
    }

    fn from_wire(dict: StashDict) -> Result<StashReport, Strange> {
        Ok(StashReport {
            id: StashId(dict.id),
            path: target(&dict.path)?,
            side: <Side as Word>::from_word(&dict.side)?,
            size: dict.size,
            digest: dict.digest.map(digest).transpose()?,
            at: Time(dict.at),
            why: dict.why,
        })
    }
}

impl Wire for HistoryReport {
    type Dict = HistoryDict;

    fn to_wire(&self) -> HistoryDict {
        HistoryDict {
            id: self.id.0,
            at: self.at.0,
            what: self.what.clone(),
            items: self.items,
            undone: self.undone,
            can_undo: self.can_undo,
            kind: self.kind.to_word().to_owned(),
            location: self.location.clone(),
            left_out: self.left_out,
        }
    }

    fn from_wire(dict: HistoryDict) -> Result<HistoryReport, Strange> {
        Ok(HistoryReport {
            id: HistoryId(dict.id),
            at: Time(dict.at),
            what: dict.what,
            items: dict.items,
            undone: dict.undone,
            can_undo: dict.can_undo,
            // Of an engine that knew no other.
            kind: match &*dict.kind {
                "" => HistoryKind::Decision,
                word => <HistoryKind as Word>::from_word(word)?,
            },
            location: dict.location,
            left_out: dict.left_out,
        })
    }
}

impl Wire for WhyReport {
    type Dict = WhyDict;

    fn to_wire(&self) -> WhyDict {
        WhyDict { at: self.at.0, what: self.what.clone() }
    }

    fn from_wire(dict: WhyDict) -> Result<WhyReport, Strange> {
        Ok(WhyReport { at: Time(dict.at), what: dict.what })
    }
}

impl Wire for CheckReport {
    type Dict = CheckDict;

    fn to_wire(&self) -> CheckDict {
        CheckDict { ok: self.ok, findings: self.findings.clone() }
    }

    fn from_wire(dict: CheckDict) -> Result<CheckReport, Strange> {
        Ok(CheckReport { ok: dict.ok, findings: dict.findings })
    }
}
