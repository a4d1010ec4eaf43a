//! The rules of POSIX that programs rely on, checked through a real mount of a real engine.
//!
//! Each rule is a small function that works in a fresh folder. All are also checked on an ordinary
//! file system, so a rule that is wrong itself is found.
//! What cannot be checked here (no `/dev/fuse`, not root) is said and counted as skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the numbers of `stat` are not as wide everywhere"
)]

mod attributes;
mod content;
mod folders;
mod locks;
mod names;
mod open;
mod places;
mod rule;
mod served;
mod server;
mod world;
mod xattrs;
