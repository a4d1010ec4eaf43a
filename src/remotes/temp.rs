//! Temporary names beside what they are for.
//!
//! After the owner's id stands `n` where the file holds only what we sent, `x` where it may hold
//! what somebody else wrote: an `x` must be looked at before it is cleared away.

use std::io::{self, Read};

use holdfast_engine::model::Name;
use holdfast_engine::remote::TEMP_PREFIX;

const RANDOM_BYTES: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    OnlyOurs,
    PerhapsTheirs,
}

/// A new name: long enough that it is nobody else's.
pub fn name(owner: &str, holds: Holds) -> io::Result<Name> {
    let mut random = [0u8; RANDOM_BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut random))
        .map_err(|e| io::Error::new(e.kind(), format!("no random numbers can be had: {e}")))?;
    let mut bytes = [TEMP_PREFIX, owner.as_bytes(), b"-"].concat();
    bytes.extend_from_slice(if holds == Holds::OnlyOurs { b"n" } else { b"x" });
    for byte in random {
        bytes.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    Name::new(&bytes).map_err(io::Error::other)
}

/// What may be an owner's id: it goes into temporary names.
pub fn check_owner(owner: &str) -> Result<(), String> {
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if owner.is_empty() || owner.len() > 64 || !owner.bytes().all(is_fine) {
        return Err("the owner's id is made of letters, digits, _ and -".into());
    }
    Ok(())
}

/// What follows the owner in a temporary name of this owner.
fn tail<'a>(name: &'a [u8], owner: &str) -> Option<&'a [u8]> {
    let rest = name.strip_prefix(TEMP_PREFIX)?.strip_prefix(owner.as_bytes())?.strip_prefix(b"-")?;
    let (first, random) = rest.split_first()?;
    // Exactly: the id of one owner may be how that of another begins.
    let ours = matches!(first, b'n' | b'x') && random.len() == 2 * RANDOM_BYTES;
    (ours && random.iter().all(u8::is_ascii_hexdigit)).then_some(rest)
}

pub fn is_ours(owner: &str, name: &[u8]) -> bool {
    tail(name, owner).is_some()
}

/// A name of ours that can hold nobody else's bytes.
pub fn is_only_ours(owner: &str, name: &[u8]) -> bool {
    tail(name, owner).is_some_and(|tail| tail.first() == Some(&b'n'))
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
