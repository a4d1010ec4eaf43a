//! Temporary names, as the calls of the system take them.

use std::ffi::{CStr, CString};

use holdfast_engine::model::Name;

use super::place::{Place, c_name};
use crate::folder::protocol::Failure;
use crate::temp;

pub use crate::temp::Holds;

pub fn name(place: &Place, holds: Holds) -> Result<CString, Failure> {
    temp::name(&place.owner, holds).map(|name| c_name(&name)).map_err(|e| Failure::Io(e.to_string()))
}

pub fn to_name(temp: &CStr) -> Name {
    Name::new(temp.to_bytes()).expect("temporary names are made of a checked owner and digits")
}

pub fn is_ours(place: &Place, name: &[u8]) -> bool {
    temp::is_ours(&place.owner, name)
}

/// A name of ours that can hold nobody else's bytes.
pub fn is_only_ours(place: &Place, name: &[u8]) -> bool {
    temp::is_only_ours(&place.owner, name)
}
