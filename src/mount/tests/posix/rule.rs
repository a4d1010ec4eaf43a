//! What a rule is and how a list of them is run.

use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Stat};
use rustix::process::{Gid, Uid};

use crate::served::Served;

/// Somebody who is not root and owns nothing.
pub const SOMEBODY: u32 = 65_533;
/// Somebody else.
pub const ANOTHER: u32 = 65_532;

pub struct Rule {
    pub name: &'static str,
    needs: Needs,
    check: fn(&Path),
}

#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Nothing,
    Root,
    Mount,
}

pub const fn rule(name: &'static str, check: fn(&Path)) -> Rule {
    let needs = Needs::Nothing;
    Rule { name, needs, check }
}

/// Needs root to act as several people.
pub const fn root(name: &'static str, check: fn(&Path)) -> Rule {
    let needs = Needs::Root;
    Rule { name, needs, check }
}

/// Says what holds in the mount and differs between ordinary file systems.
pub const fn ours(name: &'static str, check: fn(&Path)) -> Rule {
    let needs = Needs::Mount;
    Rule { name, needs, check }
}

pub fn check_natively(rules: &[Rule]) {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    run(rules, folder.path(), false);
}

pub fn check_in_mount(rules: &[Rule]) {
    if let Some(served) = Served::start() {
        run(rules, &served.area(), true);
    }
}

fn run(rules: &[Rule], area: &Path, mounted: bool) {
    let is_root = rustix::process::geteuid().is_root();
    let mut broken = Vec::new();
    for (n, rule) in rules.iter().enumerate() {
        if rule.needs == Needs::Root && !is_root {
            println!("SKIPPED: {} (needs root)", rule.name);
            continue;
        }
        if rule.needs == Needs::Mount && !mounted {
            continue;
        }
        let folder = area.join(format!("rule{n}"));
        std::fs::create_dir(&folder).unwrap();
        open_to_all(&folder);
        if catch_unwind(AssertUnwindSafe(|| (rule.check)(&folder))).is_err() {
            broken.push(rule.name);
        }
    }
    assert!(broken.is_empty(), "broken rules:\n  {}", broken.join("\n  "));
}

pub fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// Does something as somebody else, in a thread of its own: credentials are each thread's.
pub fn act_as<T: Send>(id: u32, act: impl FnOnce() -> T + Send) -> T {
    act_as_member(id, id, &[], act)
}

pub fn act_as_member<T: Send>(uid: u32, gid: u32, groups: &[u32], act: impl FnOnce() -> T + Send) -> T {
    let groups: Vec<Gid> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            rustix::thread::set_thread_groups(&groups).unwrap();
            let gid = Gid::from_raw(gid);
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            let uid = Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            act()
        });
        acting.join().unwrap()
    })
}

pub fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

pub fn text(path: &Path) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

/// Of a link itself, not of where it leads.
pub fn stat(path: &Path) -> Stat {
    rustix::fs::lstat(path).unwrap()
}

pub fn kind(path: &Path) -> FileType {
    FileType::from_raw_mode(stat(path).st_mode)
}

pub fn mode(path: &Path) -> u32 {
    stat(path).st_mode & 0o7777
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn ctime(path: &Path) -> (i64, u64) {
    let s = stat(path);
    (s.st_ctime as i64, s.st_ctime_nsec as u64)
}

pub fn mtime(path: &Path) -> (i64, u64) {
    let s = stat(path);
    (s.st_mtime as i64, s.st_mtime_nsec as u64)
}

/// Longer than the step of any clock of a file system.
pub fn a_moment() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Something happens that changes the `ctime` of all these, and the `mtime` of those where it says
/// so.
pub fn changes(paths: &[(&Path, bool)], act: impl FnOnce()) {
    let before: Vec<_> = paths.iter().map(|(p, _)| (ctime(p), mtime(p))).collect();
    a_moment();
    act();
    for ((path, modified), before) in paths.iter().zip(before) {
        assert!(ctime(path) > before.0, "the ctime of {path:?}");
        assert_eq!(mtime(path) > before.1, *modified, "the mtime of {path:?}");
    }
}
