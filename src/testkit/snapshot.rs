//! What a tree looks like from outside, whatever holds it: for comparing server, local tree, model.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_engine::model::{LocPath, Time};

/// One thing at one path. Hard links show as equal files; times are left out where a comparison
/// does not want them ([`Snapshot::without_times`]).
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    File {
        content: Vec<u8>,
        mode: u32,
        mtime: Option<Time>,
        xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    },
    Folder {
        mode: u32,
    },
    Symlink {
        target: Vec<u8>,
    },
    /// Fifo, socket, device node: its whole mode.
    Special {
        mode: u32,
    },
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::File { content, mode, mtime, xattrs } => {
                let start = &content[..content.len().min(24)];
                write!(f, "file {mode:o} {} bytes {:?}", content.len(), String::from_utf8_lossy(start))?;
                if let Some(mtime) = mtime {
                    write!(f, " at {}", mtime.0)?;
                }
                if !xattrs.is_empty() {
                    write!(f, " {} attributes", xattrs.len())?;
                }
                Ok(())
            }
            Entry::Folder { mode } => write!(f, "folder {mode:o}"),
            Entry::Symlink { target } => write!(f, "link to {:?}", String::from_utf8_lossy(target)),
            Entry::Special { mode } => write!(f, "special {mode:o}"),
        }
    }
}

/// A whole tree, root left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot(pub BTreeMap<LocPath, Entry>);

impl Snapshot {
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(&LocPath::parse(path.as_bytes()).ok()?)
    }

    /// The bytes of the file at the path; `None` where no file is.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        match self.get(path)? {
            Entry::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// For locations that keep no modes: all are taken as equal.
    #[must_use]
    pub fn without_modes(mut self) -> Snapshot {
        for entry in self.0.values_mut() {
            if let Entry::File { mode, .. } | Entry::Folder { mode } = entry {
                *mode = 0;
            }
        }
        self
    }

    #[must_use]
    pub fn without_times(mut self) -> Snapshot {
        for entry in self.0.values_mut() {
            if let Entry::File { mtime, .. } = entry {
                *mtime = None;
            }
        }
        self
    }

    #[must_use]
    pub fn without_xattrs(mut self) -> Snapshot {
        for entry in self.0.values_mut() {
            if let Entry::File { xattrs, .. } = entry {
                xattrs.clear();
            }
        }
        self
    }

    /// One sentence for each path in which they differ.
    pub fn differences(&self, other: &Snapshot) -> Vec<String> {
        let mut paths: Vec<&LocPath> = self.0.keys().chain(other.0.keys()).collect();
        paths.sort();
        paths.dedup();
        paths
            .into_iter()
            .filter_map(|path| match (self.0.get(path), other.0.get(path)) {
                (a, b) if a == b => None,
                (Some(a), Some(b)) => Some(format!("{path}: {a:?} here, {b:?} there")),
                (Some(a), None) => Some(format!("{path}: {a:?} here, nothing there")),
                (None, b) => Some(format!("{path}: nothing here, {b:?} there")),
            })
            .collect()
    }

    /// Panics with the differences where there are any.
    #[track_caller]
    pub fn assert_same(&self, other: &Snapshot, what: &str) {
        let differences = self.differences(other);
        assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
    }
}
