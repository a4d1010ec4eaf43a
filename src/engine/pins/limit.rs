//! How much of a location may be here.
//!
//! All of it counts that is here: what was fetched, what was changed here, the originals of that, what
//! is set aside. Only what is neither pinned nor changed goes for it; what a program reads is brought
//! all the same, and something else goes.

use crate::model::LocationId;
use crate::store::Store;
use crate::store::rows::Location;

/// The setting `limit` in bytes, where there is one.
pub fn limit_of(location: &Location) -> Option<u64> {
    let value = location.settings.iter().find(|(key, _)| key == "limit").map(|(_, value)| value);
    value.and_then(|value| parse_size(value)).filter(|limit| *limit < u64::MAX)
}

/// Bytes that are here beyond the limit of a location.
pub fn excess(store: &Store, location: LocationId) -> u64 {
    match limit(store, location) {
        Some(limit) => store.contents().bytes_here(location).saturating_sub(limit),
        None => 0,
    }
}

/// Whether so many bytes more stay within the limit.
pub fn fits(store: &Store, location: LocationId, bytes: u64) -> bool {
    let here = store.contents().bytes_here(location);
    limit(store, location).is_none_or(|limit| here.saturating_add(bytes) <= limit)
}

fn limit(store: &Store, location: LocationId) -> Option<u64> {
    store.read().location(location).and_then(|live| limit_of(&live.row))
}

/// Bytes; `u64::MAX` for none.
pub fn parse_size(text: &str) -> Option<u64> {
    if text == "none" {
        return Some(u64::MAX);
    }
    let (digits, shift) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("20G"), Some(20 << 30));
        assert_eq!(parse_size("5"), Some(5));
        assert_eq!(parse_size("none"), Some(u64::MAX));
        assert_eq!(parse_size("G"), None);
        assert_eq!(parse_size("99999999999T"), None);
    }
}
