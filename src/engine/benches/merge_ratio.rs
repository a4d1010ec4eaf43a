//! Times the line merge against `git merge-file` on the same texts, in the same run, and prints ratios.
//!
//! `cargo bench -p holdfast-engine --bench merge_ratio [-- RUNS]`; with `--samples` each run of each text on
//! a line of its own (texts, our seconds, git's), as `cargo xtask bench merge` reads it.
//!
//! Git's time includes its start and reading the files: both are shown by the row of three empty texts. Ours
//! includes reading the files too. The fastest of the runs counts (default 5).

// A bench measures time; nothing here is part of the engine.
#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_engine::merge::text::{Labels, Limits, MarkerStyle, Merge};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let samples = args.iter().any(|arg| arg == "--samples");
    let runs = args.iter().find(|arg| !arg.starts_with('-')).map_or(Ok(5), |runs| runs.parse())?;
    let folder = std::env::temp_dir().join(format!("merge-ratio-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let outcome = run_all(&folder, runs, samples);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn run_all(folder: &Path, runs: usize, samples: bool) -> Result<(), Failure> {
    if !samples {
        println!("{:<58} {:>9} {:>9} {:>7}  same  conflicts", "texts", "ours ms", "git ms", "ours/git");
    }
    for case in cases() {
        for (name, lines) in [("original", &case.original), ("local", &case.local), ("server", &case.server)]
        {
            std::fs::write(folder.join(name), lines)?;
        }
        let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
        let mut same = "";
        let mut conflicts = 0;
        for _ in 0..runs {
            let start = Instant::now();
            let read = |name| std::fs::read(folder.join(name));
            let merge = Merge::new(read("original")?, read("local")?, read("server")?, Limits::default())?;
            let text = merge.render_marked(MarkerStyle::TwoSides, Labels::default());
            let our_time = start.elapsed();
            conflicts = merge.conflict_count();

            let start = Instant::now();
            let git = Command::new("git")
                .args(["merge-file", "-p", "-q", "local", "original", "server"])
                .current_dir(folder)
                .stderr(Stdio::inherit())
                .output();
            let Ok(git) = git else {
                println!("SKIPPED: git is not installed");
                return Ok(());
            };
            let their_time = start.elapsed();
            if samples {
                println!("{}\t{}\t{}", case.name, our_time.as_secs_f64(), their_time.as_secs_f64());
            }
            (ours, theirs) = (ours.min(our_time), theirs.min(their_time));
            same = match (git.status.code(), merge.is_clean()) {
                (Some(0), true) if git.stdout == text => "text",
                (Some(0), true) => "DIFFERS",
                (Some(1..128), false) => "conflict",
                _ => "NO",
            };
        }
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let (ours, theirs) = (ours.as_secs_f64() * 1e3, theirs.as_secs_f64() * 1e3);
        if !samples {
            println!("{:<58} {ours:>9.1} {theirs:>9.1} {ratio:>7.2}  {same:<8} {conflicts}", case.name);
        }
    }
    Ok(())
}

struct Case {
    name: String,
    original: String,
    local: String,
    server: String,
}

fn cases() -> Vec<Case> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut cases = vec![Case {
        name: "three empty texts".into(),
        original: String::new(),
        local: String::new(),
        server: String::new(),
    }];
    let n = 100_000;
    let case = |name: &str, texts: [Vec<u64>; 3]| {
        let [original, local, server] = texts.map(|lines| written(&lines));
        Case { name: name.into(), original, local, server }
    };

    let original = code(&mut random, n);
    let (local, server) = edited_apart(&mut random, &original, 1_000);
    cases.push(case("100,000 lines, 1,000 edits a side, apart", [original, local, server]));

    let original = code(&mut random, n);
    let sides = [0, 1].map(|_| edited(&mut random, &original, 1_000, 1 << 40));
    let [local, server] = sides;
    cases.push(case("100,000 lines, 1,000 edits a side, anywhere", [original, local, server]));

    let all_different = |random: &mut Random| (0..n).map(|_| random.below(1 << 50)).collect::<Vec<_>>();
    let texts = [0; 3].map(|_| all_different(&mut random));
    cases.push(case("100,000 lines, nothing in common", texts));

    for distinct in [1, 2, 10, 1_000, 50_000] {
        let texts =
            [0, 1, 2].map(|side| (0..n - side * 500).map(|_| random.below(distinct)).collect::<Vec<_>>());
        cases.push(case(&format!("100,000 random lines of {distinct} kinds"), texts));
    }

    let original: Vec<u64> = (0..n as u64).collect();
    let mut local = original.clone();
    shuffle(&mut random, &mut local);
    let mut server = original.clone();
    shuffle(&mut random, &mut server);
    cases.push(case("100,000 different lines, each side shuffled", [original.clone(), local, server]));
    let reversed: Vec<u64> = original.iter().rev().copied().collect();
    cases.push(case("100,000 lines, one side reversed", [original.clone(), reversed, original.clone()]));

    let every_other = |offset: u64, mark: u64| {
        original.iter().map(|n| if n % 4 == offset { n + mark } else { *n }).collect::<Vec<_>>()
    };
    let texts = [original.clone(), every_other(0, 1 << 40), every_other(2, 1 << 41)];
    cases.push(case("100,000 lines, every fourth changed on each side", texts));

    let original: Vec<u64> = (0..n as u64).map(|n| n % 2).collect();
    let local = edited(&mut random, &original, 10_000, 2);
    let server = edited(&mut random, &original, 10_000, 2);
    cases.push(case("100,000 lines of two kinds in turn, 10,000 edits a side", [original, local, server]));

    let same_line = vec![7; n];
    let sprinkle =
        |mark: u64| (0..n as u64).map(|n| if n % 10 == 0 { mark + n } else { 7 }).collect::<Vec<_>>();
    cases.push(case(
        "100,000 equal lines, every tenth changed",
        [same_line, sprinkle(1 << 40), sprinkle(1 << 41)],
    ));

    let big = 490_000;
    let texts = [0; 3].map(|_| (0..big).map(|_| random.below(3)).collect::<Vec<_>>());
    cases.push(case("490,000 random lines of 3 kinds", texts));
    let texts = [0; 3].map(|_| (0..big).map(|_| random.below(100_000)).collect::<Vec<_>>());
    cases.push(case("490,000 random lines of 100,000 kinds", texts));
    cases
}

/// Mostly different lines, some very frequent ones.
fn code(random: &mut Random, lines: usize) -> Vec<u64> {
    (0..lines)
        .map(|_| if random.below(4) == 0 { random.below(20) } else { 20 + random.below(1 << 40) })
        .collect()
}

fn edited(random: &mut Random, original: &[u64], edits: usize, kinds: u64) -> Vec<u64> {
    let mut places: Vec<usize> = (0..edits).map(|_| random.below(original.len() as u64) as usize).collect();
    places.sort_unstable();
    places.dedup();
    let mut lines = Vec::with_capacity(original.len() + edits);
    let mut from = 0;
    for at in places {
        lines.extend_from_slice(&original[from..at]);
        from = at + 1;
        match random.below(3) {
            0 => {}
            1 => lines.push(random.below(kinds)),
            _ => lines.extend([original[at], random.below(kinds)]),
        }
    }
    lines.extend_from_slice(&original[from..]);
    lines
}

/// Each line that is edited stands at least some lines off every other.
fn edited_apart(random: &mut Random, original: &[u64], edits: usize) -> (Vec<u64>, Vec<u64>) {
    let blocks = original.len() / 20;
    let mut taken = HashSet::new();
    let mut side = |mark: u64| {
        let mut lines = original.to_vec();
        let mut done = 0;
        while done < edits {
            let block = random.below(blocks as u64) as usize;
            if taken.insert(block) {
                lines[block * 20 + 10] = mark + block as u64;
                done += 1;
            }
        }
        lines
    };
    (side(1 << 50), side(1 << 51))
}

fn shuffle(random: &mut Random, lines: &mut [u64]) {
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at as u64 + 1) as usize);
    }
}

fn written(lines: &[u64]) -> String {
    let mut text = String::with_capacity(lines.len() * 34);
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    let value = compute({line});");
    }
    text
}

/// xorshift64: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
