//! The ways in which programs save a file.

use std::fs;

use crate::common::Session;
use crate::common::saving::{Way, ways};

const OLD: &str = "the old text\n";
const ADDED: &str = "a new line, the first";
const NEW: &str = "a new line, the first\nthe old text\n";
const THEIRS: &str = "what somebody else wrote meanwhile\n";

/// One folder for each way, pinned.
fn session() -> Option<Session> {
    let files: Vec<(String, &str)> = ways().map(|(n, _)| (format!("w{n}/doc.txt"), OLD)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
    let s = Session::pinned(&files)?;
    fs::write(s.base().join("new"), NEW).unwrap();
    Some(s)
}

fn save(s: &Session, n: usize, way: &Way) {
    s.shell(&format!("cd w{n}; {}", way.script("doc.txt", ADDED, &s.base().join("new")))).done();
    assert_eq!(s.read_here(&format!("w{n}/doc.txt")), NEW, "{}", way.name);
}

#[track_caller]
fn must_be_one_update(s: &Session, n: usize, way: &Way) {
    assert_eq!(s.read_there(&format!("w{n}/doc.txt")), NEW, "{}", way.name);
    let mut names: Vec<String> = fs::read_dir(s.there(&format!("w{n}")))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|name| name != "doc.txt")
        .collect();
    names.sort();
    assert_eq!(names, way.leaves("doc.txt"), "{}", way.name);
}

#[test]
fn offline_it_is_one_write() {
    let Some(s) = session() else { return };
    s.offline();
    for (n, way) in ways() {
        save(&s, n, way);
        let changes = s.json(&["changes", &format!("nas:w{n}/doc.txt")]);
        let ops: Vec<&str> = changes.as_array().unwrap().iter().filter_map(|c| c["op"].as_str()).collect();
        assert_eq!(ops, ["write"], "{}: {changes}", way.name);
    }
    s.online(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn online_it_is_one_update() {
    let Some(s) = session() else { return };
    for (n, way) in ways() {
        save(&s, n, way);
    }
    s.sync(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn with_an_edit_of_somebody_else_it_is_one_conflict() {
    let Some(s) = session() else { return };
    s.offline();
    for (n, way) in ways() {
        save(&s, n, way);
        let there = s.there(&format!("w{n}/doc.txt"));
        // They save in their ways too.
        if n % 2 == 0 {
            fs::write(&there, THEIRS).unwrap();
        } else {
            fs::write(there.with_extension("tmp"), THEIRS).unwrap();
            fs::rename(there.with_extension("tmp"), &there).unwrap();
        }
    }
    s.online(4);
    let expected: Vec<(String, &str)> = ways().map(|(n, _)| (format!("w{n}/doc.txt"), "edit/edit")).collect();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(p, k)| (p.as_str(), *k)).collect();
    s.must_conflict(&expected);
    for (n, way) in ways() {
        let path = format!("nas:w{n}/doc.txt");
        for (state, text) in [("original", OLD), ("local", NEW), ("server", THEIRS)] {
            assert_eq!(s.ok(&["cat", &path, "--state", state]), text, "{}", way.name);
        }
    }
    s.ok(&["resolve", "--under", "nas:", "--keep", "local"]);
    s.sync(0);
    for (n, way) in ways() {
        must_be_one_update(&s, n, way);
    }
    s.must_agree();
}

#[test]
fn locks_and_half_files_never_reach_the_server() {
    let Some(s) = Session::pinned(&[("a.odt", OLD)]) else {
        return;
    };
    let lines = "touch '.~lock.a.odt#' .goutputstream-XY '~$a.docx' .a.odt.swp .nfs0001 .DS_Store Thumbs.db; mkfifo pipe";
    s.shell(lines).done();
    s.write_here("a.odt", NEW);
    s.sync(0);
    let names: Vec<String> =
        fs::read_dir(s.there("")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["a.odt"]);
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0));
    // They are still here, and what gets another name is sent.
    s.shell("test -e '.~lock.a.odt#' && test -p pipe && mv .goutputstream-XY kept.txt").done();
    s.sync(0);
    assert!(s.there("kept.txt").is_file());
}
