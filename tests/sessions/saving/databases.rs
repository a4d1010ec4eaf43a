//! Programs that keep files open, lock them and write into the middle of them.

use std::process::Command;

use crate::common::{Ran, Session, has_program, skip};

#[test]
fn sqlite_with_a_journal_and_with_a_log() {
    if !has_program("sqlite3") {
        return skip("there is no sqlite3");
    }
    let Some(s) = Session::pinned(&[("readme", "r\n")]) else {
        return;
    };
    let sql = |file: &str, text: &str| s.shell(&format!("sqlite3 -bail {file} \"{text}\"")).done().text();
    for (file, mode) in [("journal.db", "delete"), ("wal.db", "wal"), ("truncate.db", "truncate")] {
        sql(file, &format!("pragma journal_mode={mode}; create table t(n integer primary key, x text);"));
        sql(file, "insert into t(x) select hex(randomblob(500)) from generate_series(1, 400);");
    }
    s.sync(0);
    s.offline();
    for file in ["journal.db", "wal.db", "truncate.db"] {
        sql(file, "begin; update t set x = 'changed' where n % 7 = 0; commit;");
        sql(file, "begin; delete from t where n > 350; rollback;");
        sql(file, "delete from t where n % 11 = 0; vacuum;");
    }
    s.online(0);
    s.must_agree();
    for file in ["journal.db", "wal.db", "truncate.db"] {
        let there = s.there(file);
        let ask = |text: &str| Ran::of(Command::new("sqlite3").arg(&there).arg(text)).done().text();
        assert_eq!(ask("pragma integrity_check;"), "ok\n", "{file}");
        assert_eq!(ask("select count(*) from t;"), "364\n", "{file}");
        assert_eq!(ask("select count(*) from t where x = 'changed';"), "52\n", "{file}");
    }
    let names = Ran::of(Command::new("ls").arg("-A").arg(s.there(""))).done().text();
    assert_eq!(names, "journal.db\nreadme\ntruncate.db\nwal.db\n", "no journal is left");
}

#[test]
fn a_repository_in_the_mount() {
    if !has_program("git") {
        return skip("there is no git");
    }
    let Some(s) = Session::pinned(&[("readme", "r\n")]) else {
        return;
    };
    let git = "git -c user.name=Me -c user.email=me@here -c gc.auto=0";
    s.shell(&format!("git init -q repo; cd repo; for i in 1 2 3 4 5; do echo $i > f$i; {git} add .; {git} commit -qm c$i; done"))
        .done();
    s.sync(0);
    s.offline();
    s.shell(&format!(
        "cd repo; for i in 6 7 8 9; do echo $i >> f1; mkdir -p d$i; echo $i > d$i/f; {git} add .; {git} commit -qm c$i; done; \
         {git} branch side HEAD~3; {git} checkout -q side; echo s > s; {git} add .; {git} commit -qm side; \
         {git} checkout -q -; {git} merge -q -m merged side; git gc -q"
    ))
    .done();
    s.online(0);
    s.must_agree();
    for place in [s.here("repo"), s.there("repo")] {
        let fsck = Ran::of(
            Command::new("git")
                .args(["-c", "safe.directory=*", "-C"])
                .arg(&place)
                .args(["fsck", "--full", "--strict"]),
        );
        let fsck = fsck.done();
        assert!(!fsck.err.contains("missing") && !fsck.err.contains("corrupt"), "{}", fsck.err);
        let status = Ran::of(
            Command::new("git")
                .args(["-c", "safe.directory=*", "-C"])
                .arg(&place)
                .args(["status", "--porcelain"]),
        );
        assert_eq!(status.done().text(), "");
    }
}
