//! Names of all sorts, on both sides and on the command line.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::common::Session;

fn names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        &b"new\nline"[..],
        b"-leading-dash",
        b"--wait",
        b"invalid-\xff\xfe",
        b" space ",
        b"a:b",
        b"quote'\"`$(x)",
        b"tab\tand\x1b[31m",
        b"back\\slash",
        b"*?[x]",
        "ü\u{301} 漢字".as_bytes(),
    ]
    .into_iter()
    .map(|name| OsStr::from_bytes(name).to_owned())
    .collect();
    names.push(OsString::from("n".repeat(255)));
    names.push(OsString::from_vec([&b"x".repeat(254)[..], b"\xff"].concat()));
    names
}

#[test]
fn all_bytes_make_names() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    // Made here, made there, and edited on both sides.
    for (n, name) in names().iter().enumerate() {
        fs::create_dir_all(s.there(&format!("t{n}"))).unwrap();
        fs::write(s.there(&format!("t{n}")).join(name), "there\n").unwrap();
        fs::create_dir_all(s.here(&format!("h{n}"))).unwrap();
        fs::write(s.here(&format!("h{n}")).join(name), "here\n").unwrap();
    }
    s.sync(0);
    s.must_agree();
    s.offline();
    for (n, name) in names().iter().enumerate() {
        fs::write(s.here(&format!("t{n}")).join(name), "edited here\n").unwrap();
        fs::write(s.there(&format!("t{n}")).join(name), "edited there, too\n").unwrap();
        fs::rename(s.here(&format!("h{n}")).join(name), s.here(&format!("h{n}/plain"))).unwrap();
    }
    s.online(4);
    assert_eq!(s.conflicts().len(), names().len());
    let conflicts = s.json(&["conflicts"]);
    let coded = conflicts.as_array().unwrap().iter().filter(|c| c["path_b64"].is_string()).count();
    assert_eq!(coded, 2, "bytes that are not UTF-8 stand beside as base64");
    let text = s.ok(&["conflicts"]);
    assert!(!text.contains('\x1b'), "no control character reaches the terminal");
    for (n, name) in names().iter().enumerate() {
        let path = OsString::from_vec([format!("nas:t{n}/").as_bytes(), name.as_bytes()].concat());
        let cat = s.ctl(&[OsStr::new("cat"), &path, OsStr::new("--state"), OsStr::new("server")]);
        assert_eq!(cat.code(0).text(), "edited there, too\n");
        // By its path in the mount as well.
        let there = s.here(&format!("t{n}")).join(name);
        let args = [OsStr::new("resolve"), there.as_os_str(), OsStr::new("--keep"), OsStr::new("both")];
        s.ctl(&args).code(0);
    }
    s.sync(0);
    s.must_agree();
    for n in 0..names().len() {
        assert_eq!(fs::read_dir(s.there(&format!("t{n}"))).unwrap().count(), 2, "both are kept in t{n}");
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_at_once() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    let long = s.here(&"n".repeat(256));
    let error = fs::write(long, "x").expect_err("256 bytes are too many");
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()));
    s.sync(0);
}

#[test]
fn the_clock_jumps_backwards() {
    let Some(s) = Session::pinned(&[("a", "a\n"), ("b", "b\n"), ("c", "same\n")]) else {
        return;
    };
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    let set = |path: std::path::PathBuf| {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(old).unwrap();
    };
    s.offline();
    s.write_here("a", "edited here\n");
    set(s.here("a"));
    s.write_there("b", "B\n");
    set(s.there("b"));
    set(s.there("c"));
    s.online(0);
    assert_eq!(s.read_there("a"), "edited here\n");
    assert_eq!(s.read_here("b"), "B\n", "the same size, and a time before");
    s.must_agree();
}
