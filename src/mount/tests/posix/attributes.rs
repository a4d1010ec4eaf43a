//! Modes, owners, set-id bits, sticky folders, times, sizes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use rustix::io::Errno;

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("chmod changes the ctime and nothing else", chmods),
    rule("truncate makes longer with zeros and shorter", truncates),
    rule("ftruncate works through a descriptor whose file nobody may write", ftruncates),
    rule("truncate refuses folders and negative lengths", truncate_refuses),
    rule("writing changes mtime and ctime, reading neither", writes),
    rule("times are kept to the nanosecond, before 1970 too", times),
    rule("UTIME_NOW and UTIME_OMIT", now_and_omit),
    rule("times of a link are its own", link_times),
    root("only the owner or root changes modes", foreign_chmod),
    root("chown gives owner and group, changes the ctime", chowns),
    root("a member may give a group, a stranger may not", chgrp),
    root("chown by an ordinary owner clears set-id bits", chown_clears),
    root("writing and truncating by a stranger clears set-id bits", write_clears),
    root("chmod by who is not in the group clears set-gid", chmod_clears),
    root("a set-gid folder hands down its group, and the bit to folders", setgid_folder),
    root("in a sticky folder only owners remove and rename", sticky),
    root("explicit times need the owner, now needs permission to write", foreign_times),
];

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

fn chmods(folder: &Path) {
    let a = file(folder, "a", "x");
    changes(&[(&a, false)], || chmod(&a, 0o4711));
    assert_eq!(mode(&a), 0o4711);
    changes(&[(folder, false)], || chmod(folder, 0o1777));
    assert_eq!(mode(folder), 0o1777);
}

fn truncates(folder: &Path) {
    let a = file(folder, "a", "content");
    let f = OpenOptions::new().write(true).open(&a).unwrap();
    changes(&[(&a, true)], || f.set_len(3).unwrap());
    assert_eq!(text(&a), "con");
    f.set_len(6).unwrap();
    assert_eq!(text(&a), "con\0\0\0");
    f.set_len(1 << 40).unwrap();
    assert_eq!(stat(&a).st_size, 1 << 40);
    f.set_len(0).unwrap();
    assert_eq!(text(&a), "");
}

fn ftruncates(folder: &Path) {
    let a = file(folder, "a", "content");
    let f = OpenOptions::new().write(true).open(&a).unwrap();
    chmod(&a, 0o000);
    f.set_len(4).unwrap();
    assert_eq!(stat(&a).st_size, 4);
}

fn truncate_refuses(folder: &Path) {
    let truncated = rustix::fs::open(folder, rustix::fs::OFlags::WRONLY, Mode::empty());
    assert_eq!(truncated.err(), Some(Errno::ISDIR));
    let f = OpenOptions::new().write(true).create(true).truncate(true).open(folder.join("a")).unwrap();
    assert_eq!(rustix::fs::ftruncate(&f, u64::MAX), Err(Errno::INVAL));
}

fn writes(folder: &Path) {
    let a = file(folder, "a", "one");
    changes(&[(&a, true)], || std::fs::write(&a, "two").unwrap());
    let before = (mtime(&a), ctime(&a));
    a_moment();
    assert_eq!(text(&a), "two");
    assert_eq!((mtime(&a), ctime(&a)), before);
}

fn spec(secs: i64, nanos: i64) -> Timespec {
    Timespec { tv_sec: secs, tv_nsec: nanos }
}

fn set_times(path: &Path, atime: Timespec, mtime: Timespec) -> rustix::io::Result<()> {
    let times = Timestamps { last_access: atime, last_modification: mtime };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn times(folder: &Path) {
    let a = file(folder, "a", "");
    for (secs, nanos) in [(0, 1), (1_700_000_000, 123_456_789), (-1, 999_999_999), (-86_400, 0)] {
        changes_ctime(&a, || set_times(&a, spec(7, 8), spec(secs, nanos)).unwrap());
        let s = stat(&a);
        assert_eq!((s.st_mtime as i64, s.st_mtime_nsec as i64), (secs, nanos));
        assert_eq!((s.st_atime as i64, s.st_atime_nsec as i64), (7, 8));
    }
}

fn changes_ctime(path: &Path, act: impl FnOnce()) {
    let before = ctime(path);
    a_moment();
    act();
    assert!(ctime(path) > before);
}

fn now_and_omit(folder: &Path) {
    let a = file(folder, "a", "");
    set_times(&a, spec(7, 0), spec(8, 0)).unwrap();
    set_times(&a, spec(9, 0), spec(0, UTIME_OMIT.into())).unwrap();
    assert_eq!((stat(&a).st_atime as i64, mtime(&a).0), (9, 8));
    set_times(&a, spec(0, UTIME_OMIT.into()), spec(0, UTIME_NOW.into())).unwrap();
    assert_eq!(stat(&a).st_atime as i64, 9);
    assert!(mtime(&a).0 > 1_600_000_000);
}

fn link_times(folder: &Path) {
    let (a, l) = (file(folder, "a", ""), folder.join("l"));
    std::os::unix::fs::symlink("a", &l).unwrap();
    let before = mtime(&a);
    set_times(&l, spec(7, 0), spec(8, 9)).unwrap();
    assert_eq!((mtime(&l), mtime(&a)), ((8, 9), before));
}

fn foreign_chmod(folder: &Path) {
    let a = file(folder, "a", "");
    let change = || rustix::fs::chmod(&a, Mode::RWXU);
    assert_eq!(act_as(SOMEBODY, change), Err(Errno::PERM));
    chown(&a, Some(SOMEBODY), None).unwrap();
    assert_eq!(act_as(SOMEBODY, change), Ok(()));
}

fn owner(path: &Path) -> (u32, u32) {
    (stat(path).st_uid, stat(path).st_gid)
}

fn chowns(folder: &Path) {
    let (a, l) = (file(folder, "a", ""), folder.join("l"));
    changes(&[(&a, false)], || chown(&a, Some(SOMEBODY), Some(ANOTHER)).unwrap());
    assert_eq!(owner(&a), (SOMEBODY, ANOTHER));
    chown(&a, None, Some(7)).unwrap();
    assert_eq!(owner(&a), (SOMEBODY, 7));
    std::os::unix::fs::symlink("a", &l).unwrap();
    std::os::unix::fs::lchown(&l, Some(ANOTHER), None).unwrap();
    assert_eq!((owner(&l).0, owner(&a).0), (ANOTHER, SOMEBODY));
    assert!(act_as(SOMEBODY, || chown(&a, Some(ANOTHER), None)).is_err());
}

fn chgrp(folder: &Path) {
    let a = file(folder, "a", "");
    chown(&a, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let give = || chown(&a, None, Some(ANOTHER));
    assert!(act_as(SOMEBODY, give).is_err());
    act_as_member(SOMEBODY, SOMEBODY, &[ANOTHER], give).unwrap();
    assert_eq!(owner(&a), (SOMEBODY, ANOTHER));
}

fn chown_clears(folder: &Path) {
    let a = file(folder, "a", "");
    chown(&a, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    chmod(&a, 0o6555);
    act_as_member(SOMEBODY, SOMEBODY, &[ANOTHER], || chown(&a, None, Some(ANOTHER))).unwrap();
    assert_eq!(mode(&a), 0o555);
    let d = folder.join("d");
    std::fs::create_dir(&d).unwrap();
    chmod(&d, 0o2755);
    chown(&d, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    assert_eq!(mode(&d), 0o2755, "a folder keeps it");
}

fn write_clears(folder: &Path) {
    let a = file(folder, "a", "x");
    let clears = |act: &(dyn Fn() -> std::io::Result<()> + Sync)| {
        chmod(&a, 0o6777);
        act_as(SOMEBODY, act).unwrap();
        assert_eq!(mode(&a), 0o777);
    };
    let open = || OpenOptions::new().write(true).open(&a);
    clears(&|| open()?.write_all(b"y"));
    clears(&|| open()?.set_len(1));
    clears(&|| File::create(&a).map(drop));
    chmod(&a, 0o6777);
    std::fs::write(&a, "root").unwrap();
    assert_eq!(mode(&a), 0o6777, "root keeps them");
}

fn chmod_clears(folder: &Path) {
    let a = file(folder, "a", "");
    chown(&a, Some(SOMEBODY), Some(ANOTHER)).unwrap();
    let set = || rustix::fs::chmod(&a, Mode::from_raw_mode(0o2755));
    act_as(SOMEBODY, set).unwrap();
    assert_eq!(mode(&a), 0o755);
    act_as_member(SOMEBODY, SOMEBODY, &[ANOTHER], set).unwrap();
    assert_eq!(mode(&a), 0o2755);
}

fn setgid_folder(folder: &Path) {
    chown(folder, None, Some(ANOTHER)).unwrap();
    chmod(folder, 0o2777);
    act_as(SOMEBODY, || {
        file(folder, "a", "");
        std::fs::create_dir(folder.join("d")).unwrap();
        OpenOptions::new().write(true).create_new(true).mode(0o2770).open(folder.join("g")).unwrap();
    });
    assert_eq!(owner(&folder.join("a")), (SOMEBODY, ANOTHER));
    assert_eq!(owner(&folder.join("d")), (SOMEBODY, ANOTHER));
    assert_eq!(mode(&folder.join("d")) & 0o2000, 0o2000);
    assert_eq!(mode(&folder.join("a")) & 0o2000, 0);
}

fn sticky(folder: &Path) {
    chmod(folder, 0o1777);
    let (a, b) = (file(folder, "a", ""), folder.join("b"));
    act_as(SOMEBODY, || {
        assert_eq!(rustix::fs::unlink(&a), Err(Errno::PERM));
        assert_eq!(rustix::fs::rename(&a, &b), Err(Errno::PERM));
        file(folder, "c", "");
        assert_eq!(rustix::fs::rename(folder.join("c"), &a), Err(Errno::PERM));
    });
    assert!(matches!(act_as(ANOTHER, || rustix::fs::unlink(folder.join("c"))), Err(Errno::PERM)));
    assert_eq!(act_as(SOMEBODY, || rustix::fs::unlink(folder.join("c"))), Ok(()));
}

fn foreign_times(folder: &Path) {
    let a = file(folder, "a", "");
    chmod(&a, 0o666);
    let (explicit, now) = (spec(7, 0), spec(0, UTIME_NOW.into()));
    assert_eq!(act_as(SOMEBODY, || set_times(&a, explicit, explicit)), Err(Errno::PERM));
    assert_eq!(act_as(SOMEBODY, || set_times(&a, now, now)), Ok(()));
    chmod(&a, 0o644);
    assert_eq!(act_as(SOMEBODY, || set_times(&a, now, now)), Err(Errno::ACCESS));
}
