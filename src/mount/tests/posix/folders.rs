//! Listing folders, small, large, and while they change.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags};

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("an empty folder holds itself and the one above", dots),
    rule("kinds are told", kinds),
    rule("each change shows in the next listing", changes_show),
    rule("20,000 entries are listed once each", many),
    rule("20,000 entries can be removed while they are listed", removing),
    rule("what stays is listed once, whatever else comes and goes", stays),
    rule("telldir and seekdir lead back", positions),
    rule("rewinddir looks again", rewinds),
    rule("a listing begun late hides nothing from those that follow", late),
    rule("a removed folder that is open is empty", removed),
];

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

fn open(folder: &Path) -> Dir {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    Dir::new(rustix::fs::open(folder, flags, Mode::empty()).unwrap()).unwrap()
}

fn next(dir: &mut Dir) -> Option<(String, FileType, i64, u64)> {
    let entry = dir.read()?.unwrap();
    let name = entry.file_name().to_str().unwrap().to_owned();
    Some((name, entry.file_type(), entry.offset(), entry.ino()))
}

fn names(dir: &mut Dir) -> Vec<String> {
    std::iter::from_fn(|| next(dir))
        .map(|entry| entry.0)
        .filter(|name| !matches!(name.as_str(), "." | ".."))
        .collect()
}

fn fill(folder: &Path, count: usize) {
    for n in 0..count {
        File::create(folder.join(format!("file-with-a-longer-name-{n:06}"))).unwrap();
    }
}

fn dots(folder: &Path) {
    let mut found: Vec<(String, u64)> = Vec::new();
    let mut dir = open(folder);
    while let Some((name, kind, _, inode)) = next(&mut dir) {
        assert_eq!(kind, FileType::Directory);
        found.push((name, inode));
    }
    found.sort();
    let above = stat(folder.parent().unwrap()).st_ino;
    assert_eq!(found, [(".".into(), stat(folder).st_ino), ("..".into(), above)]);
}

fn kinds(folder: &Path) {
    file(folder, "f", "");
    std::fs::create_dir(folder.join("d")).unwrap();
    std::os::unix::fs::symlink("x", folder.join("l")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("p"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut dir = open(folder);
    while let Some((name, kind, _, inode)) = next(&mut dir) {
        let expected = match name.as_str() {
            "f" => FileType::RegularFile,
            "d" => FileType::Directory,
            "l" => FileType::Symlink,
            "p" => FileType::Fifo,
            _ => continue,
        };
        assert_eq!((kind, inode), (expected, stat(&folder.join(&name)).st_ino), "{name}");
    }
}

fn changes_show(folder: &Path) {
    let list = || names(&mut open(folder)).into_iter().collect::<BTreeSet<_>>();
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(list(), set(&[]));
    file(folder, "a", "");
    assert_eq!(list(), set(&["a"]));
    std::fs::rename(folder.join("a"), folder.join("b")).unwrap();
    assert_eq!(list(), set(&["b"]));
    std::fs::hard_link(folder.join("b"), folder.join("c")).unwrap();
    assert_eq!(list(), set(&["b", "c"]));
    std::fs::remove_file(folder.join("b")).unwrap();
    assert_eq!(list(), set(&["c"]));
}

const MANY: usize = 20_000;

fn many(folder: &Path) {
    fill(folder, MANY);
    for _ in 0..2 {
        let found = names(&mut open(folder));
        assert_eq!(found.len(), MANY);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), MANY);
    }
}

fn removing(folder: &Path) {
    fill(folder, MANY);
    let mut dir = open(folder);
    let mut removed = 0;
    while let Some((name, ..)) = next(&mut dir) {
        if !name.starts_with('.') {
            std::fs::remove_file(folder.join(name)).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, MANY);
    std::fs::remove_dir(folder).unwrap();
    std::fs::create_dir(folder).unwrap();
}

fn stays(folder: &Path) {
    fill(folder, 3000);
    let mut dir = open(folder);
    let mut found = Vec::new();
    let mut n = 0;
    while let Some((name, ..)) = next(&mut dir) {
        found.push(name);
        if n % 10 == 0 && n < 3000 {
            let number = n / 10;
            let _ = std::fs::remove_file(folder.join(format!("file-with-a-longer-name-{number:06}")));
            file(folder, &format!("new{number}"), "");
        }
        n += 1;
    }
    for number in 300..3000 {
        let name = format!("file-with-a-longer-name-{number:06}");
        assert_eq!(found.iter().filter(|f| **f == name).count(), 1, "{name}");
    }
}

fn positions(folder: &Path) {
    fill(folder, 1000);
    let mut dir = open(folder);
    let entries: Vec<_> = std::iter::from_fn(|| next(&mut dir)).collect();
    assert_eq!(entries.len(), 1002);
    for n in [0, 1, 2, 500, 999, 1000] {
        dir.seek(entries[n].2).unwrap();
        assert_eq!(next(&mut dir).unwrap().0, entries[n + 1].0, "after entry {n}");
    }
    dir.seek(entries[1001].2).unwrap();
    assert!(next(&mut dir).is_none());
}

fn rewinds(folder: &Path) {
    file(folder, "a", "");
    let mut dir = open(folder);
    assert_eq!(names(&mut dir), ["a"]);
    file(folder, "b", "");
    dir.rewind();
    let found: BTreeSet<_> = names(&mut dir).into_iter().collect();
    assert!(found.contains("a") && found.contains("b"));
}

/// The kernel keeps a listing for others: it must be one of the time at which it was read, not of
/// the time at which the folder was opened.
fn late(folder: &Path) {
    file(folder, "a", "");
    let mut early = open(folder);
    file(folder, "b", "");
    assert!(names(&mut early).contains(&"a".into()));
    let found: BTreeSet<_> = names(&mut open(folder)).into_iter().collect();
    assert_eq!(found, ["a", "b"].map(String::from).into());
}

fn removed(folder: &Path) {
    let d = folder.join("d");
    std::fs::create_dir(&d).unwrap();
    let held = File::open(&d).unwrap();
    std::fs::remove_dir(&d).unwrap();
    let made = rustix::fs::openat(&held, "x", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU);
    assert_eq!(made.err(), Some(rustix::io::Errno::NOENT));
}
