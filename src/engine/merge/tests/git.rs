//! Git as the judge. Where `git merge-file` has a conflict we have one, where both are clean the text is the
//! same byte for byte; and the diffs beneath are those of `git diff`, edit for edit.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::super::diff::{self, Edit};
use super::super::lines::{self, LineTable};
use super::merged;
use super::properties::three;

fn git() -> Command {
    let mut git = Command::new("git");
    // What the person has set for diffs and conflicts must not speak here.
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git
}

/// The clean text, or `None` for a conflict.
fn git_merge(folder: &Path, [original, local, server]: &[Vec<u8>; 3]) -> Option<Vec<u8>> {
    for (name, text) in [("original", original), ("local", local), ("server", server)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let output = git()
        .args(["merge-file", "-p", "-q", "local", "original", "server"])
        .current_dir(folder)
        .output()
        .unwrap();
    match output.status.code() {
        Some(0) => Some(output.stdout),
        Some(1..128) => None,
        _ => panic!("git merge-file: {output:?}"),
    }
}

fn has_git() -> bool {
    let works = git().arg("--version").output().is_ok_and(|output| output.status.success());
    if !works {
        println!("SKIPPED: git is not installed");
    }
    works
}

fn assert_agrees(folder: &Path, texts: &[Vec<u8>; 3]) -> Result<bool, TestCaseError> {
    let ours = merged(&texts[0], &texts[1], &texts[2]).clean_text();
    let theirs = git_merge(folder, texts);
    if let Some(ours) = &ours {
        prop_assert!(theirs.is_some(), "git has a conflict, we are clean");
        prop_assert_eq!(theirs.as_ref(), Some(ours));
    }
    Ok(ours.is_some() == theirs.is_some())
}

#[test]
fn small_texts_agree_with_git() {
    if !has_git() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases: u32 = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let stricter = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&three(), |texts| {
            if !assert_agrees(folder.path(), &texts)? {
                stricter.set(stricter.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    println!("{} of {cases}: a conflict for us only", stricter.get());
}

/// Diffs against `git diff`, on texts large enough for every shortcut of the search: frequent lines, long
/// runs, the limit of steps.
#[test]
fn large_diffs_are_those_of_git() {
    if !has_git() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (lines, kinds, edits) in [
        (3_000, 2_900, 40),
        (3_000, 40, 40),
        (3_000, 4, 200),
        (4_000, 3, 4_000),
        (6_000, 600, 4_000),
        (20_000, 5_000, 9_000),
    ] {
        let original: Vec<u64> = (0..lines).map(|_| random.below(kinds)).collect();
        let side = random.edited(&original, edits, kinds);
        assert_same_diff(folder.path(), &original, &side);
    }
    for _ in 0..6 {
        // Runs of equal lines, longer and shorter ones, amid much that changed.
        let original: Vec<u64> = (0..6_000).map(|_| random.below(900)).collect();
        let mut side = Vec::new();
        let mut at = 0;
        while at < original.len() {
            let run = random.below(60) as usize;
            side.extend_from_slice(&original[at..original.len().min(at + run)]);
            side.extend((0..random.below(25)).map(|_| random.below(900)));
            at += run + random.below(25) as usize;
        }
        assert_same_diff(folder.path(), &original, &side);
    }
    for share in 2..8 {
        // Frequent lines amid lines that the other text does not have.
        let mut text = |new: u64| -> Vec<u64> {
            (0..3_000).map(|n| if random.below(share) == 0 { random.below(5) } else { new + n }).collect()
        };
        let (original, side) = (text(1 << 20), text(1 << 21));
        assert_same_diff(folder.path(), &original, &side);
    }
}

fn assert_same_diff(folder: &Path, original: &[u64], side: &[u64]) {
    let text = |lines: &[u64]| lines.iter().map(|n| format!("line {n}\n")).collect::<String>();
    let (original, side) = (text(original), text(side));
    std::fs::write(folder.join("original"), &original).unwrap();
    std::fs::write(folder.join("side"), &side).unwrap();
    // With no lines of context git would cut the common end off first, which `git merge-file` does not.
    let output = git()
        .args(["diff", "--no-index", "--no-indent-heuristic", "--diff-algorithm=myers", "-U1"])
        .args(["original", "side"])
        .current_dir(folder)
        .output()
        .unwrap();
    let theirs = edits_of(&String::from_utf8(output.stdout).unwrap());
    assert!(!theirs.is_empty(), "git diff: {}", String::from_utf8_lossy(&output.stderr));

    let tables = [&original, &side].map(|text| LineTable::new(text.as_bytes(), usize::MAX).unwrap());
    let (original, side) = ((original.as_bytes(), &tables[0]), (side.as_bytes(), &tables[1]));
    let numbered = lines::number(original, side, side);
    let ours = diff::edits(&numbered.original, &numbered.local, numbered.distinct);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// The edits of a unified diff of one file.
fn edits_of(unified: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let (mut original, mut side) = (0, 0);
    let mut in_edit = false;
    for line in unified.lines().skip_while(|line| !line.starts_with("@@")) {
        let (removed, added) = match line.as_bytes()[0] {
            b'@' => {
                let mut starts = line.split(' ').skip(1).map(|range| {
                    let (start, length) = range[1..].split_once(',').unwrap_or((&range[1..], "1"));
                    // An empty range is named by the line before it.
                    start.parse::<usize>().unwrap() - usize::from(length != "0")
                });
                (original, side) = (starts.next().unwrap(), starts.next().unwrap());
                in_edit = false;
                continue;
            }
            b' ' => {
                (original, side, in_edit) = (original + 1, side + 1, false);
                continue;
            }
            b'-' => (1, 0),
            _ => (0, 1),
        };
        if !in_edit {
            edits.push(Edit { original: original..original, side: side..side });
            in_edit = true;
        }
        (original, side) = (original + removed, side + added);
        if let Some(edit) = edits.last_mut() {
            (edit.original.end, edit.side.end) = (original, side);
        }
    }
    edits
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

    fn edited(&mut self, original: &[u64], edits: usize, distinct: u64) -> Vec<u64> {
        let mut lines = original.to_vec();
        for _ in 0..edits {
            let at = self.below(lines.len() as u64) as usize;
            match self.below(3) {
                0 => lines[at] = self.below(distinct),
                1 => lines.insert(at, self.below(distinct)),
                _ => drop(lines.remove(at)),
            }
        }
        lines
    }
}
