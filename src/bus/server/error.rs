//! Errors as the bus names them: the kind in the name, the sentence as message.

use holdfast_engine::handle::{Error, ErrorKind};

use crate::place::PlaceError;
use crate::wire::Strange;

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "app.holdfast.Engine1.Error")]
pub enum BusError {
    #[zbus(error)]
    ZBus(zbus::Error),
    Usage(String),
    Offline(String),
    Refused(String),
    Failed(String),
}

impl From<Error> for BusError {
    fn from(error: Error) -> BusError {
        match error.kind {
            ErrorKind::Usage => BusError::Usage(error.text),
            ErrorKind::Offline => BusError::Offline(error.text),
            ErrorKind::Refused => BusError::Refused(error.text),
            ErrorKind::Failed => BusError::Failed(error.text),
        }
    }
}

impl From<Strange> for BusError {
    fn from(strange: Strange) -> BusError {
        BusError::Usage(strange.to_string())
    }
}

impl From<PlaceError> for BusError {
    fn from(error: PlaceError) -> BusError {
        BusError::Usage(error.to_string())
    }
}

/// The kind that an error's name on the bus stands for; `None` for errors that are not the engine's.
pub fn kind_of(name: &str) -> Option<ErrorKind> {
    match name.strip_prefix("app.holdfast.Engine1.Error.")? {
        "Usage" => Some(ErrorKind::Usage),
        "Offline" => Some(ErrorKind::Offline),
        "Refused" => Some(ErrorKind::Refused),
        "Failed" => Some(ErrorKind::Failed),
        _ => None,
    }
}
