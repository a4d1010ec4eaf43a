//! A large file that is changed in place again and again, as a disk image or a database is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::common::{Random, Session, until};

const SIZE: usize = 6 << 20;

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn it_is_held_once_and_outlives_kills_while_it_is_put_together() {
    let Some(mut s) = Session::empty() else { return };
    let mut random = Random::new(11);
    let mut expected = random.bytes(SIZE);
    fs::write(s.there("image"), &expected).unwrap();
    s.add_and_pin();
    for round in 0..8 {
        let file = OpenOptions::new().write(true).open(s.here("image")).unwrap();
        for _ in 0..5 {
            let at = random.below((SIZE - 5000) as u64);
            let bytes = random.bytes(5000);
            file.write_all_at(&bytes, at).unwrap();
            expected[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
        }
        drop(file);
        s.sync(0);
        assert!(fs::read(s.there("image")).unwrap() == expected, "round {round}");
        if round % 2 == 1 {
            std::thread::sleep(Duration::from_millis(random.below(1500)));
            s.kill();
            s.serve();
        }
        assert!(fs::read(s.here("image")).unwrap() == expected, "round {round}");
    }
    // What was sent after a kill can be taken back, for as long as there is room for what was before.
    s.ok(&["location", "set", "nas", "limit", "1M"]);
    // Its map is one more, and so is what is set aside for a full disk.
    until("one file holds it", || files(&s.store().join("content")) <= 3);
    s.sync(0);
    s.must_agree();
}
