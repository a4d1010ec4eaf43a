//! The mount outlives its engine: programs wait a moment and go on.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use rustix::fs::{XattrFlags, removexattr, setxattr};

use crate::common::{Random, Session, kernel_sends_again, long};

/// One of everything that a program does and that must not be done twice, or not at all.
fn round_of_work(root: &Path, n: u64) -> Result<(), String> {
    let name = |what: &str| root.join(format!("{what}-{n}"));
    let body = vec![b'a' + (n % 26) as u8; 3000];
    say("write", fs::write(root.join("new"), &body))?;
    say("rename over", fs::rename(root.join("new"), root.join("saved")))?;
    must(say("read", fs::read(root.join("saved")))? == body, "a saved file reads back")?;

    say("mkdir", fs::create_dir(name("d")))?;
    say("symlink", symlink("saved", name("d").join("link")))?;
    say("link", fs::hard_link(root.join("saved"), name("d").join("hard")))?;
    must(say("read a folder", fs::read_dir(name("d")))?.count() == 2, "two names in a folder")?;
    say("unlink a link", fs::remove_file(name("d").join("link")))?;
    say("unlink a name", fs::remove_file(name("d").join("hard")))?;
    say("rmdir", fs::remove_dir(name("d")))?;

    let lock = OpenOptions::new().create_new(true).read(true).write(true).open(root.join("lock"));
    let mut lock = say("create new", lock)?;
    say("set an attribute", setxattr(root.join("lock"), "user.round", b"1", XattrFlags::CREATE))?;
    say("remove an attribute", removexattr(root.join("lock"), "user.round"))?;
    say("write to it", lock.write_all(b"abc"))?;
    say("unlink", fs::remove_file(root.join("lock")))?;
    say("write without a name", lock.write_all(b"def"))?;
    let mut text = String::new();
    say("seek", lock.rewind())?;
    say("read without a name", lock.read_to_string(&mut text))?;
    must(text == "abcdef", "a file without a name keeps what it holds")?;
    say("cut", lock.set_len(2))?;
    must(say("stat", lock.metadata())?.len() == 2, "a file without a name can be cut")
}

fn say<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

fn must(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it does not hold that {what}")) }
}

/// Works until it is told to stop. Returns the rounds it did.
fn work(root: &Path, stop: &AtomicBool) -> Result<u64, String> {
    fs::create_dir(root).map_err(|e| e.to_string())?;
    let mut log = OpenOptions::new().create(true).append(true).open(root.join("log")).unwrap();
    let mut n = 0;
    while !stop.load(SeqCst) {
        n += 1;
        let done = round_of_work(root, n).and_then(|()| say("append", writeln!(log, "{n}")));
        done.map_err(|error| format!("{}, round {n}: {error}", root.display()))?;
    }
    let lines: Vec<String> =
        fs::read_to_string(root.join("log")).unwrap().lines().map(String::from).collect();
    let expected: Vec<String> = (1..=n).map(|n| n.to_string()).collect();
    if lines == expected { Ok(n) } else { Err(format!("{}: the log has {lines:?}", root.display())) }
}

#[test]
fn programs_see_no_failed_call_while_engines_are_killed_and_replaced() {
    if !kernel_sends_again() {
        return;
    }
    let Some(mut s) = Session::pinned(&[("readme", "r\n")]) else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|n| {
            let (root, stop) = (s.here(&format!("w{n}")), stop.clone());
            thread::spawn(move || work(&root, &stop))
        })
        .collect();
    let mut random = Random::new(7);
    for _ in 0..if long() { 50 } else { 8 } {
        thread::sleep(Duration::from_millis(random.below(300)));
        if random.below(4) == 0 {
            assert!(s.replace().success(), "the one that makes way ends in order");
            continue;
        }
        s.kill();
        // Programs stand still here, or nearly: the next engine comes at once, or after a while.
        thread::sleep(Duration::from_millis(random.below(2) * 150));
        s.serve();
    }
    stop.store(true, SeqCst);
    for worker in workers {
        let rounds = worker.join().expect("a worker ends").unwrap_or_else(|error| panic!("{error}"));
        assert!(rounds > 0);
    }
    s.sync(0);
    s.must_conflict(&[]);
    s.must_agree();
}

#[test]
fn what_is_open_stays_open() {
    if !kernel_sends_again() {
        return;
    }
    let Some(mut s) = Session::pinned(&[("d/a", "one\n"), ("gone", "kept\n")]) else { return };
    s.offline();
    let mut log = OpenOptions::new().append(true).open(s.here("d/a")).unwrap();
    let unlinked = File::open(s.here("gone")).unwrap();
    fs::remove_file(s.here("gone")).unwrap();
    let listing = fs::read_dir(s.here("d")).unwrap();
    s.kill();
    s.serve();
    assert_eq!(listing.count(), 1);
    log.write_all(b"two\n").unwrap();
    assert_eq!(s.read_here("d/a"), "one\ntwo\n");
    let mut text = [0; 5];
    unlinked.read_exact_at(&mut text, 0).unwrap();
    assert_eq!(&text, b"kept\n");
    // It is open: nobody was cut off, and what is written so far is not sent.
    assert_eq!(s.json(&["problems"]).as_array().map(Vec::len), Some(0));
    s.kill();
    s.serve();
    drop(log);
    drop(unlinked);
    s.ok(&["online"]);
    s.sync(0);
    assert_eq!(s.read_there("d/a"), "one\ntwo\n");
    s.must_agree();
}

#[test]
fn the_servers_change_is_seen_after_a_kill() {
    if !kernel_sends_again() {
        return;
    }
    let Some(mut s) = Session::pinned(&[("a", "old\n"), ("b", "b\n")]) else { return };
    assert_eq!((s.read_here("a"), s.read_here("b")), ("old\n".into(), "b\n".into()));
    s.write_there("a", "new\n");
    s.write_there("c", "c\n");
    fs::remove_file(s.there("b")).unwrap();
    let missing = fs::metadata(s.here("c"));
    assert!(missing.is_err(), "the kernel remembers that it is not there");
    s.ctl(&["sync"]);
    s.kill();
    s.serve();
    s.sync(0);
    assert_eq!((s.read_here("a"), s.read_here("c")), ("new\n".into(), "c\n".into()));
    assert!(fs::metadata(s.here("b")).is_err());
    s.must_agree();
}

#[test]
fn a_newer_engine_replaces_the_one_that_serves() {
    if !kernel_sends_again() {
        return;
    }
    let Some(mut s) = Session::pinned(&[("a", "one\n")]) else { return };
    let mut log = OpenOptions::new().append(true).open(s.here("a")).unwrap();
    let old = s.replace();
    log.write_all(b"two\n").unwrap();
    assert_eq!(s.read_here("a"), "one\ntwo\n");
    assert!(old.success(), "the old one ends with {old}");
    drop(log);
    s.sync(0);
    assert_eq!(s.read_there("a"), "one\ntwo\n");
    // The mount goes when the last one is ended in order, and its keeper with it.
    s.stop();
    assert!(s.keeper().is_none());
}

#[test]
fn another_mount_than_the_one_that_is_held_is_made_anew() {
    let Some(mut s) = Session::pinned(&[("a", "a\n")]) else { return };
    s.kill();
    s.serve_options.push("noexec".into());
    s.serve();
    assert_eq!(s.read_here("a"), "a\n");
    s.stop();
    assert!(s.keeper().is_none());
}
