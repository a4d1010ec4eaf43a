//! What lies in a folder, and in what two folders differ.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is compared of an item: times of files, and none of folders, are synchronised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    File { mode: u32, bytes: Vec<u8>, mtime: (i64, i64) },
    Folder { mode: u32 },
    Link { target: PathBuf },
    Other,
}

/// How exactly times are compared.
#[derive(Clone, Copy)]
pub enum Times {
    Exact,
    /// As sshfs keeps them.
    WholeSeconds,
}

pub type Tree = BTreeMap<PathBuf, Found>;

/// All that lies below a folder, by path, read whole.
#[track_caller]
pub fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    gather(folder, Path::new(""), &mut found);
    found
}

#[track_caller]
fn gather(root: &Path, below: &Path, found: &mut Tree) {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let path = below.join(entry.file_name());
        let full = root.join(&path);
        let what = look(&full);
        let is_folder = matches!(what, Found::Folder { .. });
        found.insert(path.clone(), what);
        if is_folder {
            gather(root, &path, found);
        }
    }
}

#[track_caller]
fn look(path: &Path) -> Found {
    let problem = |e: std::io::Error| -> ! { panic!("{}: {e}", path.display()) };
    let meta = fs::symlink_metadata(path).unwrap_or_else(|e| problem(e));
    let mode = meta.mode() & 0o7777;
    let kind = meta.file_type();
    if kind.is_file() {
        Found::File {
            mode,
            bytes: fs::read(path).unwrap_or_else(|e| problem(e)),
            mtime: (meta.mtime(), meta.mtime_nsec()),
        }
    } else if kind.is_dir() {
        Found::Folder { mode }
    } else if kind.is_symlink() {
        Found::Link { target: fs::read_link(path).unwrap_or_else(|e| problem(e)) }
    } else {
        Found::Other
    }
}

/// One line for each path that is not the same in both, byte for byte, mode for mode, time for time.
#[track_caller]
pub fn differences(here: &Path, there: &Path, times: Times) -> Vec<String> {
    let (here, there) = (with_times(tree(here), times), with_times(tree(there), times));
    let mut lines = Vec::new();
    for path in here.keys().chain(there.keys().filter(|p| !here.contains_key(*p))) {
        let (a, b) = (here.get(path), there.get(path));
        if a != b {
            lines.push(format!("{}: here {}, on the server {}", path.display(), told(a), told(b)));
        }
    }
    lines
}

fn with_times(mut tree: Tree, times: Times) -> Tree {
    for found in tree.values_mut() {
        if let (Found::File { mtime, .. }, Times::WholeSeconds) = (found, times) {
            mtime.1 = 0;
        }
    }
    tree
}

fn told(found: Option<&Found>) -> String {
    match found {
        None => "nothing".into(),
        Some(Found::File { mode, bytes, mtime }) => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
            format!("a file {mode:o}, {} bytes {text:?}, of {}.{:09}", bytes.len(), mtime.0, mtime.1)
        }
        Some(Found::Folder { mode }) => format!("a folder {mode:o}"),
        Some(Found::Link { target }) => format!("a link to {}", target.display()),
        Some(Found::Other) => "something special".into(),
    }
}

/// Temporary names of ours that are still there.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let is_ours =
        |path: &&PathBuf| path.file_name().unwrap_or(OsStr::new("")).as_bytes().starts_with(b".holdfast-");
    tree(folder).keys().filter(is_ours).cloned().collect()
}
