//! The real engine in a real mount, driven by `holdfastctl` and by ordinary programs.
//!
//! Each test has a session of its own (`common::Session`): private folders, a folder that plays the
//! file server, an engine that is ended and unmounted whatever happens. Where nothing can be mounted
//! a test says `SKIPPED: why`. No outcome depends on how fast the machine is.

#![allow(clippy::unwrap_used, reason = "all of this is tests, also the functions they share")]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod big_folder;
mod brake;
mod conflicts;
mod in_place;
mod kill;
mod limits;
mod link;
mod main_job;
mod saving;
mod sftp;
mod takeover;
