//! One suite that every remote has to pass: what stands in `engine::remote`, as tests.
//!
//! A fixture gives a [`Subject`]: the remote, connected to an empty folder, and that same folder as
//! another user of the server sees it. [`conformance_tests!`](crate::conformance_tests) makes one
//! test of each case:
//!
//! ```ignore
//! mod plain {
//!     async fn fixture() -> Option<Fixture> { .. }   // None: printed why, skipped
//!     holdfast_remotes::conformance_tests!(fixture);
//! }
//! ```
//!
//! No case depends on how fast anything is, and none on another.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod attributes;
pub mod files;
pub mod guards;
pub mod names;
pub mod races;
mod source;

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_engine::model::{LocPath, Meta, Name, Time};
use holdfast_engine::remote::{Capabilities, NewMeta, Remote, RemoteError, TEMP_PREFIX};

pub use source::{Bytes, Holes, PatchedBytes};

/// A remote under test and what is behind it.
pub struct Subject {
    pub remote: Arc<dyn Remote>,
    pub capabilities: Capabilities,
    /// The location's root on the server, for the other user.
    pub folder: PathBuf,
    pub owner: String,
    /// A folder of mode 000 is closed to the remote (it is not when the server runs it as root).
    pub obeys_modes: bool,
}

/// What a fixture hands out: a subject, and whatever must live as long.
pub trait Fixture {
    fn subject(&self) -> &Subject;
}

pub fn path(text: &str) -> LocPath {
    LocPath::parse(text.as_bytes()).unwrap()
}

pub fn name(bytes: &[u8]) -> Name {
    Name::new(bytes).unwrap()
}

/// A time that every file system keeps: whole, even seconds long ago.
pub const LONG_AGO: Time = Time(1_500_000_000_000_000_000);

pub fn new_meta() -> NewMeta {
    NewMeta { mode: 0o644, mtime: LONG_AGO, xattrs: None }
}

pub fn new_folder() -> NewMeta {
    NewMeta { mode: 0o755, ..new_meta() }
}

impl Subject {
    /// Where something is for the other user.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub fn other_writes(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.at(path), bytes).unwrap();
    }

    pub fn other_reads(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.at(path)).unwrap()
    }

    pub async fn create(&self, at: &str, bytes: &[u8]) -> Meta {
        self.remote.create_file(&path(at), Bytes::arc(bytes), &new_meta()).await.unwrap()
    }

    pub async fn stat(&self, at: &str) -> Meta {
        self.remote.stat(&path(at)).await.unwrap()
    }

    pub async fn read(&self, at: &str, meta: &Meta) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < meta.size {
            let piece = self.remote.read(&path(at), &meta.version, all.len() as u64, 8 << 20).await.unwrap();
            assert!(!piece.is_empty(), "the file ends before its size");
            all.extend_from_slice(&piece);
        }
        all
    }

    pub async fn names(&self, folder: &str) -> Vec<Vec<u8>> {
        let listing = self.remote.list(&path(folder)).await.unwrap();
        let mut names: Vec<_> = listing.entries.iter().map(|e| e.name.as_bytes().to_vec()).collect();
        names.sort();
        names
    }

    /// Nothing temporary is left anywhere on the server.
    pub fn assert_nothing_left_over(&self) {
        let mut todo = vec![self.folder.clone()];
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let is_temp = entry.file_name().as_bytes().starts_with(TEMP_PREFIX);
                assert!(!is_temp, "left over: {}", entry.path().display());
                if entry.file_type().unwrap().is_dir() {
                    todo.push(entry.path());
                }
            }
        }
    }
}

/// `Changed`, and what it says is there.
#[track_caller]
pub fn assert_changed<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> Option<Meta> {
    match result {
        Err(RemoteError::Changed { now }) => now.map(|now| *now),
        other => panic!("expected Changed, got {other:?}"),
    }
}

/// Makes a `#[tokio::test]` of each case for one fixture: an `async fn() -> Option<impl Fixture>`.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => {
        $crate::conformance_tests! { @cases $fixture;
            files: created_files_are_read_back, empty_files, replaced_files, large_files_in_ranges,
                sparse_files, only_changed_ranges, folders_come_and_go, moves, links, ends;
            guards: create_over_something, replace_another_version, remove_another_version,
                rename_another_version_or_over_something, link_and_attributes_of_another_version,
                another_mode, read_another_version, what_is_not_there, folders_that_hold_something;
            names: any_bytes, many_names, temporary_names_are_hidden, leftovers_of_ours_only,
                links_are_never_followed, special_files_are_refused, forbidden_folders_are_errors;
            attributes: modes_without_set_uid, times, extended, versions_tell_changes_apart,
                folder_versions_stay;
            races: readers_see_old_or_new, nobody_loses_a_race, a_thousand_at_once,
                given_up_uploads_leave_nothing;
        }
    };
    (@cases $fixture:path; $($module:ident: $($case:ident),*;)*) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(fixture) = $fixture().await {
                    let subject = $crate::conformance::Fixture::subject(&fixture);
                    $crate::conformance::$module::$case(subject).await;
                }
            })*
        })*
    };
}
