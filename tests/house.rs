//! The house in order: which crate and module may know which, and what no file may hold.
//!
//! Each check reads the sources or `cargo metadata`; what it finds stands in the message, one line
//! each, with what to do about it.

#[path = "house/crates.rs"]
mod crates;
#[path = "house/modules.rs"]
mod modules;
#[path = "house/source.rs"]
mod source;
#[path = "house/tidy.rs"]
mod tidy;

/// Fails with all findings at once.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}
