//! Temporary names beside what they are for.
//!
//! After the owner's id stands `n` where the file holds only what we sent, `x` where it may hold
//! what somebody else wrote: an `x` must be looked at before it is cleared away.

use std::ffi::CString;
use std::io::Read;

use holdfast_engine::model::Name;
use holdfast_engine::remote::TEMP_PREFIX;

use super::place::Place;
use crate::folder::protocol::Failure;

const RANDOM_BYTES: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    OnlyOurs,
    PerhapsTheirs,
}

/// A new name: long enough that it is nobody else's.
pub fn name(place: &Place, holds: Holds) -> Result<CString, Failure> {
    let mut random = [0u8; RANDOM_BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut random))
        .map_err(|e| Failure::Io(format!("no random numbers can be had: {e}")))?;
    let mut bytes = prefix(place);
    bytes.extend_from_slice(if holds == Holds::OnlyOurs { b"n" } else { b"x" });
    for byte in random {
        bytes.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    CString::new(bytes).map_err(|_| Failure::BadName("the owner's id holds a NUL".into()))
}

fn prefix(place: &Place) -> Vec<u8> {
    [TEMP_PREFIX, place.owner.as_bytes(), b"-"].concat()
}

pub fn to_name(temp: &std::ffi::CStr) -> Name {
    Name::new(temp.to_bytes()).expect("temporary names are made of a checked owner and digits")
}

/// What follows the owner in a temporary name of this owner.
fn tail<'a>(name: &'a [u8], owner: &str) -> Option<&'a [u8]> {
    let rest = name.strip_prefix(TEMP_PREFIX)?.strip_prefix(owner.as_bytes())?.strip_prefix(b"-")?;
    let (first, random) = rest.split_first()?;
    // Exactly: the id of one owner may be how that of another begins.
    let ours = matches!(first, b'n' | b'x') && random.len() == 2 * RANDOM_BYTES;
    (ours && random.iter().all(u8::is_ascii_hexdigit)).then_some(rest)
}

pub fn is_ours(place: &Place, name: &[u8]) -> bool {
    tail(name, &place.owner).is_some()
}

/// A name of ours that can hold nobody else's bytes.
pub fn is_only_ours(place: &Place, name: &[u8]) -> bool {
    tail(name, &place.owner).is_some_and(|tail| tail.first() == Some(&b'n'))
}

/// Whether a leftover of this owner may hold what somebody else wrote: it must be looked at before
/// it is removed.
pub fn may_hold_theirs(name: &Name, owner: &str) -> bool {
    tail(name.as_bytes(), owner).is_none_or(|tail| tail.first() != Some(&b'n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_told_apart() {
        let name = |text: &str| Name::new(text.as_bytes()).unwrap();
        assert!(!may_hold_theirs(&name(".holdfast-a-n00112233445566778899"), "a"));
        assert!(may_hold_theirs(&name(".holdfast-a-x00112233445566778899"), "a"));
        assert!(tail(b".holdfast-a-b-n00112233445566778899", "a").is_none());
        assert!(tail(b".holdfast-a-b-n00112233445566778899", "a-b").is_some());
    }
}
