//! One conflict of each kind, each in a folder of its own, made while offline by hand.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::Session;

/// One state of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub path: &'static str,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    File { text: &'static str, mode: u32 },
    Link { target: &'static str },
}

/// A conflict as it must be found.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub kind: &'static str,
    /// Where it is found: in local, else on the server, else in the original.
    pub path: &'static str,
    pub original: Option<State>,
    pub local: Option<State>,
    pub server: Option<State>,
    /// Whether the server's time is the later one.
    pub server_newer: bool,
    /// The clean merge of the texts.
    pub merged: Option<&'static str>,
}

impl Case {
    pub fn states(&self) -> [(&'static str, Option<&State>); 3] {
        [
            ("original", self.original.as_ref()),
            ("local", self.local.as_ref()),
            ("server", self.server.as_ref()),
        ]
    }
}

impl State {
    pub fn text(&self) -> Option<&'static str> {
        match self.what {
            What::File { text, .. } => Some(text),
            _ => None,
        }
    }
}

fn file(path: &'static str, text: &'static str) -> Option<State> {
    file_with(path, text, 0o644)
}

fn file_with(path: &'static str, text: &'static str, mode: u32) -> Option<State> {
    let what = What::File { text, mode };
    Some(State { path, what })
}

const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";
const LINES_HERE: &str = "ONE here\ntwo\nthree\nfour\nfive\nsix\nseven\n";
const LINES_THERE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nSEVEN there\n";
const LINES_BOTH: &str = "ONE here\ntwo\nthree\nfour\nfive\nsix\nSEVEN there\n";

/// Kinds of one item that stays in its place on the server.
pub fn plain() -> Vec<Case> {
    vec![
        Case {
            kind: "edit/edit",
            path: "ee/report.txt",
            original: file("ee/report.txt", "the report\n"),
            local: file("ee/report.txt", "the report, ours\n"),
            server: file("ee/report.txt", "the report, theirs, longer\n"),
            server_newer: true,
            ..Case::default()
        },
        Case {
            kind: "edit/edit",
            path: "em/lines",
            original: file("em/lines", LINES),
            local: file("em/lines", LINES_HERE),
            server: file("em/lines", LINES_THERE),
            merged: Some(LINES_BOTH),
            ..Case::default()
        },
        Case {
            kind: "edit/delete",
            path: "ed/a.txt",
            original: file("ed/a.txt", "to be edited here\n"),
            local: file("ed/a.txt", "edited here, and gone there\n"),
            ..Case::default()
        },
        Case {
            kind: "delete/edit",
            path: "de/a.txt",
            original: file("de/a.txt", "to be edited there\n"),
            server: file("de/a.txt", "edited there, and gone here\n"),
            ..Case::default()
        },
        Case {
            kind: "create/create",
            path: "cc/new.tar.gz",
            local: file("cc/new.tar.gz", "made here\n"),
            server: file("cc/new.tar.gz", "made there too\n"),
            ..Case::default()
        },
        Case {
            kind: "move/delete",
            path: "md/b.txt",
            original: file("md/a.txt", "moved here, deleted there\n"),
            local: file("md/b.txt", "moved here, deleted there\n"),
            ..Case::default()
        },
        Case {
            kind: "type",
            path: "ty/a.txt",
            original: file("ty/a.txt", "a file\n"),
            local: file("ty/a.txt", "still a file, edited\n"),
            server: Some(State { path: "ty/a.txt", what: What::Link { target: "elsewhere" } }),
            server_newer: true,
            ..Case::default()
        },
        Case {
            kind: "metadata",
            path: "me/run.sh",
            original: file("me/run.sh", "#!/bin/sh\n"),
            local: file_with("me/run.sh", "#!/bin/sh\n", 0o755),
            server: file_with("me/run.sh", "#!/bin/sh\n", 0o600),
            ..Case::default()
        },
    ]
}

/// Kinds of one item that was moved on the server.
pub fn moved_there() -> Vec<Case> {
    vec![
        Case {
            kind: "move/move",
            path: "mm/here.txt",
            original: file("mm/a.txt", "moved on both sides\n"),
            local: file("mm/here.txt", "moved on both sides\n"),
            server: file("mm/there.txt", "moved on both sides\n"),
            ..Case::default()
        },
        Case {
            kind: "delete/move",
            path: "dm/b.txt",
            original: file("dm/a.txt", "deleted here, moved there\n"),
            server: file("dm/b.txt", "deleted here, moved there\n"),
            ..Case::default()
        },
    ]
}

/// A pinned location in which all these conflicts are open, and nothing else waits.
#[track_caller]
pub fn session(cases: &[Case]) -> Option<Session> {
    let session = Session::empty()?;
    for case in cases {
        fs::create_dir_all(session.there(folder_of(case))).expect("a folder");
        make(&session.there(""), case.original.as_ref());
    }
    session.add_and_pin();
    session.offline();
    for case in cases {
        change(&session.here(""), case.original.as_ref(), case.local.as_ref());
        change(&session.there(""), case.original.as_ref(), case.server.as_ref());
        // One hour apart, so that no clock decides which is the newer.
        let hour = |n: u64| UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n * 3600);
        let (ours, theirs) = if case.server_newer { (1, 2) } else { (2, 1) };
        let original = case.original.as_ref().and_then(State::text);
        let is_edited = |state: &&State| state.text() != original;
        date(&session.here(""), case.local.as_ref().filter(is_edited), hour(ours));
        date(&session.there(""), case.server.as_ref().filter(is_edited), hour(theirs));
    }
    session.online(4);
    Some(session)
}

fn folder_of(case: &Case) -> &'static str {
    case.path.split_once('/').expect("each case has a folder").0
}

fn make(root: &Path, state: Option<&State>) {
    let Some(state) = state else { return };
    let path = root.join(state.path);
    match state.what {
        What::File { text, mode } => {
            fs::write(&path, text).expect("a new file");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
        }
        What::Link { target } => symlink(target, &path).expect("a new link"),
    }
}

/// From one state to the other, as a person does it.
fn change(root: &Path, from: Option<&State>, to: Option<&State>) {
    match (from, to) {
        (None, to) => make(root, to),
        (Some(from), None) => fs::remove_file(root.join(from.path)).expect("it can be removed"),
        (Some(from), Some(to)) => {
            if from.path != to.path {
                fs::rename(root.join(from.path), root.join(to.path)).expect("it can be moved");
            }
            if let (What::File { text, .. }, What::File { text: new, mode }) = (&from.what, &to.what)
                && text == new
            {
                fs::set_permissions(root.join(to.path), Permissions::from_mode(*mode)).expect("its mode");
            } else if from.what != to.what {
                if !matches!((&from.what, &to.what), (What::File { .. }, What::File { .. })) {
                    fs::remove_file(root.join(to.path)).expect("it can be removed");
                }
                make(root, Some(to));
            }
        }
    }
}

fn date(root: &Path, state: Option<&State>, time: SystemTime) {
    if let Some(State { path, what: What::File { .. } }) = state {
        let file = File::options().append(true).open(root.join(path)).expect("it can be opened");
        file.set_modified(time).expect("its time can be set");
    }
}

/// What stands at the path of a state, compared with it.
#[track_caller]
pub fn must_be(root: &Path, state: &State, whose: &str) {
    let path = root.join(state.path);
    let meta = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{whose}: {}: {e}", path.display()));
    let found_mode = meta.permissions().mode() & 0o7777;
    match state.what {
        What::File { text, mode } => {
            assert!(meta.is_file(), "{whose}: {} is no file", path.display());
            let found =
                fs::read_to_string(&path).unwrap_or_else(|e| panic!("{whose}: {}: {e}", path.display()));
            assert_eq!(found, text, "{whose}: {}", path.display());
            assert_eq!(found_mode, mode, "{whose}: mode of {}", path.display());
        }
        What::Link { target } => {
            assert!(meta.is_symlink(), "{whose}: {} is no link", path.display());
            assert_eq!(fs::read_link(&path).expect("a link"), Path::new(target), "{whose}");
        }
    }
}
