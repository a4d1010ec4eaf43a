//! The engine and its locations.

use holdfast_engine::model::{Confidence, Link, LocationReport, LocationStatus, OfflineReason, Status, Time};

use super::{Strange, Wire, Word, dict, from_wire, to_wire};

dict! {
    /// A [`Status`].
    StatusDict {
        version: String,
        mount: Vec<u8>,
        locations: Vec<LocationDict>,
    }
}

dict! {
    /// A [`LocationStatus`].
    LocationDict {
        name: String,
        url: String,
        link: String,
        reason: String,
        detail: String,
        confidence: String,
        pins: u64,
        files: u64,
        bytes: u64,
        present_bytes: u64,
        changes: u64,
        conflicts: u64,
        problems: u64,
        fetching: bool,
    }
    optional {
        last_sync: i64,
    }
}

dict! {
    /// A [`LocationReport`].
    LinkDict {
        name: String,
        url: String,
        settings: Vec<(String, String)>,
    }
}

impl Wire for Status {
    type Dict = StatusDict;

    fn to_wire(&self) -> StatusDict {
        StatusDict {
            version: self.version.clone(),
            mount: self.mount.clone(),
            locations: to_wire(&self.locations),
        }
    }

    fn from_wire(dict: StatusDict) -> Result<Status, Strange> {
        Ok(Status { version: dict.version, mount: dict.mount, locations: from_wire(dict.locations)? })
    }
}

fn link(word: &str, reason: &str) -> Result<Link, Strange> {
    match word {
        "online" => Ok(Link::Online),
        "slow" => Ok(Link::Slow),
        "offline" => OfflineReason::from_word(reason).map(Link::Offline),
        _ => Err(Strange(format!("the link state {word:?}"))),
    }
}

impl Wire for LocationStatus {
    type Dict = LocationDict;

    fn to_wire(&self) -> LocationDict {
        LocationDict {
            name: self.name.clone(),
            url: self.url.clone(),
            link: self.link.word().to_owned(),
            reason: self.link.reason().to_owned(),
            detail: self.detail.clone(),
            confidence: self.confidence.to_word().to_owned(),
            pins: self.pins,
            files: self.files,
            bytes: self.bytes,
            present_bytes: self.present_bytes,
            changes: self.changes,
            conflicts: self.conflicts,
            problems: self.problems,
            fetching: self.fetching,
            last_sync: self.last_sync.map(|time| time.0),
        }
    }

    fn from_wire(dict: LocationDict) -> Result<LocationStatus, Strange> {
        Ok(LocationStatus {
            link: link(&dict.link, &dict.reason)?,
            confidence: Confidence::from_word(&dict.confidence)?,
            name: dict.name,
            url: dict.url,
            detail: dict.detail,
            pins: dict.pins,
            files: dict.files,
            bytes: dict.bytes,
            present_bytes: dict.present_bytes,
            changes: dict.changes,
            conflicts: dict.conflicts,
            problems: dict.problems,
            fetching: dict.fetching,
            last_sync: dict.last_sync.map(Time),
        })
    }
}

impl Wire for LocationReport {
    type Dict = LinkDict;

    fn to_wire(&self) -> LinkDict {
        LinkDict { name: self.name.clone(), url: self.url.clone(), settings: self.settings.clone() }
    }

    fn from_wire(dict: LinkDict) -> Result<LocationReport, Strange> {
        Ok(LocationReport { name: dict.name, url: dict.url, settings: dict.settings })
    }
}
