//! Many at once: by folder, pattern and kind; a preview says exactly what would be decided.

use std::fs;

use serde_json::Value;

use crate::common::Session;

fn paths(reports: &Value) -> Vec<String> {
    let mut paths: Vec<String> = reports
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|r| r["path"].as_str().map(str::to_owned))
        .collect();
    paths.sort();
    paths
}

/// Edits on both sides in two folders, and files edited here that are gone there.
fn session() -> Option<Session> {
    let mut files = Vec::new();
    for folder in ["docs", "docs/deep", "src"] {
        for name in ["a.txt", "b.txt", "c.o", "gone.txt"] {
            files.push((format!("{folder}/{name}"), format!("{name}\n")));
        }
    }
    let listed: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let s = Session::pinned(&listed)?;
    s.offline();
    for (path, text) in &files {
        s.write_here(path, format!("{text}here\n"));
        match path.ends_with("gone.txt") {
            true => fs::remove_file(s.there(path)).unwrap(),
            false => s.write_there(path, format!("{text}there\n")),
        }
    }
    s.online(4);
    assert_eq!(s.conflicts().len(), 12);
    Some(s)
}

#[test]
fn by_folder_pattern_and_kind() {
    let Some(s) = session() else { return };
    // The folder alone, with all that lies below.
    let under = s.json(&["resolve", "--under", "nas:docs", "--keep", "local", "--dry-run"]);
    assert_eq!(paths(&under).len(), 8);
    assert!(under.as_array().unwrap().iter().all(|r| r["done"] == false), "{under}");
    // A pattern without a slash is one of names, in whatever folder.
    let objects = ["resolve", "--under", "nas:docs", "--match", "*.o", "--keep", "server"];
    let preview = s.json(&[&objects[..], &["--dry-run"]].concat());
    assert_eq!(paths(&preview), ["nas:docs/c.o", "nas:docs/deep/c.o"]);
    assert_eq!(s.conflicts().len(), 12, "a preview changes nothing");
    let done = s.json(&objects);
    assert_eq!(paths(&done), paths(&preview), "a preview tells what happens");
    assert!(done.as_array().unwrap().iter().all(|r| r["done"] == true), "{done}");
    assert_eq!(s.conflicts().len(), 10);
    // A kind, everywhere in the location.
    let kind = s.json(&["resolve", "--under", "nas:", "--kind", "edit/delete", "--keep", "local"]);
    assert_eq!(paths(&kind), ["nas:docs/deep/gone.txt", "nas:docs/gone.txt", "nas:src/gone.txt"]);
    // A pattern with a slash is one of paths below the folder; a path in the mount names the folder.
    let docs = s.here("docs");
    let docs = docs.to_str().unwrap();
    let deep = s.json(&["resolve", "--under", docs, "--match", "deep/*", "--keep", "both"]);
    assert_eq!(paths(&deep), ["nas:docs/deep/a.txt", "nas:docs/deep/b.txt"]);
    let both =
        s.json(&["resolve", "--under", "nas:", "--match", "a.txt", "--kind", "edit/edit", "--keep", "local"]);
    assert_eq!(paths(&both), ["nas:docs/a.txt", "nas:src/a.txt"]);
    // What matches nothing is done, and said.
    assert_eq!(
        s.json(&["resolve", "--under", "nas:", "--match", "*.none", "--keep", "local"]),
        Value::Array(vec![])
    );
    s.must_conflict(&[("docs/b.txt", "edit/edit"), ("src/b.txt", "edit/edit"), ("src/c.o", "edit/edit")]);
    // The rest from above all locations.
    let mount = s.mount();
    let rest = s.json(&["resolve", "--under", mount.to_str().unwrap(), "--keep", "server"]);
    assert_eq!(paths(&rest).len(), 3);
    s.sync(0);
    assert_eq!(s.read_here("docs/c.o"), "c.o\nthere\n");
    assert_eq!(s.read_there("docs/gone.txt"), "gone.txt\nhere\n");
    assert_eq!(s.read_there("docs/deep/a.txt"), "a.txt\nhere\n");
    assert_eq!(s.read_there("src/a.txt"), "a.txt\nhere\n");
    assert_eq!(s.read_here("src/b.txt"), "b.txt\nthere\n");
    s.must_agree();
}

#[test]
fn what_is_refused_stays_and_is_told() {
    let Some(s) = session() else { return };
    let reports = s.json_code(&["resolve", "--under", "nas:", "--keep", "newest"], 4);
    let refused: Vec<&Value> = reports.as_array().unwrap().iter().filter(|r| r["done"] == false).collect();
    assert_eq!(refused.len(), 3, "{reports}");
    assert!(refused.iter().all(|r| r["kind"] == "edit/delete"), "{reports}");
    assert_eq!(s.conflicts().len(), 3);
}

#[test]
fn several_paths_one_choice() {
    let Some(s) = session() else { return };
    let reports = s.json(&["resolve", "nas:src/a.txt", "nas:src/b.txt", "--keep", "local"]);
    assert_eq!(paths(&reports), ["nas:src/a.txt", "nas:src/b.txt"]);
    s.ctl(&["resolve", "nas:src/a.txt", "--keep", "local"]).refused(1, &["nas:src/a.txt"]);
    s.ctl(&["resolve", "nas:nowhere", "--keep", "local"]).refused(1, &["nas:nowhere"]);
    s.ctl(&["resolve", "other:a", "--keep", "local"]).refused(1, &["other"]);
    assert_eq!(s.conflicts().len(), 10);
}
