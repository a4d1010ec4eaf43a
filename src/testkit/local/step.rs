//! One system call of a program, and what came of it.

use std::collections::BTreeSet;

use holdfast_engine::fileops::RenameMode;
use holdfast_engine::model::{Kind, Time};

/// Paths are as in `Snapshot`, from the mount's (or location's) root. Files stay open in slots,
/// which are numbered by whoever writes the steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// As `open`; `create` makes the file where it is missing, `exclusive` only where it is.
    Open {
        slot: u8,
        path: Vec<u8>,
        write: bool,
        truncate: bool,
        create: bool,
        exclusive: bool,
    },
    Write {
        slot: u8,
        offset: u64,
        data: Vec<u8>,
    },
    /// At the end of the file as it is then.
    Append {
        slot: u8,
        data: Vec<u8>,
    },
    Read {
        slot: u8,
        offset: u64,
        len: usize,
    },
    Fsync {
        slot: u8,
    },
    SetSize {
        slot: u8,
        size: u64,
    },
    Close {
        slot: u8,
    },
    ReadFile {
        path: Vec<u8>,
    },
    Truncate {
        path: Vec<u8>,
        size: u64,
    },
    Stat {
        path: Vec<u8>,
    },
    List {
        path: Vec<u8>,
    },
    ReadLink {
        path: Vec<u8>,
    },
    Mkdir {
        path: Vec<u8>,
    },
    Rmdir {
        path: Vec<u8>,
    },
    Unlink {
        path: Vec<u8>,
    },
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
        mode: RenameMode,
    },
    Link {
        existing: Vec<u8>,
        path: Vec<u8>,
    },
    Symlink {
        path: Vec<u8>,
        target: Vec<u8>,
    },
    Chmod {
        path: Vec<u8>,
        mode: u32,
    },
    SetTime {
        path: Vec<u8>,
        mtime: Time,
    },
    SetXattr {
        path: Vec<u8>,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    RemoveXattr {
        path: Vec<u8>,
        name: Vec<u8>,
    },
}

/// What a step gave. What two right file systems may differ in (times, numbers) is not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    Bytes(Vec<u8>),
    Names(BTreeSet<(Vec<u8>, String)>),
    Stat {
        kind: Kind,
        mode: u32,
        /// Files and links only.
        size: Option<u64>,
        nlink: Option<u32>,
    },
}

impl Step {
    /// A file written anew under a path: open with truncate, write, close.
    pub fn write_file(slot: u8, path: &[u8], data: Vec<u8>) -> Vec<Step> {
        vec![
            Step::Open {
                slot,
                path: path.to_vec(),
                write: true,
                truncate: true,
                create: true,
                exclusive: false,
            },
            Step::Write { slot, offset: 0, data },
            Step::Close { slot },
        ]
    }

    /// As careful programs save: a new file beside, then renamed over the old one.
    pub fn save_by_rename(slot: u8, path: &[u8], beside: &[u8], data: Vec<u8>, sync: bool) -> Vec<Step> {
        let mut steps = Step::write_file(slot, beside, data);
        if sync {
            steps.insert(2, Step::Fsync { slot });
        }
        steps.push(Step::Rename { from: beside.to_vec(), to: path.to_vec(), mode: RenameMode::Replace });
        steps
    }

    /// As editors with backups save: the old file is moved aside, a new one is written in its place.
    pub fn save_by_moving_aside(slot: u8, path: &[u8], data: Vec<u8>, keep_backup: bool) -> Vec<Step> {
        let aside = [path, b"~"].concat();
        let mut steps =
            vec![Step::Rename { from: path.to_vec(), to: aside.clone(), mode: RenameMode::Replace }];
        steps.extend(Step::write_file(slot, path, data));
        if !keep_backup {
            steps.push(Step::Unlink { path: aside });
        }
        steps
    }
}
