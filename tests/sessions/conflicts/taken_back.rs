//! Undo, history, why, and the stash: nothing that was decided is final before a person says so.

use serde_json::Value;

use crate::common::{Is, Session, all_have, has};

const HISTORY: [(&str, Is); 4] = [
    ("id", Is::Number),
    ("at", Is::Time),
    ("what", Is::Text),
    ("kind", Is::OneOf(&["decision", "restored", "reconnection"])),
];
const WHY: [(&str, Is); 2] = [("at", Is::Time), ("what", Is::Text)];
const STASH: [(&str, Is); 7] = [
    ("id", Is::Number),
    ("path", Is::Text),
    ("side", Is::OneOf(&["local", "server", "original"])),
    ("size", Is::Number),
    ("digest", Is::Digest),
    ("at", Is::Time),
    ("why", Is::Text),
];

fn two_edits() -> Option<Session> {
    let s = Session::pinned(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("quiet.txt", "q\n")])?;
    s.offline();
    for name in ["a.txt", "b.txt"] {
        s.write_here(name, format!("{name} here\n"));
        s.write_there(name, format!("{name} there\n"));
    }
    s.online(4);
    Some(s)
}

const BOTH: [(&str, &str); 2] = [("a.txt", "edit/edit"), ("b.txt", "edit/edit")];

#[test]
fn a_decision_that_was_not_sent_is_taken_back() {
    let Some(s) = two_edits() else { return };
    s.offline();
    for choice in [
        ["--keep", "local"],
        ["--keep", "server"],
        ["--keep", "original"],
        ["--keep", "both"],
        ["--keep", "newest"],
        ["--stash", "local"],
        ["--stash", "server"],
        ["--stash", "both"],
    ] {
        s.ok(&["resolve", "--under", "nas:", choice[0], choice[1]]);
        s.must_conflict(&[]);
        let taken = s.json(&["undo"]);
        has(&taken, &HISTORY);
        s.must_conflict(&BOTH);
        for (name, _) in BOTH {
            let path = format!("nas:{name}");
            for (state, text) in [
                ("original", format!("{}\n", &name[..1])),
                ("local", format!("{name} here\n")),
                ("server", format!("{name} there\n")),
            ] {
                assert_eq!(s.ok(&["cat", &path, "--state", state]), text, "after undo of {choice:?}");
            }
            assert_eq!(s.read_here(name), format!("{name} here\n"), "after undo of {choice:?}");
        }
        let names = s.shell("ls").done().text();
        assert_eq!(names, "a.txt\nb.txt\nquiet.txt\n", "after undo of {choice:?}");
    }
    s.online(4);
    s.must_conflict(&BOTH);
}

#[test]
fn a_decision_that_was_sent_is_taken_back_as_a_change() {
    let Some(s) = two_edits() else { return };
    s.ok(&["resolve", "nas:a.txt", "--keep", "original"]);
    s.ok(&["resolve", "nas:b.txt", "--keep", "local"]);
    s.sync(0);
    assert_eq!(s.read_there("a.txt"), "a\n");
    let history = s.json(&["history"]);
    all_have(&history, &HISTORY);
    assert!(history.as_array().unwrap().len() >= 2, "{history}");
    let ids: Vec<u64> = history.as_array().unwrap().iter().filter_map(|h| h["id"].as_u64()).collect();
    // The older one, by its number.
    let original =
        history.as_array().unwrap().iter().find(|h| h["what"].as_str().unwrap().contains("keep original"));
    let id = original.expect("it is in the history")["id"].to_string();
    assert!(ids.contains(&id.parse().unwrap()));
    s.json(&["undo", &id]);
    s.sync(0);
    assert_eq!(s.read_here("a.txt"), "a.txt here\n");
    assert_eq!(s.read_there("a.txt"), "a.txt here\n");
    s.ctl(&["undo", &id]).refused(1, &["taken back"]);
    s.ctl(&["undo", "999999"]).refused(1, &["history"]);
    s.must_agree();
}

#[test]
fn a_reconnection_is_told_and_taken_back_on_both_sides() {
    let files = [("a.txt", "a\n"), ("b.txt", "b\n"), ("docs/c.txt", "c\n"), ("quiet.txt", "q\n")];
    let Some(s) = Session::pinned(&files) else { return };
    assert_eq!(s.json(&["history"]), Value::Array(Vec::new()));
    s.offline();
    s.write_here("a.txt", "a here\n");
    s.write_here("new.txt", "new here\n");
    s.shell("mv docs/c.txt moved.txt && rmdir docs").done();
    s.write_there("b.txt", "b there\n");
    s.write_there("theirs.txt", "new there\n");
    s.online(0);
    s.sync(0);
    // What came is to be here before it can go again.
    s.ok(&["pin", "nas:", "--wait"]);
    let history = s.json(&["history"]);
    all_have(&history, &HISTORY);
    let entry = &history[0];
    assert_eq!(entry["kind"], "reconnection", "{history}");
    assert_eq!((&entry["location"], &entry["can_undo"]), (&Value::from("nas"), &Value::from(true)));
    assert_eq!(entry["items"], 6, "{history}");
    let what = entry["what"].as_str().unwrap();
    assert!(what.starts_with("nas came back after "), "{what}");
    assert!(what.ends_with(": 4 changes sent, 2 taken from the server"), "{what}");
    assert!(s.ok(&["history"]).contains(what));

    let taken = s.json(&["undo", &entry["id"].to_string()]);
    has(&taken, &HISTORY);
    assert_eq!((&taken["undone"], &taken["left_out"]), (&Value::from(true), &Value::from(0)));
    s.sync(0);
    for (name, content) in files {
        assert_eq!(s.read_here(name), content, "{name} here");
        assert_eq!(s.read_there(name), content, "{name} there");
    }
    assert_eq!(s.shell("ls").done().text(), "a.txt\nb.txt\ndocs\nquiet.txt\n");
    let stash = s.json(&["stash", "list"]);
    all_have(&stash, &STASH);
    let mut sides: Vec<_> =
        stash.as_array().unwrap().iter().map(|v| (v["path"].to_string(), v["side"].to_string())).collect();
    sides.sort();
    let side = |path: &str, side: &str| (format!("\"nas:{path}\""), format!("\"{side}\""));
    let expected = [
        side("a.txt", "local"),
        side("b.txt", "server"),
        side("new.txt", "local"),
        side("theirs.txt", "server"),
    ];
    assert_eq!(sides, expected);
    s.ctl(&["undo", &entry["id"].to_string()]).refused(1, &["taken back"]);
    s.must_agree();
}

#[test]
fn why_tells_what_happened() {
    let Some(s) = two_edits() else { return };
    s.ok(&["resolve", "nas:a.txt", "--keep", "local"]);
    let why = s.json(&["why", "nas:a.txt"]);
    all_have(&why, &WHY);
    let told: Vec<&str> = why.as_array().unwrap().iter().filter_map(|w| w["what"].as_str()).collect();
    assert!(told.iter().any(|w| w.contains("edit/edit")), "{told:?}");
    assert!(told.iter().any(|w| w.contains("keep local")), "{told:?}");
    s.ctl(&["why", "nas:nowhere"]).refused(1, &["nas:nowhere"]);
    let text = s.ok(&["why", "nas:a.txt"]);
    assert!(text.contains("keep local"), "{text}");
}

#[test]
fn the_stash_gives_back_what_lost() {
    let Some(s) = two_edits() else { return };
    s.ok(&["resolve", "nas:a.txt", "--keep", "local"]);
    s.ok(&["resolve", "nas:b.txt", "--stash", "local"]);
    s.sync(0);
    let stash = s.json(&["stash", "list"]);
    all_have(&stash, &STASH);
    let entry = |path: &str, side: &str| -> Value {
        let found = stash.as_array().unwrap().iter().find(|e| e["path"] == path && e["side"] == side);
        found.unwrap_or_else(|| panic!("no {side} of {path}: {stash}")).clone()
    };
    let (a, b) = (entry("nas:a.txt", "server"), entry("nas:b.txt", "local"));
    assert_eq!(a["size"], "a.txt there\n".len());
    let (a, b) = (a["id"].to_string(), b["id"].to_string());
    assert_eq!(s.ok(&["stash", "cat", &a]), "a.txt there\n");
    assert_eq!(s.ok(&["stash", "cat", &b]), "b.txt here\n");
    let of_a = s.json(&["stash", "list", "nas:a.txt"]);
    assert!(of_a.as_array().unwrap().iter().all(|e| e["path"] == "nas:a.txt"), "{of_a}");

    // To another place, and back to its own.
    let back = s.json(&["stash", "restore", &a, "--to", "nas:a-theirs.txt"]);
    has(&back, &[("path", Is::Text)]);
    s.json(&["stash", "restore", &b]);
    assert_eq!(s.read_here("a-theirs.txt"), "a.txt there\n");
    assert_eq!(s.read_here("b.txt"), "b.txt here\n");
    s.sync(0);
    assert_eq!(s.read_there("a-theirs.txt"), "a.txt there\n");
    assert_eq!(s.read_there("b.txt"), "b.txt here\n");
    s.ok(&["stash", "drop", &a]);
    s.ctl(&["stash", "cat", &a]).refused(1, &[&a]);
    s.ctl(&["stash", "drop", &a]).refused(1, &[&a]);
    s.must_agree();
}

#[test]
fn if_the_server_moves_on_the_conflict_opens_again() {
    let Some(s) = two_edits() else { return };
    s.offline();
    s.ok(&["resolve", "--under", "nas:", "--keep", "local"]);
    s.write_there("a.txt", "moved on\n");
    s.online(4);
    s.must_conflict(&[("a.txt", "edit/edit")]);
    assert_eq!(s.read_there("a.txt"), "moved on\n");
    assert_eq!(s.ok(&["cat", "nas:a.txt", "--state", "original"]), "a.txt there\n");
    assert_eq!(s.read_there("b.txt"), "b.txt here\n");
    s.ok(&["resolve", "nas:a.txt", "--keep", "server"]);
    s.sync(0);
    s.must_agree();
}
