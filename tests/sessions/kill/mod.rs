//! The engine killed at random points: what was acknowledged is there, replay goes on, nothing twice.
//!
//! Seeds are fixed; a failing one is in the message, and `HOLDFAST_SEED=N` runs that one alone.

mod deeds;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::{Random, Session, long, tree};
use deeds::{Done, work};

fn seeds(few: u64, many: u64) -> Vec<u64> {
    if let Some(seed) = std::env::var("HOLDFAST_SEED").ok().and_then(|s| s.parse().ok()) {
        return vec![seed];
    }
    (1..=if long() { many } else { few }).collect()
}

/// Kills while programs write, starts again, and compares; several times in one store.
fn killed_while_writing(seed: u64, online: bool) -> Option<()> {
    let mut s = Session::pinned(&[("readme", "r\n")])?;
    let mut random = Random::new(seed);
    let mut known = [Done::default(), Done::default()];
    if !online {
        s.offline();
    }
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = known
            .into_iter()
            .enumerate()
            .map(|(n, done)| {
                let (root, stop) = (s.here(""), stop.clone());
                let seed = seed * 1000 + round * 10 + n as u64;
                thread::spawn(move || work(&root, &format!("w{n}"), seed, done, &stop))
            })
            .collect();
        thread::sleep(Duration::from_millis(100 + random.below(1500)));
        // Programs go on with the next engine, or lose what they had open.
        if (seed + round).is_multiple_of(2) {
            s.kill()
        } else {
            s.kill_all()
        }
        stop.store(true, SeqCst);
        s.serve();
        let done: Vec<Done> = writers.into_iter().map(|w| w.join().expect("a writer ends")).collect();
        known = done.try_into().ok().expect("two went in");
        for done in &mut known {
            done.compare(&s.here(""), &format!("seed {seed}, round {round}"));
        }
        let check = s.ctl(&["--json", "check"]);
        assert_eq!(check.json()["ok"], true, "seed {seed}, round {round}: {}", check.text());
    }
    if !online {
        s.ok(&["online"]);
    }
    end_clean(&s, seed);
    for done in &mut known {
        done.compare(&s.there(""), &format!("seed {seed}, on the server"));
    }
    Some(())
}

/// No conflict with oneself; a write cut off in the middle asks, and is accepted.
#[track_caller]
fn end_clean(s: &Session, seed: u64) {
    let ran = s.try_sync();
    if ran.code == 4 {
        let problems = s.json(&["problems"]);
        for problem in problems.as_array().expect("an array") {
            assert_eq!(problem["needs"], "unfinished", "seed {seed}: {problem}");
            s.ok(&["confirm", &problem["id"].to_string()]);
        }
        s.must_conflict(&[]);
        s.sync(0);
    } else {
        assert_eq!(ran.code, 0, "seed {seed}: {}\n{}", ran.err, s.ctl(&["changes"]).text());
    }
    s.must_conflict(&[]);
    assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0), "seed {seed}");
    s.must_agree();
}

#[test]
fn while_programs_write_offline() {
    for seed in seeds(2, 40) {
        if killed_while_writing(seed, false).is_none() {
            return;
        }
    }
}

#[test]
fn while_programs_write_online() {
    for seed in seeds(2, 40) {
        if killed_while_writing(seed, true).is_none() {
            return;
        }
    }
}

#[test]
fn while_a_pin_is_fetched() {
    for seed in seeds(1, 15) {
        let Some(mut s) = Session::empty() else { return };
        let mut random = Random::new(seed);
        for n in 0..3000 {
            let path = s.there(&format!("d{}/e{}/f{n}", n % 7, n % 11));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let size = random.below(9000) as usize;
            fs::write(path, random.bytes(size)).unwrap();
        }
        s.ok(&["location", "add", "nas", &s.url()]);
        s.ok(&["pin", "nas:"]);
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(30 + random.below(400)));
            s.kill();
            s.serve();
            let check = s.ctl(&["--json", "check"]);
            assert_eq!(check.json()["ok"], true, "seed {seed}: {}", check.text());
        }
        s.ok(&["pin", "nas:", "--wait"]);
        s.sync(0);
        s.must_conflict(&[]);
        s.must_agree();
        // All of it is really here.
        s.offline();
        assert_eq!(tree(&s.here("")), tree(&s.there("")), "seed {seed}");
    }
}

#[test]
fn while_changes_are_replayed() {
    for seed in seeds(2, 40) {
        let Some(mut s) = Session::empty() else { return };
        let mut random = Random::new(seed);
        for n in 0..200 {
            s.write_there(&format!("old/d{}/f{n}", n % 5), random.bytes(3000));
        }
        s.add_and_pin();
        s.offline();
        for n in 0..400 {
            s.write_here(&format!("new/d{}/f{n}", n % 9), random.bytes(2000));
        }
        for n in (0..200).step_by(3) {
            s.write_here(&format!("old/d{}/f{n}", n % 5), random.bytes(2500));
        }
        s.shell("mv old/d1 new/moved; rm -r old/d2; mv old/d3/f3 f3; ln -s f3 link; chmod 600 f3").done();
        let expected = tree(&s.here(""));
        s.ok(&["online"]);
        for round in 0..4 {
            s.ctl(&["sync"]);
            thread::sleep(Duration::from_millis(random.below(350)));
            s.kill();
            s.serve();
            assert_eq!(tree(&s.here("")), expected, "seed {seed}, round {round}");
        }
        end_clean(&s, seed);
        assert_eq!(tree(&s.there("")), expected, "seed {seed}");
    }
}

#[test]
fn a_mount_that_was_left_is_taken_over_while_it_is_used() {
    let Some(mut s) = Session::pinned(&[("d/a", "a\n")]) else {
        return;
    };
    s.offline();
    // A shell that stands in the mount, and a file that is open, are no reason to refuse.
    let mut inside = std::process::Command::new("sleep")
        .arg("600")
        .current_dir(s.here("d"))
        .spawn()
        .expect("sleep is there");
    let open = fs::File::open(s.here("d/a")).unwrap();
    s.write_here("d/b", "b\n");
    s.kill();
    s.serve();
    assert_eq!(s.read_here("d/b"), "b\n");
    assert_eq!(s.read_here("d/a"), "a\n");
    drop(open);
    let _ = inside.kill();
    let _ = inside.wait();
    s.stop();
    s.serve();
    assert_eq!(s.read_here("d/b"), "b\n");
    // Offline by hand outlives both.
    assert_eq!(s.json(&["status"])["locations"][0]["reason"], "by-hand");
    s.ok(&["online"]);
    end_clean(&s, 0);
}
