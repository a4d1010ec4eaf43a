//! Extended attributes.

use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, getxattr_query, listxattr, listxattr_query, removexattr, setxattr};
use rustix::io::Errno;

use crate::rule::*;

const RULES: &[Rule] = &[
    rule("an attribute is set, read, listed, removed", round),
    rule("creating and replacing are told apart", create_and_replace),
    rule("a buffer too small is ERANGE, none asks for the size", sizes),
    rule("setting changes the ctime only", sets_ctime),
    rule("values may be empty and hold any byte", any_value),
    ours("other name spaces are not supported", other_spaces),
    ours("security.capability is answered, often", capability),
    ours("our own attributes can be read, not listed, not set", virtual_ones),
];

#[test]
fn natively() {
    check_natively_where_supported();
}

#[test]
fn in_the_mount() {
    check_in_mount(RULES);
}

/// Some ordinary file systems keep no user attributes.
fn check_natively_where_supported() {
    let probe = tempfile::NamedTempFile::new().unwrap();
    match setxattr(probe.path(), "user.probe", b"1", XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => println!("SKIPPED: no user attributes in the folder for temporary files"),
        _ => check_natively(RULES),
    }
}

fn get(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 70_000];
    let len = getxattr(path, name, &mut value[..])?;
    value.truncate(len);
    Ok(value)
}

fn set(path: &Path, name: &str, value: &[u8]) -> Result<(), Errno> {
    setxattr(path, name, value, XattrFlags::empty())
}

/// Those of users: some systems give each file others.
fn list(path: &Path) -> Vec<String> {
    let mut names = vec![0; 70_000];
    let len = listxattr(path, &mut names[..]).unwrap();
    let mut names: Vec<String> = String::from_utf8(names[..len].to_vec())
        .unwrap()
        .split_terminator('\0')
        .filter(|name| name.starts_with("user."))
        .map(String::from)
        .collect();
    names.sort();
    names
}

fn round(folder: &Path) {
    for path in [file(folder, "a", ""), folder.to_owned()] {
        assert_eq!(get(&path, "user.a"), Err(Errno::NODATA));
        set(&path, "user.a", b"one").unwrap();
        set(&path, "user.b", b"two").unwrap();
        set(&path, "user.a", b"three").unwrap();
        assert_eq!(get(&path, "user.a").unwrap(), b"three");
        assert_eq!(list(&path), ["user.a", "user.b"]);
        removexattr(&path, "user.a").unwrap();
        assert_eq!(removexattr(&path, "user.a"), Err(Errno::NODATA));
        assert_eq!(list(&path), ["user.b"]);
    }
}

fn create_and_replace(folder: &Path) {
    let a = file(folder, "a", "");
    let set = |flags| setxattr(&a, "user.a", b"x", flags);
    assert_eq!(set(XattrFlags::REPLACE), Err(Errno::NODATA));
    assert_eq!(set(XattrFlags::CREATE), Ok(()));
    assert_eq!(set(XattrFlags::CREATE), Err(Errno::EXIST));
    assert_eq!(set(XattrFlags::REPLACE), Ok(()));
}

fn sizes(folder: &Path) {
    let a = file(folder, "a", "");
    set(&a, "user.a", b"12345").unwrap();
    let mut small = [0; 4];
    assert_eq!(getxattr(&a, "user.a", &mut small), Err(Errno::RANGE));
    assert_eq!(getxattr_query(&a, "user.a"), Ok(5));
    assert_eq!(listxattr(&a, &mut small), Err(Errno::RANGE));
    assert!(listxattr_query(&a).unwrap() >= 7);
}

fn sets_ctime(folder: &Path) {
    let a = file(folder, "a", "");
    changes(&[(&a, false)], || set(&a, "user.a", b"x").unwrap());
    changes(&[(&a, false)], || removexattr(&a, "user.a").unwrap());
}

fn any_value(folder: &Path) {
    let a = file(folder, "a", "");
    let all: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], b"\0", &all] {
        set(&a, "user.a", value).unwrap();
        assert_eq!(get(&a, "user.a").unwrap(), value);
    }
}

fn other_spaces(folder: &Path) {
    let a = file(folder, "a", "");
    assert_eq!(set(&a, "security.x", b"1"), Err(Errno::OPNOTSUPP));
    assert_eq!(get(&a, "system.posix_acl_access"), Err(Errno::OPNOTSUPP));
    // None of these may switch off attributes for good.
    round(folder);
}

fn capability(folder: &Path) {
    let a = file(folder, "a", "");
    for _ in 0..100 {
        assert_eq!(get(&a, "security.capability"), Err(Errno::NODATA));
    }
    set(&a, "user.a", b"still").unwrap();
}

fn virtual_ones(folder: &Path) {
    let a = file(folder, "a", "content");
    assert_eq!(get(&a, "user.holdfast.presence").unwrap(), b"present");
    assert_eq!(get(&a, "user.holdfast.state").unwrap(), b"changed");
    assert_eq!(get(&a, "user.holdfast.pinned").unwrap(), b"no");
    assert!(list(&a).is_empty());
    assert!(set(&a, "user.holdfast.state", b"clean").is_err());
}
