//! Two engines on two stores and a third party with plain ssh, all at work at one server: each in files
//! of their own, and two of them now and then in the same. Exactly that is a conflict, of the engine that
//! comes later; once it is decided all have the same, and there is rest.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use holdfast_testkit::sshd::{HOST, Sshd};

use crate::common::{Ran, Random, Session, Times, has_program, long, skip, until};
use crate::hand::{Hand, items, must_be, rest};
use crate::source;
use crate::story::stamps;

const DISPUTED: &str = "disputed";

/// Fields go in their order: first the engines.
struct Three {
    a: Session,
    b: Session,
    sshd: Sshd,
    random: Random,
}

/// Path and kind of each conflict.
type Conflicts = Vec<(String, String)>;

#[test]
fn two_engines_and_a_third_party_converge() {
    let Some(mut three) = Three::new() else { return };
    let (files, rounds, disputes) = if long() { (1000, 3, 8) } else { (120, 2, 2) };
    source::make(&three.a.there("src"), 12, files);
    for s in [&three.a, &three.b] {
        s.add_and_pin();
    }
    let mut expected = items(&three.a.there(""));
    let places = [three.a.here(""), three.b.here(""), three.a.there("")];
    let mut hands = Vec::new();
    for (n, (place, who)) in places.into_iter().zip(["ann", "benjamin", "third"]).enumerate() {
        let mut hand = Hand::new(place, who, who != "third", n as u64 + 1);
        let paths: Vec<_> = expected.keys().skip(n).step_by(5).cloned().collect();
        hand.items = paths.into_iter().filter_map(|path| expected.remove_entry(&path)).collect();
        hands.push(hand);
    }
    // So that what they do in the many minutes of the long form does not grow without end.
    let pause = Duration::from_millis(if long() { 120 } else { 30 });
    let stop = Arc::new(AtomicBool::new(false));
    let at_work: Vec<_> = hands.into_iter().map(|hand| hand.set_to_work(&stop, pause)).collect();
    for round in 0..rounds {
        three.dispute(round, disputes);
    }
    stop.store(true, SeqCst);
    for hand in at_work {
        expected.extend(rest(hand).items);
    }
    three.ends();
    let mut found = items(&three.a.there(""));
    found.retain(|path, _| !path.starts_with(DISPUTED));
    must_be(&found, &expected);
}

impl Three {
    fn new() -> Option<Three> {
        let (mut a, mut b) = (Session::prepared()?, Session::prepared()?);
        let sshd = Sshd::start().inspect_err(|why| skip(why)).ok()?;
        if !has_program("sftp") {
            skip("there is no sftp");
            return None;
        }
        fs::create_dir(a.there(DISPUTED)).expect("a folder");
        fs::remove_dir(b.there("")).expect("it is empty");
        symlink(a.there(""), b.base().join("server")).expect("a link");
        for s in [&mut a, &mut b] {
            s.reached = (format!("sftp://{HOST}{}", s.there("").display()), Times::WholeSeconds);
            s.serve_env.push(("HOLDFAST_SSH_COMMAND", sshd.ssh_command()));
            s.serve();
        }
        Some(Three { a, b, sshd, random: Random::new(3) })
    }

    /// Each pair of the three edits the same files, neither having seen what the other does: while they
    /// hold them open, or while they are offline.
    fn dispute(&mut self, round: usize, disputes: usize) {
        let path = |pair: &str, n: usize| format!("{DISPUTED}/{round}-{pair}-{n}");
        let paths = |pair: &str| (0..disputes).map(|n| path(pair, n)).collect::<Vec<_>>();
        let (ab, ac, bc) = (paths("ab"), paths("ac"), paths("bc"));
        let all: Vec<&String> = ab.iter().chain(&ac).chain(&bc).collect();
        for path in &all {
            self.third_saves(path, b"what all begin with\n");
        }
        for path in &all {
            self.all_have(path, b"what all begin with\n");
        }
        let (of_a, of_b) = if round.is_multiple_of(2) {
            self.dispute_open(&ab, &ac, &bc)
        } else {
            self.dispute_offline(round, &ab, &ac, &bc)
        };
        for (s, expected) in [(&self.a, &of_a), (&self.b, &of_b)] {
            until("its conflicts are found", || {
                s.ctl(&["sync", "nas"]);
                s.conflicts().len() >= expected.len()
            });
            let expected: Vec<(&str, &str)> =
                expected.iter().map(|(p, k)| (p.as_str(), k.as_str())).collect();
            s.must_conflict(&expected);
        }
        for (s, conflicts) in [(&self.a, of_a), (&self.b, of_b)] {
            decide(s, &conflicts);
        }
        // Nobody has seen anything else: from hand to hand is no conflict.
        let path = path("passed", 0);
        self.third_saves(&path, b"third\n");
        self.all_have(&path, b"third\n");
        self.a.write_here(&path, "a was here\n");
        self.all_have(&path, b"a was here\n");
        self.b.write_here(&path, "and then b was here\n");
        self.all_have(&path, b"and then b was here\n");
    }

    fn dispute_open(&mut self, ab: &[String], ac: &[String], bc: &[String]) -> (Conflicts, Conflicts) {
        let (a_first, b_first) = ab.split_at(ab.len() / 2);
        let open = |s: &Session, paths: &[String]| -> Vec<File> {
            let open = |path: &String| OpenOptions::new().write(true).open(s.here(path)).expect("it is here");
            paths.iter().map(open).collect()
        };
        let of_a = [a_first, b_first, ac].map(|paths| open(&self.a, paths));
        let of_b = [a_first, b_first, bc].map(|paths| open(&self.b, paths));
        for path in ac.iter().chain(bc) {
            self.third_saves(path, &text("the third party", path));
        }
        let close = |who: &str, files: Vec<File>, paths: &[String]| {
            for (mut file, path) in files.into_iter().zip(paths) {
                file.write_all(&text(who, path)).expect("it can be written");
            }
        };
        let ([a0, a1, a2], [b0, b1, b2]) = (of_a, of_b);
        // Between two engines that replace a file in the same instant a server without a
        // compare-and-swap cannot decide: one is first.
        close("ann", a0, a_first);
        close("benjamin", b1, b_first);
        self.there_is("ann", a_first);
        self.there_is("benjamin", b_first);
        close("ann", a1, b_first);
        close("benjamin", b0, a_first);
        close("ann", a2, ac);
        close("benjamin", b2, bc);
        (edited(b_first.iter().chain(ac)), edited(a_first.iter().chain(bc)))
    }

    fn dispute_offline(
        &mut self,
        round: usize,
        ab: &[String],
        ac: &[String],
        bc: &[String],
    ) -> (Conflicts, Conflicts) {
        let [gone, kept, made, same] =
            ["gone", "kept", "made", "same"].map(|what| format!("{DISPUTED}/{round}-{what}"));
        for path in [&gone, &kept] {
            self.third_saves(path, b"old\n");
            self.all_have(path, b"old\n");
        }
        let (a, b) = (&self.a, &self.b);
        a.offline();
        b.offline();
        for (s, who, paths) in [(a, "ann", ab), (b, "benjamin", ab), (a, "ann", ac), (b, "benjamin", bc)] {
            for path in paths {
                let fresh = s.here(path).with_extension("new");
                fs::write(&fresh, text(who, path)).expect("it can be written");
                fs::rename(fresh, s.here(path)).expect("it can be moved");
            }
        }
        a.write_here(&gone, "a goes on with it\n");
        fs::remove_file(a.here(&kept)).expect("it is here");
        a.write_here(&made, "made by a\n");
        b.write_here(&made, "made by b as well\n");
        for s in [a, b] {
            s.write_here(&same, "both think of the same\n");
        }
        for path in ac.iter().chain(bc) {
            self.third_saves(path, &text("the third party", path));
        }
        self.ssh(&format!("rm '{}'", self.a.there(&gone).display()), None);
        self.third_saves(&kept, b"the third party goes on with it\n");

        let (a, b) = (&self.a, &self.b);
        a.ok(&["online", "nas"]);
        self.there_is("ann", ab);
        until("what a made is there", || a.there(&made).exists() && a.there(&same).exists());
        b.ok(&["online", "nas"]);
        let (mut of_a, mut of_b) = (edited(ac), edited(ab.iter().chain(bc)));
        of_a.extend([(gone, "edit/delete".into()), (kept, "delete/edit".into())]);
        of_b.push((made, "create/create".into()));
        (of_a, of_b)
    }

    /// By the tools that people have.
    fn third_saves(&mut self, path: &str, bytes: &[u8]) {
        let (to, outside) = (self.a.there(path), self.a.base().join("outside"));
        let fresh = to.with_extension("third-new");
        fs::write(&outside, bytes).expect("it can be written");
        if self.random.below(2) == 0 {
            let line = format!("cat > '{0}' && mv '{0}' '{1}'", fresh.display(), to.display());
            self.ssh(&line, Some(File::open(&outside).expect("it is there")));
        } else {
            let batch = self.a.base().join("batch");
            let lines =
                format!("put {0} {1}\nrename {1} {2}\n", outside.display(), fresh.display(), to.display());
            fs::write(&batch, lines).expect("it can be written");
            let mut sftp = Command::new("sftp");
            sftp.arg("-q").arg("-F").arg(self.sshd.ssh_config()).arg("-b").arg(batch).arg(HOST);
            Ran::of(&mut sftp).done();
        }
    }

    fn ssh(&self, line: &str, input: Option<File>) {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.sshd.ssh_config()).arg(HOST).arg(line);
        ssh.stdin(input.map_or_else(Stdio::null, Into::into));
        Ran::of(&mut ssh).done();
    }

    fn all_have(&self, path: &str, bytes: &[u8]) {
        let is_there = |at: PathBuf| fs::read(at).is_ok_and(|found| found == bytes);
        until("all three have it", || {
            let places = [self.a.here(path), self.b.here(path), self.a.there(path)];
            let all = places.into_iter().all(is_there);
            if !all {
                self.a.ctl(&["sync", "nas"]);
                self.b.ctl(&["sync", "nas"]);
            }
            all
        });
    }

    fn there_is(&self, who: &str, paths: &[String]) {
        let is_there =
            |path: &String| fs::read(self.a.there(path)).is_ok_and(|found| found == text(who, path));
        until("what one of them wrote is there", || paths.iter().all(is_there));
    }

    /// What one brings to rest moves the other, and what that one then does nobody.
    fn ends(&self) {
        for s in [&self.a, &self.b, &self.a] {
            s.sync(0);
        }
        for s in [&self.a, &self.b] {
            s.must_conflict(&[]);
            assert_eq!(s.json(&["problems"]).as_array().map(Vec::len), Some(0));
            s.must_agree();
        }
        let before = stamps(&self.a.there(""));
        for s in [&self.a, &self.b, &self.a, &self.b] {
            s.sync(0);
            assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0));
        }
        assert!(before == stamps(&self.a.there("")), "no rest: the server was touched");
        self.a.must_agree();
        self.b.must_agree();
    }
}

/// Of the same length for each of the three, and often of the same second.
fn text(who: &str, path: &str) -> Vec<u8> {
    format!("{path} as it is after {who:>16}\n").repeat(40).into_bytes()
}

fn edited<'a>(paths: impl IntoIterator<Item = &'a String>) -> Conflicts {
    paths.into_iter().map(|path| (path.clone(), "edit/edit".to_owned())).collect()
}

/// One way and another; nothing that anybody wrote is lost.
#[track_caller]
fn decide(s: &Session, conflicts: &Conflicts) {
    let mut decided = Vec::new();
    for (n, (path, kind)) in conflicts.iter().enumerate() {
        let choice = match (kind.as_str(), n % 2) {
            ("edit/edit" | "create/create", 0) => "both",
            ("edit/edit" | "create/create", _) => "newest",
            _ => "local",
        };
        let at = format!("nas:{path}");
        let sides = ["local", "server"].map(|side| s.ctl(&["cat", &at, "--state", side]).out);
        s.ok(&["resolve", &at, "--keep", choice]);
        decided.push((path, choice, sides));
    }
    until("none is left", || s.conflicts().is_empty());
    until("what was decided is there", || {
        let folder = fs::read_dir(s.there(DISPUTED)).expect("it is there").flatten();
        let found: Vec<Vec<u8>> = folder.filter_map(|entry| fs::read(entry.path()).ok()).collect();
        decided.iter().all(|(path, choice, sides)| match *choice {
            "both" => sides.iter().all(|side| found.contains(side)),
            "newest" => fs::read(s.there(path)).is_ok_and(|stands| sides.contains(&stands)),
            _ => true,
        })
    });
    for (path, _, _) in decided.iter().filter(|(_, choice, _)| *choice == "newest") {
        let stash = s.json(&["stash", "list", &format!("nas:{path}")]);
        assert_eq!(stash.as_array().map(Vec::len), Some(1), "{path}: {stash}");
    }
}
