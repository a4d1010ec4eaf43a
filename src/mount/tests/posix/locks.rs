//! Locks: `flock` between open files, `fcntl` between processes.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("flock excludes another open file, shares where asked", flocks),
    rule("fcntl excludes another process until the file is closed", fcntls),
];

/// Says to a run of this program that it is the other process, and which file to try.
const OTHER: &str = "HOLDFAST_TEST_LOCK";

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

/// The other process: fails where it gets the lock.
#[test]
fn the_other_process() {
    if let Some(path) = std::env::var_os(OTHER) {
        let file = open(path.as_ref());
        let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
        assert!(matches!(locked, Err(Errno::AGAIN | Errno::ACCESS)), "{locked:?}");
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn flocks(folder: &Path) {
    let path = file(folder, "a", "");
    let (one, two) = (open(&path), open(&path));
    let try_two = |how| flock(&two, how);
    flock(&one, FlockOperation::LockExclusive).unwrap();
    assert_eq!(try_two(FlockOperation::NonBlockingLockShared), Err(Errno::AGAIN));
    flock(&one, FlockOperation::LockShared).unwrap();
    assert_eq!(try_two(FlockOperation::NonBlockingLockShared), Ok(()));
    assert_eq!(try_two(FlockOperation::NonBlockingLockExclusive), Err(Errno::AGAIN));
    drop(one);
    assert_eq!(try_two(FlockOperation::NonBlockingLockExclusive), Ok(()));
}

fn fcntls(folder: &Path) {
    let path = file(folder, "a", "");
    let held = open(&path);
    fcntl_lock(&held, FlockOperation::LockExclusive).unwrap();
    assert!(another_is_kept_out(&path));
    fcntl_lock(&held, FlockOperation::Unlock).unwrap();
    assert!(!another_is_kept_out(&path));
    fcntl_lock(&held, FlockOperation::LockExclusive).unwrap();
    drop(held);
    assert!(!another_is_kept_out(&path));
}

fn another_is_kept_out(path: &Path) -> bool {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::the_other_process"])
        .env(OTHER, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}
