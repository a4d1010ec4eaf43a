//! Whole engines, one seed each. `HOLDFAST_SEEDS=from..to` runs those, `HOLDFAST_LONG=1` many.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use holdfast_testkit::simulation::{Ended, Plan, Plant, run};

/// Seeds that failed once, each with what it found.
const REGRESSIONS: &[(u64, &str)] = &[
    (1, "what stepped aside for a move in a circle stayed under its temporary name after a decision"),
    (12, "an empty file that the server stamped anew was a conflict"),
    (15, "an item that was never agreed on and went there was never sent"),
    (39, "b and B on a server for which they are one: created without end"),
    (51, "a new thing whose name was taken here meanwhile stood still"),
    (65, "what could not be noted as gone stayed in a folder that was gone"),
    (123, "undo dropped what a program had written since"),
    (141, "a kill, then a crash: contents that nobody had synced"),
    (169, "two items with one place in base hid one another"),
    (186, "what was moved into a folder that the server removed stood still"),
    (223, "a file moved aside before it was here"),
    (282, "the server has a file in place of a folder with new things in it"),
    (289, "a file here in place of a folder in which the server has something new"),
    (376, "what had made room and was stamped anew there was a conflict once it was removed here"),
    (384, "a truncate that failed for want of space was half done, and sent"),
    (423, "bytes written on a full disk whose record found no room"),
    (459, "records of what lies in a folder that became another item's"),
    (590, "a chmod where the server keeps no modes was a conflict"),
    (592, "a temporary name was left when its clearing was cut off"),
    (605, "a temporary name stayed in a folder that was moved before it was cleared"),
    (877, "bytes that are nowhere were reported as clean"),
    (901, "a mode taken for one name of a file, not recorded for the other"),
    (1095, "a folder was put in place of a file here"),
    (1218, "what is in the tree here was taken for lost"),
    (1234, "the server's side stayed noted although it was base"),
    (1606, "a step aside whose answer was lost was cleared away"),
    (1707, "a move whose answer was lost, then written into there: replaced unseen"),
    (2049, "a removed thing waited for another name"),
    (2489, "what a crash takes was asked for where a fetch was under way"),
    (8839, "a file that got a name back by undo was remembered with one name less"),
];

/// Seeds of each run in continuous integration.
const FEW: Range<u64> = 0..500;
const MANY: Range<u64> = 0..20_000;

/// A run takes a fraction of a second.
const HANGS: std::time::Duration = std::time::Duration::from_secs(60);

fn seeds() -> Range<u64> {
    if let Ok(text) = std::env::var("HOLDFAST_SEEDS") {
        let (from, to) = text.split_once("..").expect("HOLDFAST_SEEDS=from..to");
        return from.parse().unwrap()..to.parse().unwrap();
    }
    if std::env::var("HOLDFAST_LONG").is_ok() { MANY } else { FEW }
}

fn try_run(seed: u64, plant: Plant) -> Result<Ended, String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, plant))) {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            let plan = Plan::draw(seed).words();
            Err(format!("seed {seed} ({plan}):\n  panicked: {}", text.unwrap_or_default()))
        }
    }
}

#[test]
fn nothing_is_lost() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(BTreeMap::new());
    let done = AtomicU64::new(0);
    let (conflicts, taken_back) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = std::time::Instant::now();
    let under_way: Mutex<BTreeMap<u64, std::time::Instant>> = Mutex::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A run that hangs would hide which one it is.
            while done.load(Relaxed) < seeds.end - seeds.start {
                std::thread::sleep(std::time::Duration::from_millis(200));
                let under_way = under_way.lock().unwrap();
                if let Some((seed, _)) = under_way.iter().find(|(_, at)| at.elapsed() > HANGS) {
                    eprintln!("seed {seed} ({}) hangs", Plan::draw(*seed).words());
                    std::process::exit(101);
                }
            }
        });
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    under_way.lock().unwrap().insert(seed, std::time::Instant::now());
                    let ended = try_run(seed, Plant::None);
                    under_way.lock().unwrap().remove(&seed);
                    match ended {
                        Ok(ended) => {
                            conflicts.fetch_add(ended.conflicts as u64, Relaxed);
                            taken_back.fetch_add(ended.taken_back as u64, Relaxed);
                        }
                        Err(text) => {
                            failures.lock().unwrap().insert(seed, text);
                        }
                    }
                    done.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} runs, {:.0} a minute, {} conflicts, {} reconnections taken back",
        done.load(Relaxed),
        done.load(Relaxed) as f64 / minutes,
        conflicts.load(Relaxed),
        taken_back.load(Relaxed)
    );
    let failures = failures.into_inner().unwrap();
    for text in failures.values() {
        let short: Vec<&str> = text.lines().take(6).collect();
        println!("{}", short.join("\n"));
    }
    if let Some((_, first)) = failures.first_key_value() {
        let seeds: Vec<&u64> = failures.keys().collect();
        panic!("{} seeds failed: {seeds:?}; the first one:\n{first}", failures.len());
    }
}

#[test]
fn what_failed_once_does_not_fail_again() {
    for (seed, what) in REGRESSIONS {
        if let Err(text) = try_run(*seed, Plant::None) {
            panic!("{what}\n{text}");
        }
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..12 {
        let (first, second) = (try_run(seed, Plant::None), try_run(seed, Plant::None));
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let found = (0..400).find(|seed| try_run(*seed, plant).is_err());
        match found {
            Some(seed) => println!("{plant:?}: found by seed {seed}"),
            None => panic!("{plant:?} is not found"),
        }
    }
}
