//! Names: unlink, rmdir, rename, hard and symbolic links, special files, limits.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, RenameFlags, linkat, mkdir, mknodat, renameat_with, rmdir, unlink,
};
use rustix::io::Errno;

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("unlink takes the name, changes folder and other links", unlinks),
    rule("unlink refuses folders, rmdir refuses files", wrong_kind),
    rule("rmdir refuses what is not empty, and `.`", not_empty),
    rule("mkdir makes two links and one more for the folder above", makes_folder),
    rule("rename replaces a file and keeps its own inode", rename_over_file),
    rule("rename replaces an empty folder only", rename_over_folder),
    rule("rename between links of one file does nothing", rename_same),
    rule("rename moves a folder's link count", rename_folder),
    rule("a folder cannot go below itself", rename_below),
    rule("RENAME_NOREPLACE refuses what exists", no_replace),
    rule("RENAME_EXCHANGE swaps, across kinds and folders", exchange),
    ours("RENAME_WHITEOUT is invalid", whiteout),
    rule("hard links are one file", hard_links),
    rule("a hard link to a folder is not permitted", link_to_folder),
    rule("a symbolic link holds any text and has its length", symlinks),
    rule("links in a circle end with ELOOP", circle),
    rule("names of 255 bytes exist, longer ones do not", long_names),
    rule("names are bytes", odd_names),
    rule("fifos and sockets can be made, renamed, removed", fifo),
    root("device nodes keep their numbers", devices),
];

#[test]
fn natively() {
    check_natively(RULES);
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

fn unlinks(folder: &Path) {
    let a = file(folder, "a", "x");
    let b = folder.join("b");
    std::fs::hard_link(&a, &b).unwrap();
    changes(&[(folder, true), (&b, false)], || unlink(&a).unwrap());
    assert_eq!(stat(&b).st_nlink, 1);
    assert_eq!(unlink(&a), Err(Errno::NOENT));
}

fn wrong_kind(folder: &Path) {
    let (a, d) = (file(folder, "a", ""), folder.join("d"));
    mkdir(&d, Mode::RWXU).unwrap();
    assert!(matches!(unlink(&d), Err(Errno::ISDIR | Errno::PERM)));
    assert_eq!(rmdir(&a), Err(Errno::NOTDIR));
    assert_eq!(unlink(a.join("x")), Err(Errno::NOTDIR));
}

fn not_empty(folder: &Path) {
    let d = folder.join("d");
    mkdir(&d, Mode::RWXU).unwrap();
    let inside = file(&d, "a", "");
    assert!(matches!(rmdir(&d), Err(Errno::NOTEMPTY | Errno::EXIST)));
    assert_eq!(rmdir(d.join(".")), Err(Errno::INVAL));
    unlink(inside).unwrap();
    changes(&[(folder, true)], || rmdir(&d).unwrap());
    assert!(!d.exists());
}

fn makes_folder(folder: &Path) {
    let links = stat(folder).st_nlink;
    changes(&[(folder, true)], || mkdir(folder.join("d"), Mode::from_raw_mode(0o750)).unwrap());
    assert_eq!(mkdir(folder.join("d"), Mode::RWXU), Err(Errno::EXIST));
    assert_eq!(mode(&folder.join("d")), 0o750);
    if links >= 2 {
        assert_eq!((stat(&folder.join("d")).st_nlink, stat(folder).st_nlink), (2, links + 1));
    }
}

fn rename_over_file(folder: &Path) {
    let (a, b) = (file(folder, "a", "new"), file(folder, "b", "old"));
    let inode = stat(&a).st_ino;
    changes(&[(folder, true)], || std::fs::rename(&a, &b).unwrap());
    assert_eq!((stat(&b).st_ino, text(&b).as_str(), a.exists()), (inode, "new", false));
}

fn rename_over_folder(folder: &Path) {
    let (a, b, f) = (folder.join("a"), folder.join("b"), file(folder, "f", ""));
    mkdir(&a, Mode::RWXU).unwrap();
    mkdir(&b, Mode::RWXU).unwrap();
    let inside = file(&b, "x", "");
    let rename = |from: &Path, to: &Path| rustix::fs::rename(from, to);
    assert!(matches!(rename(&a, &b), Err(Errno::NOTEMPTY | Errno::EXIST)));
    assert_eq!(rename(&f, &b), Err(Errno::ISDIR));
    assert_eq!(rename(&b, &f), Err(Errno::NOTDIR));
    unlink(inside).unwrap();
    assert_eq!(rename(&a, &b), Ok(()));
    assert!(!a.exists() && b.is_dir());
}

fn rename_same(folder: &Path) {
    let (a, b) = (file(folder, "a", "x"), folder.join("b"));
    std::fs::hard_link(&a, &b).unwrap();
    std::fs::rename(&a, &b).unwrap();
    std::fs::rename(&a, &a).unwrap();
    assert_eq!((stat(&a).st_nlink, stat(&b).st_nlink), (2, 2));
}

fn rename_folder(folder: &Path) {
    let (a, b) = (folder.join("a"), folder.join("b"));
    mkdir(&a, Mode::RWXU).unwrap();
    mkdir(&b, Mode::RWXU).unwrap();
    mkdir(a.join("d"), Mode::RWXU).unwrap();
    let before = (stat(&a).st_nlink, stat(&b).st_nlink);
    changes(&[(&a, true), (&b, true)], || std::fs::rename(a.join("d"), b.join("e")).unwrap());
    if before == (3, 2) {
        assert_eq!((stat(&a).st_nlink, stat(&b).st_nlink), (2, 3));
    }
    assert_eq!(stat(&b.join("e/..")).st_ino, stat(&b).st_ino);
}

fn rename_below(folder: &Path) {
    let a = folder.join("a");
    std::fs::create_dir_all(a.join("b")).unwrap();
    assert_eq!(rustix::fs::rename(&a, a.join("b/c")), Err(Errno::INVAL));
    assert!(rustix::fs::rename(a.join("b"), &a).is_err());
}

fn no_replace(folder: &Path) {
    let (a, b) = (file(folder, "a", "a"), file(folder, "b", "b"));
    let rename = |to: &Path| renameat_with(CWD, &a, CWD, to, RenameFlags::NOREPLACE);
    assert_eq!(rename(&b), Err(Errno::EXIST));
    assert_eq!(text(&b), "b");
    assert_eq!(rename(&folder.join("c")), Ok(()));
    assert_eq!(text(&folder.join("c")), "a");
}

fn exchange(folder: &Path) {
    let (a, d) = (file(folder, "a", "a"), folder.join("d"));
    std::fs::create_dir_all(d.join("sub")).unwrap();
    let swap = |x: &Path, y: &Path| renameat_with(CWD, x, CWD, y, RenameFlags::EXCHANGE);
    assert_eq!(swap(&a, &folder.join("none")), Err(Errno::NOENT));
    assert_eq!(swap(&a, &d), Ok(()));
    assert_eq!(text(&d), "a");
    assert!(a.join("sub").is_dir());
    let inside = file(&a, "x", "x");
    assert_eq!(swap(&inside, &d), Ok(()));
    assert_eq!((text(&inside).as_str(), text(&d).as_str()), ("a", "x"));
    assert_eq!(swap(&a, &a.join("sub")), Err(Errno::INVAL));
}

fn whiteout(folder: &Path) {
    let a = file(folder, "a", "a");
    let renamed = renameat_with(CWD, &a, CWD, folder.join("b"), RenameFlags::WHITEOUT);
    assert_eq!(renamed, Err(Errno::INVAL));
}

fn hard_links(folder: &Path) {
    let (a, b) = (file(folder, "a", "one"), folder.join("b"));
    changes(&[(folder, true), (&a, false)], || std::fs::hard_link(&a, &b).unwrap());
    assert_eq!(std::fs::hard_link(&a, &b).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    std::fs::write(&b, "other").unwrap();
    chmod(&b, 0o600);
    assert_eq!((text(&a).as_str(), mode(&a)), ("other", 0o600));
    assert_eq!((stat(&a).st_ino, stat(&a).st_nlink), (stat(&b).st_ino, 2));
    symlink("nowhere", folder.join("l")).unwrap();
    linkat(CWD, folder.join("l"), CWD, folder.join("m"), AtFlags::empty()).unwrap();
    assert_eq!(stat(&folder.join("m")).st_nlink, 2);
}

fn link_to_folder(folder: &Path) {
    mkdir(folder.join("d"), Mode::RWXU).unwrap();
    let linked = linkat(CWD, folder.join("d"), CWD, folder.join("e"), AtFlags::empty());
    assert_eq!(linked, Err(Errno::PERM));
}

fn symlinks(folder: &Path) {
    let long = "x/".repeat(2047);
    for (n, target) in ["a", "../b", "/ab so lute", long.as_str()].into_iter().enumerate() {
        let link = folder.join(n.to_string());
        symlink(target, &link).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(target));
        assert_eq!(stat(&link).st_size as usize, target.len());
        assert_eq!(kind(&link), FileType::Symlink);
    }
    assert_eq!(rustix::fs::symlink("a", folder.join("0")), Err(Errno::EXIST));
    assert_eq!(rustix::fs::readlink(file(folder, "f", ""), Vec::new()), Err(Errno::INVAL));
}

fn circle(folder: &Path) {
    symlink("b", folder.join("a")).unwrap();
    symlink("a", folder.join("b")).unwrap();
    assert_eq!(rustix::fs::stat(folder.join("a")).err(), Some(Errno::LOOP));
    assert_eq!(rustix::fs::stat(folder.join("a/x")).err(), Some(Errno::LOOP));
}

fn long_names(folder: &Path) {
    let (longest, longer) = (folder.join("x".repeat(255)), folder.join("x".repeat(256)));
    std::fs::write(&longest, "x").unwrap();
    mkdir(folder.join("y".repeat(255)), Mode::RWXU).unwrap();
    let too_long = Errno::NAMETOOLONG;
    assert_eq!(mkdir(&longer, Mode::RWXU), Err(too_long));
    assert_eq!(unlink(&longer), Err(too_long));
    assert_eq!(rmdir(&longer), Err(too_long));
    assert_eq!(rustix::fs::lstat(&longer).err(), Some(too_long));
    assert_eq!(rustix::fs::rename(&longest, &longer), Err(too_long));
    assert_eq!(rustix::fs::rename(&longer, &longest), Err(too_long));
    assert_eq!(rustix::fs::symlink("a", &longer), Err(too_long));
    assert_eq!(linkat(CWD, &longest, CWD, &longer, AtFlags::empty()), Err(too_long));
    assert_eq!(text(&longest), "x");
}

fn odd_names(folder: &Path) {
    let names: [&[u8]; 5] =
        [b"\xff\xfe", b"new\nline", b"back\\slash", "ä".as_bytes(), "a\u{308}".as_bytes()];
    for name in names {
        std::fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let mut found: Vec<Vec<u8>> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().as_bytes().to_vec()).collect();
    let mut expected: Vec<Vec<u8>> = names.iter().map(|n| n.to_vec()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

fn fifo(folder: &Path) {
    for (name, made) in [("f", FileType::Fifo), ("s", FileType::Socket)] {
        let path = folder.join(name);
        mknodat(CWD, &path, made, Mode::from_raw_mode(0o640), 0).unwrap();
        assert_eq!((kind(&path), mode(&path)), (made, 0o640));
        let moved = folder.join("moved");
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(kind(&moved), made);
        unlink(&moved).unwrap();
    }
    let path = folder.join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&path, "through").unwrap());
        assert_eq!(text(&path), "through");
    });
}

fn devices(folder: &Path) {
    for (name, made) in [("c", FileType::CharacterDevice), ("b", FileType::BlockDevice)] {
        let path = folder.join(name);
        let number = rustix::fs::makedev(300, 70_000);
        mknodat(CWD, &path, made, Mode::RWXU, number).unwrap();
        assert_eq!((kind(&path), stat(&path).st_rdev), (made, number));
    }
}
