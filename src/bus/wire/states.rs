//! The three states of an item, and conflicts.

use holdfast_engine::model::{
    Confidence, ConflictId, ConflictKind, ConflictReport, ContentId, Kind, StateReport, StatesReport, Time,
};

use super::{Strange, Wire, Word, dict, digest, target};

dict! {
    /// A [`StateReport`].
    StateDict {
        #[serde(rename = "type")]
        kind: String,
        size: u64,
        mode: u32,
        mtime: i64,
        version: String,
        confidence: String,
        path: Vec<u8>,
        here: bool,
    }
    optional {
        digest: Vec<u8>,
        link_target: Vec<u8>,
        content: u64,
        special: u32,
    }
}

dict! {
    /// A [`StatesReport`].
    StatesDict {
        path: Vec<u8>,
    }
    optional {
        original: StateDict,
        local: StateDict,
        server: StateDict,
    }
}

dict! {
    /// A [`ConflictReport`].
    ConflictDict {
        id: u64,
        path: Vec<u8>,
        kind: String,
        since: i64,
        mergeable: bool,
    }
    optional {
        original: StateDict,
        local: StateDict,
        server: StateDict,
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Symlink => "symlink",
        Kind::Special(_) => "special",
    }
}

fn kind(word: &str, special: Option<u32>) -> Result<Kind, Strange> {
    match word {
        "file" => Ok(Kind::File),
        "folder" => Ok(Kind::Folder),
        "symlink" => Ok(Kind::Symlink),
        "special" => Ok(Kind::Special(special.unwrap_or(0))),
        _ => Err(Strange(format!("the type {word:?}"))),
    }
}

impl Wire for StateReport {
    type Dict = StateDict;

    fn to_wire(&self) -> StateDict {
        StateDict {
            kind: kind_word(self.kind).to_owned(),
            size: self.size,
            mode: self.mode,
            mtime: self.mtime.0,
            version: self.version.clone(),
            confidence: self.confidence.to_word().to_owned(),
            path: self.path.to_bytes(),
            here: self.here,
            digest: self.digest.map(|digest| digest.0.to_vec()),
            link_target: self.link_target.clone(),
            content: self.content.map(|content| content.0),
            special: match self.kind {
                Kind::Special(bits) => Some(bits),
                _ => None,
            },
        }
    }

    fn from_wire(dict: StateDict) -> Result<StateReport, Strange> {
        Ok(StateReport {
            kind: kind(&dict.kind, dict.special)?,
            size: dict.size,
            mode: dict.mode,
            mtime: Time(dict.mtime),
            version: dict.version,
            confidence: Confidence::from_word(&dict.confidence)?,
            digest: dict.digest.map(digest).transpose()?,
            path: target(&dict.path)?,
            here: dict.here,
            link_target: dict.link_target,
            content: dict.content.map(ContentId),
        })
    }
}

fn optional(state: &Option<StateReport>) -> Option<StateDict> {
    state.as_ref().map(Wire::to_wire)
}

fn states(path: &[u8], [original, local, server]: [Option<StateDict>; 3]) -> Result<StatesReport, Strange> {
    let state = |dict: Option<StateDict>| dict.map(StateReport::from_wire).transpose();
    Ok(StatesReport {
        path: target(path)?,
        original: state(original)?,
        local: state(local)?,
        server: state(server)?,
    })
}

impl Wire for StatesReport {
    type Dict = StatesDict;

    fn to_wire(&self) -> StatesDict {
        StatesDict {
            path: self.path.to_bytes(),
            original: optional(&self.original),
            local: optional(&self.local),
            server: optional(&self.server),
        }
    }

    fn from_wire(dict: StatesDict) -> Result<StatesReport, Strange> {
        states(&dict.path, [dict.original, dict.local, dict.server])
    }
}

impl Wire for ConflictReport {
    type Dict = ConflictDict;

    fn to_wire(&self) -> ConflictDict {
        ConflictDict {
            id: self.id.0,
            path: self.states.path.to_bytes(),
            kind: self.kind.to_word().to_owned(),
            since: self.since.0,
            mergeable: self.mergeable,
            original: optional(&self.states.original),
            local: optional(&self.states.local),
            server: optional(&self.states.server),
        }
    }

    fn from_wire(dict: ConflictDict) -> Result<ConflictReport, Strange> {
        Ok(ConflictReport {
            id: ConflictId(dict.id),
            kind: <ConflictKind as Word>::from_word(&dict.kind)?,
            since: Time(dict.since),
            mergeable: dict.mergeable,
            states: states(&dict.path, [dict.original, dict.local, dict.server])?,
        })
    }
}
