//! Databases that are cut off, overwritten or not ours.

use std::fs;
use std::path::PathBuf;

use crate::common::{Ran, Session, tree};

/// The database files of a store.
fn databases(s: &Session) -> Vec<PathBuf> {
    tree(&s.store())
        .keys()
        .map(|path| s.store().join(path))
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")))
        .collect()
}

fn stopped_with_a_change() -> Option<Session> {
    let mut s = Session::pinned(&[("a", "a\n"), ("d/b", "b\n")])?;
    s.offline();
    s.write_here("a", "changed\n");
    s.stop();
    Some(s)
}

#[test]
fn a_foreign_database_is_refused_and_left_alone() {
    let Some(s) = stopped_with_a_change() else { return };
    let found = databases(&s);
    assert!(!found.is_empty(), "a store has a database");
    for bytes in [&b"this is no database at all, but a letter to my aunt\n"[..], b"", &[0; 8192]] {
        for path in &found {
            fs::write(path, bytes).unwrap();
        }
        Ran::of(&mut s.serve_command()).refused(1, &["holdfast"]);
        for path in &found {
            assert_eq!(fs::read(path).unwrap(), bytes, "left as it was: {}", path.display());
        }
    }
}

#[test]
fn a_truncated_database_is_refused_or_whole() {
    let Some(mut s) = stopped_with_a_change() else {
        return;
    };
    let found = databases(&s);
    let whole: Vec<Vec<u8>> = found.iter().map(|path| fs::read(path).unwrap()).collect();
    for share in [2, 10] {
        for (path, bytes) in found.iter().zip(&whole) {
            fs::write(path, &bytes[..bytes.len() / share]).unwrap();
        }
        Ran::of(&mut s.serve_command()).refused(1, &["holdfast"]);
    }
    for (path, bytes) in found.iter().zip(&whole) {
        fs::write(path, bytes).unwrap();
    }
    s.serve();
    assert_eq!(s.read_here("a"), "changed\n", "nothing was lost by the attempts");
    s.online(0);
    s.must_agree();
}

#[test]
fn a_database_of_another_program() {
    if !crate::common::has_program("sqlite3") {
        return crate::common::skip("there is no sqlite3");
    }
    let Some(s) = stopped_with_a_change() else { return };
    for path in databases(&s) {
        fs::remove_file(&path).unwrap();
        Ran::of(std::process::Command::new("sqlite3").arg(&path).arg("create table aunt(letter text);"))
            .done();
    }
    Ran::of(&mut s.serve_command()).refused(1, &["holdfast"]);
}

#[test]
fn a_store_that_cannot_be_made() {
    let Some(s) = Session::prepared() else { return };
    fs::write(s.store(), "a file is in its place\n").unwrap();
    Ran::of(&mut s.serve_command()).refused(1, &["holdfast"]);
    assert_eq!(fs::read_to_string(s.store()).unwrap(), "a file is in its place\n");
}
