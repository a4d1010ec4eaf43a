//! URLs, locations, mount points, pins.

use std::fs;
use std::path::Path;

use crate::common::{Ran, Session};

#[test]
fn urls_that_make_no_sense_or_lead_nowhere() {
    let Some(s) = Session::empty() else { return };
    for url in
        ["nonsense", "file://relative/path", "://", "file:", "ftp ://x/", "", "file://host-of-others/dir"]
    {
        s.ctl(&["location", "add", "nas", url]).refused(2, &[]);
    }
    s.ctl(&["location", "add", "nas", "gopher://host/dir"]).refused(2, &["gopher"]);
    let gone = s.base().join("not-there");
    let url = format!("file://{}", gone.display());
    s.ctl(&["location", "add", "nas", &url]).refused(1, &["not-there"]);
    let file = s.base().join("a-file");
    fs::write(&file, "x").unwrap();
    s.ctl(&["location", "add", "nas", &format!("file://{}", file.display())]).refused(1, &["a-file"]);
    for name in ["-x", ".x", "a/b", "", "a b", "ü", "a:b"] {
        s.ctl(&["location", "add", "--", name, &s.url()]).refused(2, &[]);
    }
    assert_eq!(s.json(&["location", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn locations_in_one_another_and_in_our_own_folders() {
    let Some(s) = Session::empty() else { return };
    fs::create_dir_all(s.there("inner")).unwrap();
    s.ok(&["location", "add", "nas", &format!("file://{}", s.there("").join("inner").display())]);
    let refused = |path: &Path, word: &str| {
        let url = format!("file://{}", path.display());
        s.ctl(&["location", "add", "two", &url]).refused_with_any(&[1, 2], &[word]);
    };
    refused(&s.there("inner"), "nas");
    refused(&s.there(""), "nas");
    fs::create_dir_all(s.there("inner/deep")).unwrap();
    refused(&s.there("inner/deep"), "nas");
    // By another name of the same folder.
    std::os::unix::fs::symlink(s.there("inner"), s.base().join("alias")).unwrap();
    refused(&s.base().join("alias"), "nas");
    refused(&s.mount(), "mount");
    refused(&s.mount().join("nas"), "mount");
    refused(&s.base().join("home"), "mount");
    refused(&s.store(), "store");
    refused(Path::new("/"), "");
    s.ctl(&["location", "add", "nas", &format!("file://{}", s.base().join("cache").display())])
        .refused(1, &["nas"]);
    assert_eq!(s.json(&["location", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn settings_that_do_not_exist() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    s.ctl(&["location", "set", "nas", "colour", "red"]).refused(2, &["colour"]);
    s.ctl(&["location", "set", "nas", "miss", "maybe"]).refused(2, &["maybe"]);
    s.ctl(&["location", "set", "nas", "limit", "lots"]).refused(2, &["lots"]);
    s.ctl(&["location", "set", "none", "miss", "fail"]).refused(1, &["none"]);
    s.ctl(&["location", "remove", "none"]).refused(1, &["none"]);
    s.ctl(&["offline", "none"]).refused(1, &["none"]);
    s.ctl(&["sync", "none", "--wait"]).refused(1, &["none"]);
}

#[test]
fn pinning_what_is_not_there() {
    let Some(s) = Session::pinned(&[("a", "a\n"), ("d/b", "b\n")]) else {
        return;
    };
    for wait in [&[][..], &["--wait"]] {
        s.ctl(&[&["pin", "nas:nowhere"][..], wait].concat()).refused(1, &["nas:nowhere"]);
        s.ctl(&[&["pin", "none:a"][..], wait].concat()).refused(1, &["none"]);
    }
    s.ctl(&["unpin", "nas:nowhere"]).refused(1, &["nas:nowhere"]);
    s.ctl(&["unpin", "nas:d"]).refused(1, &["nas:d"]);
    s.ctl(&["evict", "nas:nowhere"]).refused(1, &["nas:nowhere"]);
    s.ctl(&["pin", "/usr"]).refused(2, &["/usr"]);
    s.ctl(&["pin", "nas:../x"]).refused(2, &[]);
    s.ctl(&["cat", "nas:nowhere", "--state", "local"]).refused(1, &["nas:nowhere"]);
    s.ctl(&["cat", "nas:d", "--state", "local"]).refused(1, &["nas:d"]);
    s.ctl(&["states", "nas:nowhere"]).refused(1, &["nas:nowhere"]);
    // Offline: what is not known cannot be pinned, and it is said why.
    s.offline();
    s.ctl(&["pin", "nas:nowhere", "--wait"]).refused(1, &["nas:nowhere"]);
    s.ctl(&["sync", "nas", "--wait"]).refused(1, &["nas", "offline"]);
}

#[test]
fn mount_points_that_cannot_be_used() {
    let Some(mut s) = Session::prepared() else { return };
    fs::create_dir_all(s.mount()).unwrap();
    fs::write(s.mount().join("mine"), "precious\n").unwrap();
    Ran::of(&mut s.serve_command()).refused(1, &["Holdfast"]);
    assert_eq!(fs::read_to_string(s.mount().join("mine")).unwrap(), "precious\n");
    fs::remove_file(s.mount().join("mine")).unwrap();
    fs::remove_dir(s.mount()).unwrap();
    fs::write(s.mount(), "a file\n").unwrap();
    Ran::of(&mut s.serve_command()).refused(1, &["Holdfast"]);
    fs::remove_file(s.mount()).unwrap();
    Ran::of(s.serve_command().args(["-o", "no_such_option"])).refused_with_any(&[1, 2], &["no_such_option"]);
    // Nothing is left that would stand in the way.
    s.serve();
    s.stop();
}

#[test]
fn a_mount_point_that_is_busy() {
    let Some(mut first) = Session::prepared() else {
        return;
    };
    first.serve();
    let Some(second) = Session::prepared() else { return };
    let at = first.mount();
    Ran::of(second.serve_command().arg("--mount").arg(&at)).refused(1, &["Holdfast"]);
    assert!(fs::read_dir(at).is_ok(), "the first one goes on");
    first.ok(&["status"]);
}

#[test]
fn serve_twice() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    Ran::of(&mut s.serve_command()).refused(1, &[]);
    let other = s.base().join("home/other");
    Ran::of(s.serve_command().arg("--mount").arg(&other)).refused(1, &[]);
    assert_eq!(s.read_here("a"), "a\n", "the first one goes on");
    s.must_agree();
}

#[test]
fn a_location_with_waiting_changes_is_not_removed() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    s.offline();
    s.write_here("a", "changed\n");
    s.write_here("new", "new\n");
    s.ctl(&["location", "remove", "nas"]).refused(1, &["nas", "--discard"]);
    assert_eq!(s.read_here("a"), "changed\n");
    s.ok(&["location", "remove", "nas", "--discard"]);
    assert_eq!(s.read_there("a"), "a\n");
    let stash = s.json(&["stash", "list"]);
    let texts: Vec<String> =
        stash.as_array().unwrap().iter().map(|e| s.ok(&["stash", "cat", &e["id"].to_string()])).collect();
    assert!(texts.contains(&"changed\n".into()) && texts.contains(&"new\n".into()), "{texts:?}");
}

#[test]
fn files_of_the_client_that_lie_in_the_mount() {
    let Some(s) = Session::pinned(&[("a", "a\n"), ("mine", "merged by hand\n")]) else {
        return;
    };
    s.offline();
    s.write_here("a", "here\n");
    s.write_there("a", "there\n");
    s.online(4);
    let mine = s.here("mine");
    s.ok(&["resolve", "nas:a", "--with", mine.to_str().unwrap()]);
    s.sync(0);
    assert_eq!(s.read_there("a"), "merged by hand\n");
    s.ctl(&["resolve", "nas:a", "--with", "/nowhere/file"]).refused(1, &["/nowhere/file"]);
    s.offline();
    s.write_here("a", "again\n");
    let archive = s.here("changes.tar");
    s.ok(&["export", archive.to_str().unwrap()]);
    assert!(archive.is_file());
    s.ctl(&["export", "/nowhere/changes.tar"]).refused(1, &["/nowhere"]);
    s.online(0);
    s.must_agree();
}
