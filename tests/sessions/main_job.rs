//! The main job from end to end; every command of the contract once, its JSON key by key.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Is, Ran, Session, all_have, has, known, skip, tries_known, until};

const LINK: Is = Is::OneOf(&["online", "slow", "offline"]);
const REASON: Is = Is::OneOf(&["", "by-hand", "no-network", "server-gone", "sign-in-needed", "error"]);
const LOCATION: [(&str, Is); 13] = [
    ("name", Is::Text),
    ("url", Is::Text),
    ("link", LINK),
    ("reason", REASON),
    ("pins", Is::Number),
    ("files", Is::Number),
    ("bytes", Is::Number),
    ("present_bytes", Is::Number),
    ("changes", Is::Number),
    ("conflicts", Is::Number),
    ("problems", Is::Number),
    ("fetching", Is::Bool),
    ("last_sync", Is::TimeOrNull),
];
const PIN: [(&str, Is); 6] = [
    ("path", Is::Text),
    ("files", Is::Number),
    ("bytes", Is::Number),
    ("present_files", Is::Number),
    ("present_bytes", Is::Number),
    ("state", Is::OneOf(&["fetching", "present", "waiting", "over-limit"])),
];
const CHANGE: [(&str, Is); 6] = [
    ("id", Is::Number),
    ("path", Is::Text),
    (
        "op",
        Is::OneOf(&["create", "write", "remove", "move", "mkdir", "rmdir", "symlink", "link", "attributes"]),
    ),
    ("at", Is::Time),
    ("bytes", Is::Number),
    ("state", Is::OneOf(&["waiting", "sending", "conflict", "problem"])),
];

fn server() -> Option<Session> {
    let s = Session::empty()?;
    for (path, text) in [
        ("papers/plan.txt", "the plan\n"),
        ("papers/deep/notes.txt", "one\ntwo\nthree\nfour\nfive\n"),
        ("papers/old.txt", "old\n"),
        ("papers/run.sh", "#!/bin/sh\n"),
        ("papers/folder/gone", "g\n"),
        ("other/big", &"0123456789".repeat(1000)),
    ] {
        s.write_there(path, text);
    }
    Some(s)
}

#[test]
fn from_the_first_pin_to_both_sides_the_same() {
    let Some(s) = server() else { return };
    s.ok(&["location", "add", "nas", &s.url()]);
    let list = s.json(&["location", "list"]);
    all_have(&list, &[("name", Is::Text), ("url", Is::Text)]);
    assert_eq!(list[0]["url"], s.url());

    s.ok(&["pin", "nas:papers", "--wait"]);
    let pins = s.json(&["pins"]);
    all_have(&pins, &PIN);
    assert_eq!(pins[0]["path"], "nas:papers");
    assert_eq!(pins[0]["state"], "present");
    assert_eq!((&pins[0]["files"], &pins[0]["present_files"]), (&json!(5), &json!(5)));
    assert_eq!(pins[0]["bytes"], pins[0]["present_bytes"]);

    s.offline();
    offline_work(&s);
    their_work(&s);
    s.ok(&["online", "nas"]);
    let ran = s.try_sync().code(4);
    assert!(!ran.out.is_empty());
    s.must_conflict(&[("papers/plan.txt", "edit/edit"), ("papers/deep/notes.txt", "edit/edit")]);
    assert_eq!(s.read_here("papers/theirs.txt"), "theirs\n");
    assert_eq!(s.read_there("papers/new/file"), "new\n");

    let status = s.json(&["status"]);
    assert_eq!(status["locations"][0]["conflicts"], 2);
    assert_eq!(status["locations"][0]["link"], "online");
    s.ok(&["resolve", "nas:papers/plan.txt", "--keep", "local"]);
    let notes = s.here("papers/deep/notes.txt");
    s.ok(&["resolve", notes.to_str().unwrap(), "--merge"]);
    s.sync(0);
    assert_eq!(s.read_there("papers/plan.txt"), "the plan, ours\n");
    assert_eq!(s.read_there("papers/deep/notes.txt"), "ONE\ntwo\nthree\nfour\nFIVE\n");
    s.must_agree();
    // Nothing is left to do.
    let status = s.json(&["status"]);
    has(&status["locations"][0], &LOCATION);
    let nas = &status["locations"][0];
    assert_eq!((&nas["changes"], &nas["conflicts"], &nas["problems"]), (&json!(0), &json!(0), &json!(0)));
    assert!(nas["last_sync"].is_string());
}

fn offline_work(s: &Session) {
    let status = s.json(&["status"]);
    has(&status, &[("version", Is::Text), ("mount", Is::Text), ("locations", Is::Array)]);
    assert_eq!(status["mount"], s.mount().to_str().unwrap());
    all_have(&status["locations"], &LOCATION);
    assert_eq!(status["locations"][0]["link"], "offline");
    assert_eq!(status["locations"][0]["reason"], "by-hand");
    assert_eq!(s.json_code(&["sync", "nas", "--wait"], 1)["outcome"], "offline");
    s.ctl(&["sync", "--wait"]).refused(1, &["nas is offline"]);

    s.shell(
        "cd papers; echo 'the plan, ours' > plan.txt; sed -i s/one/ONE/ deep/notes.txt; mv old.txt moved.txt; \
         mkdir new; echo new > new/file; ln -s file new/link; ln new/file new/hard; chmod 755 run.sh; \
         rm folder/gone; rmdir folder",
    )
    .done();
    let changes = s.json(&["changes"]);
    all_have(&changes, &CHANGE);
    let mut ops: Vec<(String, String)> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["path"].as_str().unwrap().to_owned(), c["op"].as_str().unwrap().to_owned()))
        .collect();
    ops.sort();
    let expected = [
        ("nas:papers/deep/notes.txt", "write"),
        ("nas:papers/folder", "rmdir"),
        ("nas:papers/folder/gone", "remove"),
        ("nas:papers/moved.txt", "move"),
        ("nas:papers/new", "mkdir"),
        ("nas:papers/new/file", "create"),
        ("nas:papers/new/hard", "link"),
        ("nas:papers/new/link", "symlink"),
        ("nas:papers/plan.txt", "write"),
        ("nas:papers/run.sh", "attributes"),
    ];
    let expected: Vec<(String, String)> = expected.iter().map(|(p, o)| ((*p).into(), (*o).into())).collect();
    assert_eq!(ops, expected);
    let moved = changes.as_array().unwrap().iter().find(|c| c["op"] == "move").unwrap();
    assert_eq!(moved["from"], "nas:papers/old.txt");
    assert_eq!(s.json(&["changes", "nas:papers/new"]).as_array().map(Vec::len), Some(4));
}

fn their_work(s: &Session) {
    s.write_there("papers/plan.txt", "the plan, theirs\n");
    s.write_there("papers/deep/notes.txt", "one\ntwo\nthree\nfour\nFIVE\n");
    s.write_there("papers/theirs.txt", "theirs\n");
}

#[test]
fn what_only_acts_says_so() {
    let Some(s) = server() else { return };
    let acted = |args: &[&str]| has(&s.json(args), &[("ok", Is::Bool)]);
    acted(&["location", "add", "nas", &s.url()]);
    acted(&["location", "set", "nas", "limit", "20G"]);
    acted(&["location", "set", "nas", "ignore", "*.tmp\nbuild/"]);
    acted(&["location", "set", "nas", "miss", "fail"]);
    acted(&["pin", "nas:papers", "--wait"]);
    acted(&["offline", "nas"]);
    acted(&["online", "nas"]);
    acted(&["sync", "nas"]);
    acted(&["sync", "nas", "--wait", "--timeout", "50"]);
    acted(&["sync", "--wait"]);
    acted(&["unpin", "nas:papers"]);
    assert_eq!(s.json(&["pins"]), Value::Array(vec![]));
    let evicted = s.json(&["evict", "nas:papers"]);
    has(&evicted, &[("ok", Is::Bool)]);
    acted(&["location", "remove", "nas"]);
    assert_eq!(s.json(&["location", "list"]), Value::Array(vec![]));
    assert!(!s.mount().join("nas").exists());
}

#[test]
fn what_is_open_for_writing_is_told_of_and_sent_later() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    let mut open = fs::File::options().append(true).open(s.here("a")).unwrap();
    open.write_all(b"more\n").unwrap();
    let told = s.ok(&["sync", "nas", "--wait"]);
    assert!(told.contains("1 change in files that are still open for writing"), "{told}");
    assert_eq!(s.read_there("a"), "a\n");
    drop(open);
    assert_eq!(s.ok(&["sync", "nas", "--wait"]), "Both sides are the same.\n");
    assert_eq!(s.read_there("a"), "a\nmore\n");
}

#[test]
fn what_is_unpinned_and_evicted_is_had_again() {
    let Some(s) = server() else { return };
    s.ok(&["location", "add", "nas", &s.url()]);
    s.ok(&["pin", "nas:other", "--wait"]);
    let presence = || attribute(&s, "other/big", "user.holdfast.presence");
    assert_eq!(presence(), "present");
    assert_eq!(attribute(&s, "other/big", "user.holdfast.pinned"), "yes");
    // Pinned content stays.
    s.ok(&["evict", "nas:other"]);
    assert_eq!(presence(), "present");
    s.ok(&["unpin", "nas:other"]);
    s.ok(&["evict", "nas:other"]);
    assert_eq!(presence(), "absent");
    assert_eq!(attribute(&s, "other/big", "user.holdfast.pinned"), "no");
    s.offline();
    let miss = fs::read(s.here("other/big")).expect_err("it is not here");
    assert_eq!(miss.raw_os_error(), Some(rustix::io::Errno::NETUNREACH.raw_os_error()));
    s.ok(&["online", "nas"]);
    until("it can be read again", || fs::read(s.here("other/big")).is_ok_and(|b| b.len() == 10_000));
    assert_eq!(presence(), "present");
}

fn attribute(s: &Session, path: &str, name: &str) -> String {
    let mut buf = vec![0; 256];
    let length =
        rustix::fs::getxattr(s.here(path), name, &mut buf[..]).unwrap_or_else(|e| panic!("{name}: {e}"));
    String::from_utf8_lossy(&buf[..length]).into_owned()
}

#[test]
fn the_state_of_each_item_is_an_attribute() {
    let files = [("clean", "c\n"), ("changed", "c\n"), ("both", "b\n")];
    let Some(s) = Session::pinned(&files) else { return };
    s.offline();
    s.write_here("both", "here\n");
    s.write_there("both", "there\n");
    s.online(4);
    s.offline();
    s.write_here("changed", "changed\n");
    for (path, state) in [("clean", "clean"), ("changed", "changed"), ("both", "conflict")] {
        assert_eq!(attribute(&s, path, "user.holdfast.state"), state, "{path}");
    }
    assert!(!attribute(&s, "clean", "user.holdfast.version").is_empty());
    let mut list = vec![0; 4096];
    let length = rustix::fs::listxattr(s.here("clean"), &mut list[..]).unwrap();
    let names = String::from_utf8_lossy(&list[..length]).into_owned();
    assert!(!names.contains("holdfast"), "copied along by programs: {names}");
    // The folder of the states can be entered and is not listed.
    let names: Vec<_> = fs::read_dir(s.mount()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["nas"]);
    let diff = Command::new("diff")
        .arg(s.mount().join(".holdfast/original/nas/both"))
        .arg(s.mount().join(".holdfast/server/nas/both"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&diff.stdout), "1c1\n< b\n---\n> there\n");
}

#[test]
fn waiting_changes_as_an_archive() {
    let Some(s) = server() else { return };
    s.add_and_pin();
    s.offline();
    offline_work(&s);
    let file = s.base().join("changes.tar");
    let told = s.json(&["export", file.to_str().unwrap()]);
    has(&told, &[("ok", Is::Bool)]);
    let list = Ran::of(Command::new("tar").arg("-tf").arg(&file)).done().text();
    for member in ["nas/papers/plan.txt", "nas/papers/new/file", "nas/papers/new/link"] {
        assert!(list.lines().any(|l| l.trim_end_matches('/') == member), "{member} is not in {list}");
    }
    let text = Ran::of(Command::new("tar").arg("-xOf").arg(&file).arg("nas/papers/plan.txt")).done();
    assert_eq!(text.text(), "the plan, ours\n");
    let part = s.base().join("part.tar");
    s.ok(&["export", part.to_str().unwrap(), "nas:papers/new"]);
    let list = Ran::of(Command::new("tar").arg("-tf").arg(&part)).done().text();
    assert!(!list.contains("plan.txt") && list.contains("nas/papers/new/file"), "{list}");
}

#[test]
fn events_tell_what_happens() {
    let Some(s) = server() else { return };
    let mut events =
        s.command().arg("events").stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("it starts");
    let stdout = events.stdout.take().expect("it is piped");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let first = lines.recv_timeout(crate::common::limit()).expect("the first line");
    assert!(serde_json::from_str::<Value>(&first).is_ok(), "{first}");
    // Each once it has come: what comes and goes between two looks need not be told.
    let told = |word: &str| {
        until(&format!("the event {word} is told"), || {
            lines.try_iter().any(|line| {
                let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
                event["event"] == word
            })
        });
    };
    s.ok(&["location", "add", "nas", &s.url()]);
    told("location");
    s.ok(&["pin", "nas:", "--wait"]);
    told("pin");
    s.offline();
    s.write_here("papers/plan.txt", "here\n");
    s.write_there("papers/plan.txt", "there\n");
    told("change");
    s.online(4);
    told("conflict");
    s.offline();
    s.ok(&["resolve", "nas:papers/plan.txt", "--keep", "local"]);
    told("conflict-closed");
    s.online(0);
    told("change-done");
    let _ = events.kill();
    let _ = events.wait();
}

#[test]
fn without_an_engine() {
    let Some(s) = Session::prepared() else { return };
    for args in [
        &["status"][..],
        &["pin", "nas:"],
        &["sync", "--wait"],
        &["conflicts"],
        &["resolve", "nas:a", "--keep", "local"],
        &["location", "list"],
        &["events"],
        &["check"],
    ] {
        s.ctl(args).refused(3, &["engine"]);
    }
}

#[test]
fn an_engine_is_ended_and_started_again() {
    let Some(mut s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    s.offline();
    s.write_here("a", "changed\n");
    s.write_here("new/file", "new\n");
    s.stop();
    s.serve();
    assert_eq!(s.read_here("a"), "changed\n");
    assert_eq!(s.json(&["pins"])[0]["path"], "nas:");
    s.online(0);
    assert_eq!(s.read_there("new/file"), "new\n");
    s.must_agree();
}

#[test]
fn checks() {
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    assert_eq!(s.json(&["check"]), json!({"ok": true, "findings": []}));
    assert_eq!(s.json(&["check", "--repair"])["ok"], true);
    assert_eq!(s.json(&["problems"]), Value::Array(vec![]));
    assert_eq!(s.json(&["problems", "nas:a"]), Value::Array(vec![]));
    s.ctl(&["retry", "77"]).refused(1, &["77"]);
    s.ctl(&["confirm", "77"]).refused(1, &["77"]);
}

#[test]
fn rules_misses_and_signing_in() {
    skip(known("rules"));
    if !tries_known() {
        return;
    }
    let Some(s) = Session::pinned(&[("a", "a\n")]) else {
        return;
    };
    for args in [&["rules", "list"][..], &["misses"]] {
        assert_eq!(s.json(args), Value::Array(vec![]));
    }
    s.ctl(&["answer", "77", "fail"]).refused(1, &["77"]);
    s.ctl(&["signin", "nowhere"]).refused(1, &["nowhere"]);
}
