//! What is missing is not deleted: an emptied root asks, an unmounted share is a server that is gone.

use std::fs;
use std::process::Command;

use crate::common::{Ran, Session, is_root, skip, tree, until};

fn session() -> Option<Session> {
    let files: Vec<(String, String)> =
        (0..60).map(|n| (format!("d{}/f{n}", n % 5), format!("text {n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    Session::pinned(&files)
}

fn empty(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
}

/// The one problem there is.
#[track_caller]
fn the_problem(s: &Session) -> serde_json::Value {
    let problems = s.json(&["problems"]);
    let [problem] = problems.as_array().unwrap().as_slice() else {
        panic!("one problem, and not {problems}");
    };
    problem.clone()
}

#[test]
fn an_emptied_root_asks_and_is_confirmed() {
    let Some(s) = session() else { return };
    let before = tree(&s.here(""));
    empty(&s.there(""));
    s.sync(4);
    assert_eq!(tree(&s.here("")), before, "nothing is deleted here");
    let problem = the_problem(&s);
    assert_eq!(problem["needs"], "confirm", "{problem}");
    s.must_conflict(&[]);
    // Again and again it only asks.
    s.sync(4);
    assert_eq!(tree(&s.here("")), before);
    assert_eq!(the_problem(&s)["id"], problem["id"]);
    s.ok(&["confirm", &problem["id"].to_string()]);
    s.sync(0);
    assert!(tree(&s.here("")).is_empty(), "{:?}", tree(&s.here("")).keys());
    assert_eq!(s.json(&["problems"]).as_array().map(Vec::len), Some(0));
    s.must_agree();
    s.ctl(&["confirm", &problem["id"].to_string()]).refused(1, &[&problem["id"].to_string()]);
}

#[test]
fn an_emptied_root_that_comes_back_is_forgotten() {
    let Some(s) = session() else { return };
    let before = tree(&s.here(""));
    let aside = s.base().join("aside");
    fs::create_dir(&aside).unwrap();
    for n in 0..5 {
        fs::rename(s.there(&format!("d{n}")), aside.join(format!("d{n}"))).unwrap();
    }
    s.sync(4);
    assert_eq!(the_problem(&s)["needs"], "confirm");
    for n in 0..5 {
        fs::rename(aside.join(format!("d{n}")), s.there(&format!("d{n}"))).unwrap();
    }
    s.sync(0);
    assert_eq!(tree(&s.here("")), before);
    s.must_agree();
}

#[test]
fn what_is_changed_here_goes_on_while_the_brake_is_on() {
    let Some(s) = session() else { return };
    s.offline();
    s.write_here("d1/f1", "changed here\n");
    empty(&s.there(""));
    s.online(4);
    assert_eq!(s.read_here("d1/f1"), "changed here\n");
    let problem = the_problem(&s);
    assert_eq!(problem["needs"], "confirm");
    s.ok(&["confirm", &problem["id"].to_string()]);
    s.sync(4);
    s.must_conflict(&[("d1/f1", "edit/delete")]);
    assert_eq!(s.read_here("d1/f1"), "changed here\n");
    s.ok(&["resolve", "nas:d1/f1", "--keep", "local"]);
    s.sync(0);
    assert_eq!(s.read_there("d1/f1"), "changed here\n");
    s.must_agree();
}

#[test]
fn a_programs_own_deletions_are_replayed() {
    let Some(s) = session() else { return };
    s.shell("rm -r d*").done();
    s.sync(0);
    assert!(tree(&s.there("")).is_empty());
    s.must_agree();
}

#[test]
fn a_folder_that_is_not_there_is_a_server_that_is_gone() {
    let Some(s) = session() else { return };
    let before = tree(&s.here(""));
    let away = s.base().join("server-away");
    fs::rename(s.there(""), &away).unwrap();
    must_be_gone(&s);
    assert_eq!(tree(&s.here("")), before);
    s.write_here("d1/f1", "changed meanwhile\n");
    fs::rename(&away, s.there("")).unwrap();
    s.sync(0);
    assert_eq!(s.read_there("d1/f1"), "changed meanwhile\n");
    s.must_agree();
}

#[track_caller]
fn must_be_gone(s: &Session) {
    s.ctl(&["sync", "nas", "--wait", "--timeout", "50"]).refused(1, &["nas"]);
    until("the location is offline", || {
        let status = s.json(&["status"]);
        let nas = &status["locations"][0];
        nas["link"] == "offline" && nas["reason"] == "server-gone"
    });
    s.must_conflict(&[]);
}

#[test]
fn an_unmounted_share_is_a_server_that_is_gone() {
    if !is_root() {
        return skip("mounting a share takes root");
    }
    let Some(s) = Session::empty() else { return };
    let mount = |command: &mut Command| Ran::of(command).code == 0;
    let folder = s.there("");
    if !mount(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "share"]).arg(&folder)) {
        return skip("a tmpfs cannot be mounted here");
    }
    for n in 0..20 {
        s.write_there(&format!("d/f{n}"), format!("{n}\n"));
    }
    s.add_and_pin();
    let before = tree(&s.here(""));
    s.offline();
    s.write_here("d/f1", "changed here\n");
    // Its files are kept by a second mount of the same.
    let kept = s.base().join("kept");
    fs::create_dir(&kept).unwrap();
    assert!(mount(Command::new("mount").arg("--bind").arg(&folder).arg(&kept)));
    assert!(mount(Command::new("umount").arg("-l").arg(&folder)));
    assert!(fs::read_dir(&folder).unwrap().next().is_none(), "only the empty mount point is left");
    s.ok(&["online", "nas"]);
    must_be_gone(&s);
    let now = tree(&s.here(""));
    assert_eq!(now.len(), before.len(), "nothing is deleted here");
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(1));
    assert!(fs::read_dir(&folder).unwrap().next().is_none(), "nothing is written under the mount point");
    // Mounted again, all goes on.
    assert!(mount(Command::new("mount").arg("--bind").arg(&kept).arg(&folder)));
    s.sync(0);
    assert_eq!(s.read_there("d/f1"), "changed here\n");
    s.must_agree();
}
