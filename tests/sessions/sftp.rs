//! A location on an SSH server: cut off, worked in, conflicts, decided; and what a person is told where
//! the server cannot be had.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use holdfast_testkit::sshd::{HOST, Sshd};

use crate::common::{Session, Times, skip, until};

/// A session whose server is an sshd of its own.
fn session() -> Option<(Session, Sshd)> {
    let mut s = Session::prepared()?;
    let sshd = Sshd::start().inspect_err(|why| skip(why)).ok()?;
    s.reached = (format!("sftp://{HOST}{}", s.there("").display()), Times::WholeSeconds);
    s.serve_env.push(("HOLDFAST_SSH_COMMAND", sshd.ssh_command()));
    s.serve();
    Some((s, sshd))
}

fn is_offline(s: &Session, reason: &str) -> bool {
    let status = s.json(&["status"]);
    let nas = &status["locations"][0];
    nas["link"] == "offline" && nas["reason"] == reason
}

#[test]
fn cut_off_worked_in_reconnected_and_decided() {
    let Some((s, mut sshd)) = session() else { return };
    for (path, text) in [("d/both", "one\n"), ("d/ours", "one\n"), ("d/theirs", "one\n"), ("d/gone", "one\n")]
    {
        s.write_there(path, text);
    }
    let odd = OsStr::from_bytes(b"d/\xff odd \n");
    fs::write(s.there("").join(odd), "odd\n").unwrap();
    s.add_and_pin();
    assert_eq!(fs::read(s.here("").join(odd)).unwrap(), b"odd\n");
    assert_eq!(s.json(&["location", "list"])[0]["url"], s.url());

    // The machine hangs: what is here is worked in at once.
    sshd.freeze();
    s.write_here("d/both", "one, here\n");
    s.write_here("d/ours", "one, here\n");
    s.shell("rm d/gone; mkdir e; echo new > e/new; mv e/new e/moved; chmod 600 e/moved").done();
    s.write_there("d/both", "one, and there\n");
    s.write_there("d/theirs", "one, and there\n");
    s.ctl(&["sync", "nas"]);
    until("it is seen that the server is gone", || is_offline(&s, "server-gone"));
    assert_eq!(s.read_here("d/both"), "one, here\n");
    assert!(sshd.is_frozen(), "the server was to be frozen all the while");
    sshd.thaw();
    s.sync(4);
    s.must_conflict(&[("d/both", "edit/edit")]);
    assert_eq!(s.read_there("d/ours"), "one, here\n");
    assert_eq!(s.read_here("d/theirs"), "one, and there\n");
    assert_eq!(s.read_there("e/moved"), "new\n");
    assert!(!s.there("d/gone").exists());

    // The machine is switched off while the conflict is decided.
    sshd.kill();
    s.ctl(&["sync", "nas"]);
    until("it is seen that the server is gone", || is_offline(&s, "server-gone"));
    s.ok(&["resolve", "nas:d/both", "--keep", "both"]);
    s.write_here("d/later", "x".repeat(3 << 20));
    sshd.listen().expect("the server comes back");
    s.sync(0);
    assert_eq!(s.read_there("d/both"), "one, here\n");
    s.must_agree();
}

#[test]
fn why_a_server_cannot_be_had_is_told_and_changes_are_kept() {
    let Some((s, mut sshd)) = session() else { return };
    s.write_there("a", "one\n");
    s.add_and_pin();
    for (url, words) in [
        ("sftp://nas", "path"),
        ("sftp://me:secret@nas/a", "password"),
        ("sftp://-oProxyCommand=x/a", "name of a server"),
        ("sftp://nas:0/a", "port"),
    ] {
        let ran = s.ctl(&["location", "add", "other", url]);
        assert!(
            ran.code != 0 && ran.err.contains(words) && !ran.err.contains("secret"),
            "{url}: {}",
            ran.err
        );
    }
    // The key is taken away: sign-in is needed, what is here stays and is worked in.
    let (key, away) = (sshd.dir().join("id"), sshd.dir().join("id.away"));
    fs::rename(&key, &away).unwrap();
    sshd.kill_sessions();
    s.write_here("a", "two\n");
    s.ctl(&["sync", "nas"]);
    until("it is told that sign-in is needed", || is_offline(&s, "sign-in-needed"));
    let ran = s.ctl(&["sync", "nas", "--wait", "--timeout", "1"]).code(1);
    assert!(ran.err.contains("does not let this user in"), "{}", ran.err);
    assert_eq!(s.read_here("a"), "two\n");
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(1));
    fs::rename(&away, &key).unwrap();
    s.sync(0);
    assert_eq!(s.read_there("a"), "two\n");
    s.must_agree();
    // The server is gone for good: one sentence says so.
    sshd.kill();
    s.ctl(&["sync", "nas"]);
    until("it is seen that the server is gone", || is_offline(&s, "server-gone"));
    let ran = s.ctl(&["sync", "nas", "--wait", "--timeout", "1"]).code(1);
    assert!(ran.err.lines().count() == 1 && ran.err.contains(HOST), "{}", ran.err);
}

/// An engine that is killed leaves no `ssh` behind, and the next one goes on where it was.
#[test]
fn no_ssh_outlives_its_engine() {
    let Some((mut s, sshd)) = session() else { return };
    s.write_there("a", "one\n");
    s.add_and_pin();
    let config = sshd.ssh_config().into_os_string().into_encoded_bytes();
    let is_there = || {
        let lines =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|p| fs::read(p.path().join("cmdline")).ok());
        lines.into_iter().any(|line| line.windows(config.len()).any(|window| window == config))
    };
    assert!(is_there());
    // It would otherwise wait for a server that hangs.
    sshd.freeze();
    s.kill();
    until("its ssh has ended", || !is_there());
    sshd.thaw();
    s.serve();
    s.write_here("a", "two\n");
    s.sync(0);
    assert_eq!(s.read_there("a"), "two\n");
    s.must_agree();
}
