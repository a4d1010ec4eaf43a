//! Each kind is found, as that kind and nothing else, and all three states can be read.

use std::fs;

use serde_json::Value;

use super::kinds::{Case, State, What, moved_there, must_be, plain, session};
use crate::common::{Is, Session, all_have, has};

const CONFLICT: [(&str, Is); 5] = [
    ("id", Is::Number),
    ("path", Is::Text),
    (
        "kind",
        Is::OneOf(&[
            "edit/edit",
            "edit/delete",
            "delete/edit",
            "create/create",
            "move/move",
            "move/delete",
            "delete/move",
            "type",
            "cycle",
            "name",
            "metadata",
        ]),
    ),
    ("since", Is::Time),
    ("mergeable", Is::Bool),
];

const STATE: [(&str, Is); 9] = [
    ("type", Is::OneOf(&["file", "folder", "symlink"])),
    ("size", Is::Number),
    ("mode", Is::Number),
    ("mtime", Is::Time),
    ("version", Is::Text),
    ("confidence", Is::OneOf(&["sure", "guessed"])),
    ("digest", Is::Digest),
    ("path", Is::Text),
    ("here", Is::Bool),
];

#[track_caller]
fn found_and_readable(cases: &[Case]) {
    let Some(s) = session(cases) else { return };
    let expected: Vec<(&str, &str)> = cases.iter().map(|c| (c.path, c.kind)).collect();
    s.must_conflict(&expected);

    let conflicts = s.json(&["conflicts"]);
    all_have(&conflicts, &CONFLICT);
    for case in cases {
        let path = format!("nas:{}", case.path);
        let conflict = conflicts
            .as_array()
            .and_then(|all| all.iter().find(|c| c["path"] == path.as_str()))
            .expect("it was found above");
        assert_eq!(conflict["mergeable"], case.merged.is_some(), "{path}");
        let states = s.json(&["states", &path]);
        assert_eq!(states["path"], path.as_str());
        for (word, state) in case.states() {
            state_is(&conflict[word], state, word);
            state_is(&states[word], state, word);
            readable(&s, case, word, state);
        }
    }
    // The same again, when nothing has happened.
    s.sync(4);
    s.must_conflict(&expected);
    let check = s.json(&["check"]);
    assert_eq!(check["ok"], true, "{check}");
}

#[track_caller]
fn state_is(found: &Value, state: Option<&State>, word: &str) {
    let Some(state) = state else {
        assert!(found.is_null(), "{word} is absent, and not {found}");
        return;
    };
    has(found, &STATE);
    assert_eq!(found["path"], format!("nas:{}", state.path), "{word}");
    assert_eq!(found["here"], true, "{word} of {}", state.path);
    match state.what {
        What::File { text, mode } => {
            assert_eq!(found["type"], "file");
            assert_eq!(found["size"], text.len());
            assert_eq!(found["mode"], mode);
        }
        What::Link { .. } => assert_eq!(found["type"], "symlink"),
    }
}

/// By `cat`, and through the folder of the state in the mount.
#[track_caller]
fn readable(s: &Session, case: &Case, word: &str, state: Option<&State>) {
    let path = format!("nas:{}", case.path);
    let view = s.mount().join(".holdfast").join(word).join("nas");
    let ran = s.ctl(&["cat", &path, "--state", word]);
    let Some(state) = state else {
        ran.refused(1, &[case.path]);
        // Where another state has it, this one has nothing.
        for other in case.states().into_iter().filter_map(|(_, other)| other) {
            let at = view.join(other.path);
            assert!(fs::symlink_metadata(&at).is_err(), "{} is absent in {word}", other.path);
        }
        return;
    };
    match state.what {
        What::File { text, .. } => assert_eq!(ran.code(0).text(), text, "{word} of {path}"),
        What::Link { target } => assert_eq!(ran.code(0).text(), target, "{word} of {path}"),
    }
    let at = view.join(state.path);
    match state.what {
        // Read-only, so no writing bits.
        What::File { text, .. } => {
            assert_eq!(fs::read_to_string(&at).ok().as_deref(), Some(text), "{}", at.display());
            assert!(fs::write(&at, "x").is_err(), "{} can be written", at.display());
            let names = fs::read_dir(at.parent().expect("a folder")).expect("it can be listed");
            assert!(names.flatten().any(|e| e.path() == at), "{} is listed", at.display());
        }
        What::Link { target } => {
            assert_eq!(fs::read_link(&at).expect("a link").to_str(), Some(target));
        }
    }
    // What is here is in its place in the mount itself too, and so is the server's on the server.
    match word {
        "local" => must_be(&s.here(""), state, "here"),
        "server" => must_be(&s.there(""), state, "on the server"),
        _ => {}
    }
}

#[test]
fn each_kind_is_found_and_its_states_are_readable() {
    found_and_readable(&plain());
}

#[test]
fn what_was_moved_on_the_server_too() {
    found_and_readable(&moved_there());
}

#[test]
fn cycles_and_clashes_of_names() {
    let Some(s) = Session::pinned(&[
        ("cy/a/in-a", "a\n"),
        ("cy/b/in-b", "b\n"),
        ("na/a.txt", "the first\n"),
        ("na/b.txt", "the second\n"),
    ]) else {
        return;
    };
    s.offline();
    s.shell("mv cy/a cy/b/a; mv na/a.txt na/x.txt").done();
    fs::rename(s.there("cy/b"), s.there("cy/a/b")).unwrap();
    fs::rename(s.there("na/b.txt"), s.there("na/x.txt")).unwrap();
    s.online(4);
    let found = s.conflicts();
    let kinds: Vec<&str> = found.iter().map(|(_, kind)| kind.as_str()).collect();
    assert!(kinds.contains(&"cycle") && kinds.contains(&"name"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    // Nothing is lost on either side while they are open.
    assert_eq!(s.read_here("cy/b/a/in-a"), "a\n");
    assert_eq!(s.read_here("cy/b/in-b"), "b\n");
    assert_eq!(s.read_there("cy/a/b/in-b"), "b\n");
    assert_eq!(s.read_here("na/x.txt"), "the first\n");
    assert_eq!(s.read_there("na/x.txt"), "the second\n");
    for (path, _) in &found {
        s.ok(&["states", &format!("nas:{path}")]);
    }
}

#[test]
fn a_clash_of_names() {
    let Some(s) = Session::pinned(&[("na/a.txt", "the first\n"), ("na/b.txt", "the second\n")]) else {
        return;
    };
    s.offline();
    s.shell("mv na/a.txt na/x.txt").done();
    fs::rename(s.there("na/b.txt"), s.there("na/x.txt")).expect("it can be moved");
    s.online(4);
    let found = s.conflicts();
    assert!(found.len() == 1 && found[0].1 == "name", "{found:?}");
    // Nothing is lost on either side while it is open.
    assert_eq!(s.read_here("na/x.txt"), "the first\n");
    assert_eq!(s.read_here("na/b.txt"), "the second\n");
    assert_eq!(s.read_there("na/x.txt"), "the second\n");
}

#[test]
fn only_what_conflicts_waits() {
    let Some(s) = Session::pinned(&[("a", "a\n"), ("b", "b\n"), ("d/c", "c\n")]) else {
        return;
    };
    s.offline();
    s.write_here("a", "a here\n");
    s.write_there("a", "a there\n");
    s.write_here("b", "b here\n");
    s.write_there("d/c", "c there\n");
    s.write_here("new/deep/file", "new\n");
    s.online(4);
    s.must_conflict(&[("a", "edit/edit")]);
    assert_eq!(s.read_there("b"), "b here\n");
    assert_eq!(s.read_here("d/c"), "c there\n");
    assert_eq!(s.read_there("new/deep/file"), "new\n");
    // One can go on editing, and the conflict follows.
    s.write_here("a", "a here, again\n");
    s.sync(4);
    s.must_conflict(&[("a", "edit/edit")]);
    assert_eq!(s.ok(&["cat", "nas:a", "--state", "local"]), "a here, again\n");
    s.write_there("a", "a there, again\n");
    s.sync(4);
    assert_eq!(s.ok(&["cat", "nas:a", "--state", "server"]), "a there, again\n");
    assert_eq!(s.ok(&["cat", "nas:a", "--state", "original"]), "a\n");
    // Where both come to the same there is nothing left to decide.
    s.write_here("a", "the same\n");
    s.write_there("a", "the same\n");
    s.sync(0);
    s.must_conflict(&[]);
    assert_eq!(s.read_here("a"), "the same\n");
    assert_eq!(s.read_there("a"), "the same\n");
}

#[test]
fn equal_changes_are_no_conflict() {
    let files = [("a", "a\n"), ("gone", "g\n"), ("mode", "m\n"), ("moved", "v\n")];
    let Some(s) = Session::pinned(&files) else { return };
    s.offline();
    for root in [s.here(""), s.there("")] {
        fs::write(root.join("a"), "both\n").unwrap();
        fs::write(root.join("new"), "both new\n").unwrap();
        fs::remove_file(root.join("gone")).unwrap();
        fs::rename(root.join("moved"), root.join("away")).unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(root.join("mode"), mode).unwrap();
    }
    s.online(0);
    s.must_conflict(&[]);
    // The newer time stays, on both sides.
    s.must_agree();
}

#[test]
fn content_and_the_rest_are_merged_apart() {
    let files = [("a", "a\n"), ("b", "b\n"), ("d/c", "c\n")];
    let Some(s) = Session::pinned(&files) else { return };
    s.offline();
    s.shell("mv a renamed; chmod 755 b; mv d e").done();
    s.write_there("a", "edited there\n");
    s.write_there("b", "edited there\n");
    s.write_there("d/c", "edited there\n");
    s.online(0);
    assert_eq!(s.read_there("renamed"), "edited there\n");
    assert_eq!(s.read_here("renamed"), "edited there\n");
    assert_eq!(s.read_here("e/c"), "edited there\n");
    s.must_agree();
}
