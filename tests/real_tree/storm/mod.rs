//! A location on an SSH server is pinned and worked in from both sides, and in each phase server, way
//! and engine are cut, frozen and killed at points that a seed chooses: at the end both sides hold what
//! everybody did, and nothing else.
//!
//! `HOLDFAST_SEED=N` runs that seed alone, `HOLDFAST_FAULTS=N` about so many faults.

mod fault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Far, Random, limit, long, until};
use crate::hand::{Hand, Item, items, must_be, rest};
use crate::source;
use crate::story::stamps;
use fault::Fault;

/// How much of it.
struct Size {
    seed: u64,
    parts: usize,
    /// Files of each part.
    files: usize,
    /// Faults of each phase of each part.
    faults: usize,
    /// Deeds of each side at once.
    burst: usize,
}

struct Storm {
    far: Far,
    size: Size,
    random: Random,
    struck: usize,
    /// Those that came before what they were to meet was over.
    met: BTreeMap<&'static str, usize>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_in_a_storm() {
    let size = if long() {
        let faults = number("HOLDFAST_FAULTS").unwrap_or(100) as usize;
        Size { seed: 1, parts: 5, files: 4000, faults: faults.div_ceil(20), burst: 300 }
    } else {
        Size { seed: 1, parts: 2, files: 240, faults: 1, burst: 40 }
    };
    let Some(far) = Far::new() else { return };
    let seed = number("HOLDFAST_SEED").unwrap_or(size.seed);
    println!("seed {seed}");
    let random = Random::new(seed);
    Storm { far, size: Size { seed, ..size }, random, struck: 0, met: BTreeMap::new() }.rages();
}

impl Storm {
    fn rages(mut self) {
        for part in 0..self.size.parts {
            source::make(&self.far.s.there(&name(part)), self.size.files / 12, self.size.files);
        }
        let mut expected = items(&self.far.s.there(""));
        let (here, there) = (self.far.s.here(""), self.far.s.there(""));
        let seed = self.size.seed * 10;
        // Two on each side: one works all the while, the other much at once. Each in every fifth file.
        let mut hands = [
            Hand::new(here.clone(), "ours", true, seed + 1),
            Hand::new(there.clone(), "theirs", false, seed + 2),
            Hand::new(here, "ours-at-once", true, seed + 3),
            Hand::new(there, "theirs-at-once", false, seed + 4),
        ];
        self.far.s.ok(&["location", "add", "nas", &self.far.s.url()]);
        for part in 0..self.size.parts {
            self.part_comes(part);
            let of_part: Vec<PathBuf> =
                expected.keys().filter(|path| path.starts_with(name(part))).cloned().collect();
            for (n, path) in of_part.into_iter().enumerate() {
                if let Some(hand) = hands.get_mut(n % 5)
                    && let Some((path, item)) = expected.remove_entry(&path)
                {
                    hand.items.insert(path, item);
                }
            }
            hands = self.both_sides_work(part, hands);
            self.far.s.must_conflict(&[]);
        }
        println!("{} faults, of which met what they were to meet: {:?}", self.struck, self.met);
        for hand in hands {
            expected.extend(hand.items);
        }
        self.ends(&expected);
    }

    /// A part is pinned: walked and fetched.
    fn part_comes(&mut self, part: usize) {
        let (path, files) = (format!("nas:{}", name(part)), self.size.files as u64);
        until("it can be pinned", || self.far.s.ctl(&["pin", &path]).code == 0);
        let of = |far: &Far, key: &str| {
            let pins = far.s.json(&["pins"]);
            let pin = pins.as_array().into_iter().flatten().find(|pin| pin["path"] == *path);
            pin.and_then(|pin| pin[key].as_u64()).unwrap_or(0)
        };
        self.faults("walk", files * 120, |far| of(far, "files") >= files);
        self.faults("fetch", files * 1200, |far| of(far, "present_files") >= files);
        until("the pin is here", || self.far.s.ctl(&["pin", &path, "--wait"]).code == 0);
    }

    /// Everybody works, and what they do is observed and replayed.
    fn both_sides_work(&mut self, part: usize, hands: [Hand; 4]) -> [Hand; 4] {
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_millis(40);
        let [ours, theirs, mut ours_at_once, mut theirs_at_once] = hands;
        let working = [ours, theirs].map(|hand| hand.set_to_work(&stop, pause));

        (0..self.size.burst).for_each(|_| theirs_at_once.deed());
        let last_sync = |far: &Far| far.s.json(&["status"])["locations"][0]["last_sync"].clone();
        let before = last_sync(&self.far);
        self.far.s.ctl(&["sync", "nas"]);
        let files = (self.size.files * (part + 1)) as u64;
        self.faults("observe", files * 120, |far| last_sync(far) != before);

        until("it can be taken offline", || self.far.s.ctl(&["offline", "nas"]).code == 0);
        (0..self.size.burst).for_each(|_| ours_at_once.deed());
        let marker = Path::new(&name(part)).join("ours-end");
        ours_at_once.mark(&marker);
        let marker = self.far.s.there(&marker.to_string_lossy());
        self.far.s.ok(&["online", "nas"]);
        self.faults("replay", self.size.burst as u64 * 16_000, |_| marker.exists());

        until("all of it is replayed", || marker.exists());
        stop.store(true, SeqCst);
        let [ours, theirs] = working.map(rest);
        [ours, theirs, ours_at_once, theirs_at_once]
    }

    /// Each falls when so much has gone by as the seed says, or the phase is over.
    fn faults(&mut self, phase: &'static str, bytes: u64, is_over: impl Fn(&Far) -> bool) {
        for _ in 0..self.size.faults {
            let fault = Fault::ALL[self.struck % Fault::ALL.len()];
            let (after, seen) =
                (self.random.below(bytes / self.size.faults as u64), self.random.below(2) == 0);
            let is_met = waits_for(&self.far, after, &is_over);
            println!("{} {phase}: {fault:?} after {after}, seen: {seen}, met: {is_met}", self.struck);
            fault.strike(&mut self.far, &mut self.random, seen);
            // The next one may come before it is back.
            if self.random.below(2) == 0 {
                self.far.s.ctl(&["sync", "nas"]);
                self.far.is_back();
            }
            *self.met.entry(phase).or_default() += usize::from(is_met);
            self.struck += 1;
        }
    }

    fn ends(&self, expected: &BTreeMap<PathBuf, Item>) {
        let s = &self.far.s;
        s.ok(&["pin", "nas:", "--wait"]);
        s.sync(0);
        s.must_conflict(&[]);
        assert_eq!(s.json(&["problems"]).as_array().map(Vec::len), Some(0));
        s.must_agree();
        must_be(&items(&s.there("")), expected);

        let before = stamps(&s.there(""));
        s.sync(0);
        assert!(before == stamps(&s.there("")), "a round in which nothing changed has touched the server");
        assert_eq!(s.json(&["changes"]).as_array().map(Vec::len), Some(0));
    }
}

fn name(part: usize) -> String {
    format!("part-{part}")
}

/// Whether it came to so much before it was over.
fn waits_for(far: &Far, bytes: u64, is_over: &impl Fn(&Far) -> bool) -> bool {
    let (from, end) = (far.passed(), Instant::now() + limit());
    for n in 0_u64.. {
        // Whether it is over takes a command, and much can go by meanwhile.
        if n % 64 == 63 && is_over(far) {
            return false;
        }
        if far.passed() - from >= bytes {
            return !is_over(far);
        }
        assert!(Instant::now() < end, "waited in vain for {bytes} bytes to go by");
        thread::sleep(Duration::from_millis(1));
    }
    false
}
