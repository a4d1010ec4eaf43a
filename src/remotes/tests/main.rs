//! The remotes against the conformance suite and against servers that fail.
//!
//! What cannot run on a machine prints `SKIPPED:` and why.

#![allow(clippy::unwrap_used)]

mod local;
mod process;
mod races;
mod sftp;
mod sshfs;
mod support;
mod watch;
