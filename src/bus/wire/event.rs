//! Events as signals: the member names the event, the arguments are a revision and the new value.

use holdfast_engine::handle::Event;
use holdfast_engine::model::{ConflictId, ProblemId};
use zbus::message::Body;

use super::{ChangeDict, ConflictDict, LocationDict, PinDict, ProblemDict, Strange, Wire, target};

/// What a signal is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    Location,
    LocationRemoved,
    Pin,
    Unpinned,
    Change,
    ChangeDone,
    Conflict,
    ConflictClosed,
    Problem,
    ProblemClosed,
    Lost,
}

impl Signal {
    pub const ALL: [Signal; 11] = [
        Signal::Location,
        Signal::LocationRemoved,
        Signal::Pin,
        Signal::Unpinned,
        Signal::Change,
        Signal::ChangeDone,
        Signal::Conflict,
        Signal::ConflictClosed,
        Signal::Problem,
        Signal::ProblemClosed,
        Signal::Lost,
    ];

    pub fn member(self) -> &'static str {
        match self {
            Signal::Location => "Location",
            Signal::LocationRemoved => "LocationRemoved",
            Signal::Pin => "Pin",
            Signal::Unpinned => "Unpinned",
            Signal::Change => "Change",
            Signal::ChangeDone => "ChangeDone",
            Signal::Conflict => "Conflict",
            Signal::ConflictClosed => "ConflictClosed",
            Signal::Problem => "Problem",
            Signal::ProblemClosed => "ProblemClosed",
            Signal::Lost => "Lost",
        }
    }

    pub fn from_member(member: &str) -> Option<Signal> {
        Self::ALL.into_iter().find(|signal| signal.member() == member)
    }
}

/// An event that arrived, with its revision.
pub struct Carried {
    pub revision: u64,
    pub event: Event,
}

impl Carried {
    pub fn read(signal: Signal, body: &Body) -> Result<Carried, Strange> {
        let (revision, event) = match signal {
            Signal::Location => report::<_, LocationDict>(body, Event::Location)?,
            Signal::Pin => report::<_, PinDict>(body, Event::Pin)?,
            Signal::Change => report::<_, ChangeDict>(body, Event::Change)?,
            Signal::Conflict => report::<_, ConflictDict>(body, Event::Conflict)?,
            Signal::Problem => report::<_, ProblemDict>(body, Event::Problem)?,
            Signal::LocationRemoved => {
                let (revision, name) = body.deserialize::<(u64, String)>().map_err(strange)?;
                (revision, Event::LocationRemoved(name))
            }
            Signal::Unpinned => {
                let (revision, path) = body.deserialize::<(u64, Vec<u8>)>().map_err(strange)?;
                (revision, Event::Unpinned(target(&path)?))
            }
            Signal::ChangeDone => id(body, Event::ChangeDone)?,
            Signal::ConflictClosed => id(body, |id| Event::ConflictClosed(ConflictId(id)))?,
            Signal::ProblemClosed => id(body, |id| Event::ProblemClosed(ProblemId(id)))?,
            Signal::Lost => (body.deserialize::<u64>().map_err(strange)?, Event::Lost),
        };
        Ok(Carried { revision, event })
    }
}

fn strange(error: zbus::Error) -> Strange {
    Strange(error.to_string())
}

fn report<T, D>(body: &Body, event: impl FnOnce(T) -> Event) -> Result<(u64, Event), Strange>
where
    T: Wire<Dict = D>,
    D: serde::de::DeserializeOwned + zbus::zvariant::Type,
{
    let (revision, dict) = body.deserialize::<(u64, D)>().map_err(strange)?;
    Ok((revision, event(T::from_wire(dict)?)))
}

fn id(body: &Body, event: impl FnOnce(u64) -> Event) -> Result<(u64, Event), Strange> {
    let (revision, id) = body.deserialize::<(u64, u64)>().map_err(strange)?;
    Ok((revision, event(id)))
}
