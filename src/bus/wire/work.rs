//! What is pinned, what waits, what could not be done.

use holdfast_engine::model::{ChangeReport, Needs, Op, PinReport, PinState, ProblemId, ProblemReport};
use holdfast_engine::model::{RecordState, Time};

use super::{Strange, Wire, Word, dict, target};

dict! {
    /// A [`PinReport`].
    PinDict {
        path: Vec<u8>,
        files: u64,
        bytes: u64,
        present_files: u64,
        present_bytes: u64,
        bytes_per_second: u64,
        state: String,
    }
}

dict! {
    /// A [`ChangeReport`].
    ChangeDict {
        id: u64,
        path: Vec<u8>,
        op: String,
        at: i64,
        bytes: u64,
        state: String,
        message: String,
    }
    optional {
        from: Vec<u8>,
    }
}

dict! {
    /// A [`ProblemReport`].
    ProblemDict {
        id: u64,
        path: Vec<u8>,
        message: String,
        needs: String,
    }
}

impl Wire for PinReport {
    type Dict = PinDict;

    fn to_wire(&self) -> PinDict {
        PinDict {
            path: self.path.to_bytes(),
            files: self.files,
            bytes: self.bytes,
            present_files: self.present_files,
            present_bytes: self.present_bytes,
            bytes_per_second: self.bytes_per_second,
            state: self.state.to_word().to_owned(),
        }
    }

    fn from_wire(dict: PinDict) -> Result<PinReport, Strange> {
        Ok(PinReport {
            path: target(&dict.path)?,
            files: dict.files,
            bytes: dict.bytes,
            present_files: dict.present_files,
            present_bytes: dict.present_bytes,
            bytes_per_second: dict.bytes_per_second,
            state: PinState::from_word(&dict.state)?,
        })
    }
}

impl Wire for ChangeReport {
    type Dict = ChangeDict;

    fn to_wire(&self) -> ChangeDict {
        ChangeDict {
            id: self.id,
            path: self.path.to_bytes(),
            op: self.op.to_word().to_owned(),
            at: self.at.0,
            bytes: self.bytes,
            state: self.state.to_word().to_owned(),
            message: self.message.clone(),
            from: self.from.as_ref().map(|from| from.to_bytes()),
        }
    }

    fn from_wire(dict: ChangeDict) -> Result<ChangeReport, Strange> {
        Ok(ChangeReport {
            id: dict.id,
            path: target(&dict.path)?,
            op: Op::from_word(&dict.op)?,
            from: dict.from.as_deref().map(target).transpose()?,
            at: Time(dict.at),
            bytes: dict.bytes,
            state: RecordState::from_word(&dict.state)?,
            message: dict.message,
        })
    }
}

impl Wire for ProblemReport {
    type Dict = ProblemDict;

    fn to_wire(&self) -> ProblemDict {
        ProblemDict {
            id: self.id.0,
            path: self.path.to_bytes(),
            message: self.message.clone(),
            needs: self.needs.to_word().to_owned(),
        }
    }

    fn from_wire(dict: ProblemDict) -> Result<ProblemReport, Strange> {
        Ok(ProblemReport {
            id: ProblemId(dict.id),
            path: target(&dict.path)?,
            message: dict.message,
            needs: Needs::from_word(&dict.needs)?,
        })
    }
}
