//! Is what is there what the engine thinks is there?

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use holdfast_engine::model::Version;

use super::place::{Place, stat_at};
use super::token::Token;
use super::{errno, meta};
use crate::folder::protocol::Failure;

/// The marks of what is at a name, asked of the server itself.
pub fn look(place: &Place, folder: &OwnedFd, name: &CStr) -> Result<Token, Failure> {
    let stat = stat_at(folder, name, true).map_err(errno::failure)?;
    meta::token(place, folder, name, &stat).map_err(errno::failure)
}

/// `Changed` unless exactly this version is at the name.
pub fn is(place: &Place, folder: &OwnedFd, name: &CStr, version: &Version) -> Result<Token, Failure> {
    let now = look(place, folder, name)?;
    if now.version() == *version { Ok(now) } else { Err(changed(place, folder, name)) }
}

/// `Changed` where anything is at the name.
pub fn absent(place: &Place, folder: &OwnedFd, name: &CStr) -> Result<(), Failure> {
    match stat_at(folder, name, true) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(errno::naming(e)),
        Ok(_) => Err(changed(place, folder, name)),
    }
}

pub fn changed(place: &Place, folder: &OwnedFd, name: &CStr) -> Failure {
    Failure::Changed(meta::seen(place, folder, name))
}
