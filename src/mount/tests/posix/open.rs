//! Opening, creating, appending, truncating by open, and files without a name.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("O_CREAT makes an empty file with the mode less the umask", creates),
    rule("O_CREAT on what exists opens it and keeps mode and content", creates_again),
    rule("O_EXCL refuses what exists, links that lead nowhere too", exclusive),
    rule("O_TRUNC empties and changes the times", truncates),
    rule("O_APPEND writes at the end, whatever the offset", appends),
    rule("O_APPEND of two descriptors never overwrites", appends_twice),
    rule("O_DIRECTORY and O_NOFOLLOW refuse the wrong kind", wrong_kind),
    rule("a folder cannot be opened for writing", folder_for_writing),
    rule("what is missing and what lies below a file have their errors", missing),
    rule("an unlinked file lives until it is closed", unlinked),
    rule("a file replaced by rename lives until it is closed", replaced),
    rule("a descriptor for reading only cannot write", read_only),
    root("modes are checked for those who are not root", permissions),
    root("a file made without permission to write can be written by its maker", unwritable),
];

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

fn creates(folder: &Path) {
    changes(&[(folder, true)], || {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o7777).open(folder.join("a")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    });
    let s = stat(&folder.join("a"));
    assert_eq!((s.st_nlink, s.st_size, s.st_mode & 0o022), (1, 0, 0));
}

fn creates_again(folder: &Path) {
    let path = file(folder, "a", "content");
    chmod(&path, 0o640);
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o777).clone();
    options.open(&path).unwrap();
    assert_eq!((mode(&path), text(&path).as_str()), (0o640, "content"));
}

fn exclusive(folder: &Path) {
    let path = file(folder, "a", "");
    std::os::unix::fs::symlink("nowhere", folder.join("l")).unwrap();
    for path in [path, folder.join("l"), folder.to_owned()] {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let opened = rustix::fs::open(&path, flags, Mode::RWXU);
        assert_eq!(opened.err(), Some(Errno::EXIST), "{path:?}");
    }
    assert!(!folder.join("nowhere").exists());
}

fn truncates(folder: &Path) {
    let path = file(folder, "a", "content");
    changes(&[(&path, true)], || {
        File::create(&path).unwrap();
    });
    assert_eq!(stat(&path).st_size, 0);
}

fn appends(folder: &Path) {
    let path = file(folder, "a", "one");
    let mut a = OpenOptions::new().read(true).append(true).open(&path).unwrap();
    a.seek(SeekFrom::Start(0)).unwrap();
    a.write_all(b"two").unwrap();
    assert_eq!(a.stream_position().unwrap(), 6);
    assert_eq!(text(&path), "onetwo");
}

fn appends_twice(folder: &Path) {
    let path = folder.join("a");
    let open = || OpenOptions::new().create(true).append(true).open(&path).unwrap();
    std::thread::scope(|scope| {
        for letter in ["a", "b", "c", "d"] {
            let mut file = open();
            scope.spawn(move || (0..250).for_each(|_| file.write_all(letter.as_bytes()).unwrap()));
        }
    });
    let all = text(&path);
    assert_eq!(all.len(), 1000);
    for letter in ['a', 'b', 'c', 'd'] {
        assert_eq!(all.matches(letter).count(), 250);
    }
}

fn wrong_kind(folder: &Path) {
    let path = file(folder, "a", "");
    let link = folder.join("l");
    std::os::unix::fs::symlink("a", &link).unwrap();
    let open = |path: &Path, flags| rustix::fs::open(path, flags, Mode::empty()).err();
    assert_eq!(open(&path, OFlags::DIRECTORY), Some(Errno::NOTDIR));
    assert_eq!(open(&link, OFlags::NOFOLLOW), Some(Errno::LOOP));
    assert_eq!(open(&link, OFlags::empty()), None);
}

fn folder_for_writing(folder: &Path) {
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::TRUNC | OFlags::WRONLY] {
        let opened = rustix::fs::open(folder, flags, Mode::empty());
        assert_eq!(opened.err(), Some(Errno::ISDIR));
    }
}

fn missing(folder: &Path) {
    file(folder, "a", "");
    let open = |name: &str| rustix::fs::open(folder.join(name), OFlags::RDONLY, Mode::empty()).err();
    assert_eq!(open("b"), Some(Errno::NOENT));
    assert_eq!(open("b"), Some(Errno::NOENT), "remembered as absent");
    assert_eq!(open("b/c"), Some(Errno::NOENT));
    assert_eq!(open("a/c"), Some(Errno::NOTDIR));
    file(folder, "b", "");
    assert_eq!(open("b"), None, "no longer absent");
}

fn unlinked(folder: &Path) {
    let path = file(folder, "a", "content");
    let mut f = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rustix::fs::fstat(&f).unwrap().st_nlink, 0);
    f.seek(SeekFrom::End(0)).unwrap();
    f.write_all(b" more").unwrap();
    f.set_len(10).unwrap();
    rustix::fs::fchmod(&f, Mode::from_raw_mode(0o600)).unwrap();
    f.rewind().unwrap();
    let mut all = String::new();
    f.read_to_string(&mut all).unwrap();
    assert_eq!(all, "content mo");
    file(folder, "a", "new");
    assert_eq!(f.metadata().unwrap().len(), 10);
}

fn replaced(folder: &Path) {
    let path = file(folder, "a", "old");
    let mut old = File::open(&path).unwrap();
    std::fs::rename(file(folder, "b", "new"), &path).unwrap();
    let mut all = String::new();
    old.read_to_string(&mut all).unwrap();
    assert_eq!((all.as_str(), text(&path).as_str()), ("old", "new"));
}

fn read_only(folder: &Path) {
    let path = file(folder, "a", "x");
    let f = File::open(&path).unwrap();
    assert_eq!(rustix::io::write(&f, b"y").err(), Some(Errno::BADF));
    assert_eq!(rustix::fs::ftruncate(&f, 0).err(), Some(Errno::INVAL));
}

fn permissions(folder: &Path) {
    let path = file(folder, "a", "x");
    chmod(&path, 0o600);
    let open = |flags| rustix::fs::open(&path, flags, Mode::empty()).err();
    assert_eq!(act_as(SOMEBODY, || open(OFlags::RDONLY)), Some(Errno::ACCESS));
    chmod(&path, 0o604);
    assert_eq!(act_as(SOMEBODY, || open(OFlags::RDONLY)), None);
    assert_eq!(act_as(SOMEBODY, || open(OFlags::WRONLY)), Some(Errno::ACCESS));
    chmod(folder, 0o700);
    assert_eq!(act_as(SOMEBODY, || open(OFlags::RDONLY)), Some(Errno::ACCESS));
    chmod(folder, 0o755);
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let made = act_as(SOMEBODY, || rustix::fs::open(folder.join("b"), flags, Mode::RWXU).err());
    assert_eq!(made, Some(Errno::ACCESS));
}

fn unwritable(folder: &Path) {
    let written = act_as(SOMEBODY, || {
        let mut f = OpenOptions::new().write(true).create_new(true).mode(0o400).open(folder.join("a"))?;
        f.write_all(b"content")?;
        f.set_len(4)
    });
    written.unwrap();
    assert_eq!(text(&folder.join("a")), "cont");
    assert_eq!(stat(&folder.join("a")).st_uid, SOMEBODY);
}
