//! The values on the bus: one dictionary (`a{sv}`) for each report of the engine.
//!
//! A reader ignores keys it does not know and takes absent ones as empty, so both sides can grow.
//! Keys are those of the command line's JSON. Enums travel as their words, times as nanoseconds
//! since 1970 (`x`), paths as `NAME:path` (`ay`).

mod decided;
mod event;
mod states;
mod status;
mod words;
mod work;

use holdfast_engine::handle::Error;
use holdfast_engine::model::{Digest, Target};
use zbus::zvariant::Type;

pub use decided::{CheckDict, HistoryDict, ResolveDict, StashDict, WhyDict};
pub use event::{Carried, Signal};
pub use states::{ConflictDict, StatesDict};
pub use status::{LinkDict, LocationDict, StatusDict};
pub use words::{Word, choice_from_words, outcome_from_word, outcome_word};
pub use work::{ChangeDict, PinDict, ProblemDict};

use crate::place::parse_target;

/// Something arrived that this program does not understand: a newer or older engine, or a foreign
/// client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bus carried something unknown: {0}")]
pub struct Strange(pub String);

impl From<Strange> for Error {
    fn from(strange: Strange) -> Error {
        Error::failed(strange.to_string())
    }
}

/// A report of the engine and its dictionary.
pub trait Wire: Sized {
    type Dict: Type + serde::Serialize + serde::de::DeserializeOwned;

    fn to_wire(&self) -> Self::Dict;

    fn from_wire(dict: Self::Dict) -> Result<Self, Strange>;
}

pub fn to_wire<T: Wire>(reports: &[T]) -> Vec<T::Dict> {
    reports.iter().map(T::to_wire).collect()
}

pub fn from_wire<T: Wire>(dicts: Vec<T::Dict>) -> Result<Vec<T>, Strange> {
    dicts.into_iter().map(T::from_wire).collect()
}

/// A target that the engine told; a client's may also be a path in the mount.
pub fn target(bytes: &[u8]) -> Result<Target, Strange> {
    match parse_target(bytes) {
        Some(Ok(target)) => Ok(target),
        _ => Err(Strange(format!("the path {:?}", String::from_utf8_lossy(bytes)))),
    }
}

/// 32 bytes of BLAKE3.
fn digest(bytes: Vec<u8>) -> Result<Digest, Strange> {
    match <[u8; 32]>::try_from(bytes) {
        Ok(digest) => Ok(Digest(digest)),
        Err(_) => Err(Strange("a digest that is not 32 bytes long".into())),
    }
}

/// Declares a struct that travels as `a{sv}`; the fields after `optional` are left out where `None`.
macro_rules! dict {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty,)* }
        $(optional { $($option:ident: $inner:ty,)* })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, zbus::zvariant::Type)]
        #[zvariant(signature = "a{sv}")]
        pub struct $name {
            $(
                $(#[$attr])*
                #[serde(with = "zbus::zvariant::as_value", default)]
                pub $field: $type,
            )*
            $($(
                #[serde(
                    with = "zbus::zvariant::as_value::optional",
                    skip_serializing_if = "Option::is_none",
                    default
                )]
                pub $option: Option<$inner>,
            )*)?
        }
    };
}
pub(crate) use dict;
