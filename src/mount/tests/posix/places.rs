//! Where a mount may be made, and what becomes of one that was left behind.

use std::fs::File;
use std::time::Duration;

use futures::executor::block_on;
use holdfast_mount::{Mount, MountError};

use crate::served::{Served, options};

#[test]
fn what_is_served_already_is_left_alone() {
    let Some(first) = Served::start() else { return };
    let Some(second) = Served::start() else { return };
    let error = Mount::start(second.fileops(), &options(first.place())).err();
    assert!(matches!(error, Some(MountError::Served(_))), "{error:?}");
    assert!(std::fs::read_dir(first.place()).is_ok());
}

#[test]
fn the_end_is_told_also_where_somebody_else_unmounts() {
    let Some(served) = Served::start() else { return };
    let ended = served.mount().ended();
    assert!(!ended.is_closed());
    if rustix::process::geteuid().is_root() {
        rustix::mount::unmount(served.place(), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert!(block_on(ended.recv()).is_err());
    }
}

#[test]
fn a_program_with_an_open_file_does_not_keep_the_mount_from_ending() {
    let Some(mut served) = Served::start() else { return };
    let held = File::create(served.area().join("held")).unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    let mount = served.take_mount();
    std::thread::spawn(move || {
        mount.unmount();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(15)).unwrap();
    assert!(std::fs::read_dir(served.place()).unwrap().next().is_none());
    drop(held);
}

#[test]
fn a_mount_can_be_made_again() {
    let Some(mut served) = Served::start() else { return };
    for _ in 0..3 {
        served.take_mount().unmount();
        served.mount_again();
        assert!(served.place().join("nas").is_dir());
    }
}
