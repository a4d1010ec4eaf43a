//! What is known to be wrong or not there yet: a case that meets it counts as skipped, with the
//! reason, and fails as soon as the reason no longer holds.

/// Each with what is missing. An entry goes when its case runs.
pub const KNOWN: [(&str, &str); 0] = [];

/// The reason of a known gap. Naming one that is not in the list is a mistake in the test.
#[track_caller]
pub fn known(name: &str) -> &'static str {
    KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, why)| *why)
        .unwrap_or_else(|| panic!("`{name}` is not in the list of what is known"))
}
