//! Real moves stay moves: nothing is sent again, the server's files keep their inodes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::common::Session;

fn inodes(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut stack = vec![PathBuf::new()];
    while let Some(below) = stack.pop() {
        for entry in fs::read_dir(folder.join(&below)).unwrap().flatten() {
            let path = below.join(entry.file_name());
            let meta = entry.metadata().unwrap();
            found.insert(path.clone(), meta.ino());
            if meta.is_dir() {
                stack.push(path);
            }
        }
    }
    found
}

fn session() -> Option<Session> {
    let mut files = vec![("other/x".to_owned(), "x\n".to_owned())];
    for n in 0..40 {
        files.push((format!("deep/folder/d{}/f{n}", n % 4), format!("{n}\n").repeat(100)));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    Session::pinned(&files)
}

#[track_caller]
fn moved(s: &Session, before: &BTreeMap<PathBuf, u64>, from: &str, to: &str) {
    let now = inodes(&s.there(""));
    for (path, inode) in before {
        if let Ok(below) = path.strip_prefix(from) {
            let path =
                if below.as_os_str().is_empty() { PathBuf::from(to) } else { Path::new(to).join(below) };
            assert_eq!(now.get(&path), Some(inode), "{}", path.display());
        }
    }
    assert!(!now.contains_key(Path::new(from)), "{from} is still there");
}

#[test]
fn a_folder_moved_offline() {
    let Some(s) = session() else { return };
    let before = inodes(&s.there(""));
    s.offline();
    s.shell("mv deep/folder other/renamed; mv other/x y; mv other/renamed/d1 d1").done();
    let ops: Vec<String> = s
        .json(&["changes"])
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{} {} {}", c["op"].as_str().unwrap(), c["path"].as_str().unwrap(), c["bytes"]))
        .collect();
    assert!(ops.iter().all(|op| op.starts_with("move ") && op.ends_with(" 0")), "{ops:?}");
    assert_eq!(ops.len(), 3, "{ops:?}");
    s.online(0);
    moved(&s, &before, "deep/folder/d1", "d1");
    moved(&s, &before, "deep/folder/d2", "other/renamed/d2");
    moved(&s, &before, "other/x", "y");
    s.must_agree();
}

#[test]
fn a_folder_moved_online() {
    let Some(s) = session() else { return };
    let before = inodes(&s.there(""));
    s.shell("mv deep/folder gone-elsewhere").done();
    s.sync(0);
    moved(&s, &before, "deep/folder", "gone-elsewhere");
    s.shell("mv gone-elsewhere deep/folder").done();
    s.sync(0);
    assert_eq!(inodes(&s.there("")), before);
    s.must_agree();
}

#[test]
fn a_move_and_an_edit_of_somebody_else_are_both() {
    let Some(s) = session() else { return };
    s.offline();
    s.shell("mv deep/folder moved").done();
    s.write_there("deep/folder/d1/f1", "theirs\n");
    s.write_there("deep/folder/d1/new", "theirs, new\n");
    s.online(0);
    assert_eq!(s.read_here("moved/d1/f1"), "theirs\n");
    assert_eq!(s.read_here("moved/d1/new"), "theirs, new\n");
    assert!(!s.there("deep/folder").exists());
    s.must_agree();
}

#[test]
fn names_that_change_places() {
    let Some(s) =
        Session::pinned(&[("a", "a\n"), ("b", "b\n"), ("c", "c\n"), ("p/in", "p\n"), ("q/in", "q\n")])
    else {
        return;
    };
    s.offline();
    s.shell("mv a t; mv b a; mv c b; mv t c; mv p t; mv q p; mv t q").done();
    s.online(0);
    for (path, text) in [("a", "b\n"), ("b", "c\n"), ("c", "a\n"), ("p/in", "q\n"), ("q/in", "p\n")] {
        assert_eq!(s.read_there(path), text, "{path}");
    }
    s.must_agree();
}
