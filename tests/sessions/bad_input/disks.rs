//! Full disks, forbidden folders, files that change under the reader.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::common::{Ran, Random, Session, is_root, skip};

/// A small file system in the place of a folder; said why where it cannot be had.
fn small_disk(s: &Session, below: &str) -> bool {
    if !is_root() {
        skip("mounting a small disk takes root");
        return false;
    }
    let folder = s.base().join(below);
    let mount =
        Ran::of(Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m,mode=700", "small"]).arg(folder));
    if mount.code != 0 {
        skip("a tmpfs cannot be mounted here");
        return false;
    }
    true
}

/// `a` and these, pinned and offline, with the store on a disk of 24 MiB.
fn pinned_on_a_small_disk(files: &[(&str, String)]) -> Option<Session> {
    let mut s = Session::prepared()?;
    if !small_disk(&s, "data") {
        return None;
    }
    s.serve();
    s.write_there("a", "a\n");
    files.iter().for_each(|(path, text)| s.write_there(path, text));
    s.add_and_pin();
    s.offline();
    Some(s)
}

#[test]
fn a_full_disk_here_fails_the_new_write_and_nothing_else() {
    let Some(s) = pinned_on_a_small_disk(&[("old", "old\n".repeat(1000))]) else { return };
    s.write_here("a", "changed\n");
    let mut random = Random::new(7);
    let mut errors = 0;
    for n in 0..40 {
        if let Err(error) = fs::write(s.here(&format!("big{n}")), random.bytes(1 << 20)) {
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()), "{error}");
            errors += 1;
        }
    }
    assert!(errors > 0, "40 MiB do not fit into 24");
    assert_eq!(s.read_here("a"), "changed\n");
    assert_eq!(s.read_here("old"), "old\n".repeat(1000));
    let status = s.json(&["status"]);
    assert_eq!(status["locations"][0]["name"], "nas");
    // With room all goes on.
    let disk = s.base().join("data");
    Ran::of(Command::new("mount").args(["-o", "remount,size=96m"]).arg(disk)).done();
    s.shell("rm -f big*").done();
    s.write_here("b", "b\n");
    s.online(0);
    assert_eq!(s.read_there("a"), "changed\n");
    assert_eq!(s.read_there("b"), "b\n");
    s.must_agree();
}

#[test]
fn with_a_full_disk_what_was_made_can_be_removed() {
    let Some(s) = pinned_on_a_small_disk(&[]) else { return };
    let mut random = Random::new(7);
    while fs::write(s.here(&format!("big{}", random.next())), random.bytes(1 << 20)).is_ok() {}
    s.shell("rm -f big*").done();
    s.write_here("b", "b\n");
    s.online(0);
    s.must_agree();
}

/// Takes every byte that is left.
fn fill_to_the_brim(filler: &std::path::Path) {
    use std::io::Write;
    let mut filler = fs::File::create(filler).unwrap();
    for size in [1 << 20, 4096] {
        while filler.write_all(&vec![7; size]).is_ok() {}
    }
}

#[test]
fn on_a_disk_that_others_filled_the_engine_starts_and_removes() {
    let Some(mut s) = pinned_on_a_small_disk(&[]) else { return };
    s.shell("for n in $(seq 300); do echo $n >small$n; done; mkdir folder").done();
    let filler = s.base().join("data/filler");
    fill_to_the_brim(&filler);
    assert!(fs::write(s.here("a"), "rewritten\n").is_err(), "there is no room for it");
    s.kill();
    s.serve();
    assert_eq!(s.read_here("small7"), "7\n");
    assert_eq!(s.read_here("a"), "a\n");
    s.shell("rm small[1-8]*; rmdir folder; mv small9 nine").done();
    s.kill();
    s.serve();
    s.shell("rm small99").done();
    assert_eq!(s.read_here("nine"), "9\n");
    fs::remove_file(&filler).unwrap();
    crate::common::until("there is room again", || fs::write(s.here("new"), "new").is_ok());
    s.online(0);
    assert_eq!(s.read_there("nine"), "9\n");
    assert_eq!(s.read_there("new"), "new");
    assert!(!s.there("small1").exists() && s.there("small98").exists());
    s.must_agree();
}

#[test]
fn a_full_disk_there_is_a_problem_that_passes() {
    let Some(s) = Session::empty() else { return };
    if !small_disk(&s, "server") {
        return;
    }
    s.write_there("a", "a\n");
    s.add_and_pin();
    let mut random = Random::new(8);
    fs::write(s.there("filler"), random.bytes(20 << 20)).unwrap();
    s.offline();
    for n in 0..8 {
        fs::write(s.here(&format!("big{n}")), random.bytes(1 << 20)).unwrap();
    }
    s.write_here("a", "small\n");
    s.online(4);
    let problems = s.json(&["problems"]);
    let all = problems.as_array().unwrap();
    assert!(!all.is_empty() && all.iter().all(|p| p["needs"] == "space"), "{problems}");
    assert_eq!(s.read_there("a"), "small\n", "what fits goes through");
    s.must_conflict(&[]);
    fs::remove_file(s.there("filler")).unwrap();
    s.sync(0);
    s.must_agree();
}

#[test]
fn what_the_server_forbids_is_a_problem_and_not_a_deletion() {
    if is_root() {
        return skip("nothing is forbidden to root");
    }
    let Some(s) = Session::pinned(&[("open/a", "a\n"), ("closed/b", "b\n")]) else {
        return;
    };
    let mode =
        |path: &str, mode: u32| fs::set_permissions(s.there(path), Permissions::from_mode(mode)).unwrap();
    s.offline();
    mode("closed", 0o000);
    s.write_here("open/a", "changed\n");
    s.ok(&["online"]);
    s.sync(4);
    assert_eq!(s.read_here("closed/b"), "b\n");
    assert_eq!(s.read_there("open/a"), "changed\n");
    let problems = s.json(&["problems"]);
    assert!(problems.as_array().unwrap().iter().any(|p| p["path"] == "nas:closed"), "{problems}");
    mode("closed", 0o755);
    s.sync(0);
    s.must_agree();
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_never_a_mixture() {
    let Some(s) = Session::empty() else { return };
    let fill = |letter: u8| vec![letter; 6 << 20];
    fs::write(s.there("big"), fill(b'a')).unwrap();
    s.ok(&["location", "add", "nas", &s.url()]);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, stop) = (s.there("big"), stop.clone());
        let new = path.with_extension("new");
        move || {
            let mut letter = b'b';
            while !stop.load(SeqCst) {
                fs::write(&new, vec![letter; 6 << 20]).unwrap();
                fs::rename(&new, &path).unwrap();
                letter = if letter == b'y' { b'b' } else { letter + 1 };
            }
        }
    });
    s.ok(&["pin", "nas:big"]);
    let mut read = 0;
    for _ in 0..12 {
        s.ctl(&["sync", "nas"]);
        match fs::read(s.here("big")) {
            Ok(bytes) => {
                let first = bytes.first().copied().unwrap_or_default();
                assert!(bytes.iter().all(|b| *b == first), "two versions in one file");
                assert_eq!(bytes.len(), 6 << 20);
                read += 1;
            }
            // It changed once more under the fetch.
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
        }
    }
    let _ = read;
    stop.store(true, SeqCst);
    writer.join().unwrap();
    let _ = fs::remove_file(s.there("big.new"));
    s.sync(0);
    s.ok(&["pin", "nas:big", "--wait"]);
    s.must_agree();
}
