//! The edits that lead from the original to one side, by line numbers.
//!
//! The steps are those of `git merge-file` (its default, Myers): equal ends are set aside; lines the other
//! text does not have, and very frequent lines amid such, are taken out; the rest is searched; each edit is
//! slid to a place that does not depend on the search. The tie-breaks are git's as well, on purpose: where
//! lines repeat there are many shortest edit scripts, and which one is taken decides whether two edits
//! touch. Same scripts, same conflicts, so git can be the judge in the tests.

use std::ops::Range;

use super::search;
use super::slide;

/// A run of lines of the original and what stands in its place on one side; either may be empty, not both.
/// Between two edits of a list at least one line is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) original: Range<usize>,
    pub(super) side: Range<usize>,
}

/// A line that occurs at least this often in the other text counts as frequent, whatever the text's size.
const FREQUENT_MAX: usize = 1024;

/// How far around a frequent line is looked, in lines.
const FREQUENT_WINDOW: usize = 100;

/// All numbers are below `distinct`. Linear space; the time is that of [`search`].
pub(super) fn edits(original: &[u32], side: &[u32], distinct: usize) -> Vec<Edit> {
    let (mut removed, mut added) = changed_lines(original, side, distinct);
    slide::slide(original, &mut removed, &added);
    slide::slide(side, &mut added, &removed);
    collect(&removed, &added)
}

fn changed_lines(original: &[u32], side: &[u32], distinct: usize) -> (Vec<bool>, Vec<bool>) {
    let mut removed = vec![false; original.len()];
    let mut added = vec![false; side.len()];
    let (original_middle, side_middle) = middles(original, side);
    if original_middle.is_empty() || side_middle.is_empty() {
        removed[original_middle].fill(true);
        added[side_middle].fill(true);
        return (removed, added);
    }
    let kept_original = kept(original, original_middle, &counts(side, distinct), &mut removed);
    let kept_side = kept(side, side_middle, &counts(original, distinct), &mut added);
    search::search(&kept_original.numbers, &kept_side.numbers, |found| match found {
        search::Found::OnlyInFirst(index) => removed[kept_original.lines[index] as usize] = true,
        search::Found::OnlyInSecond(index) => added[kept_side.lines[index] as usize] = true,
    });
    (removed, added)
}

/// What is left of both when the equal lines at their beginnings and then at their ends are set aside.
fn middles(original: &[u32], side: &[u32]) -> (Range<usize>, Range<usize>) {
    let head = original.iter().zip(side).take_while(|(a, b)| a == b).count();
    let (original_rest, side_rest) = (&original[head..], &side[head..]);
    let tail = original_rest.iter().rev().zip(side_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    (head..original.len() - tail, head..side.len() - tail)
}

fn counts(text: &[u32], distinct: usize) -> Vec<u32> {
    let mut counts = vec![0u32; distinct];
    for number in text {
        counts[*number as usize] += 1;
    }
    counts
}

/// The lines worth searching: their numbers, and where they stand.
struct Kept {
    numbers: Vec<u32>,
    lines: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// The other text does not have this line: it is changed, without a search.
    Missing,
    Rare,
    /// Says little about what belongs together; taken out where nearly all around it is missing.
    Frequent,
}

fn kept(text: &[u32], middle: Range<usize>, other_counts: &[u32], changed: &mut [bool]) -> Kept {
    let frequent = power_near_sqrt(text.len()).min(FREQUENT_MAX);
    let lines = &text[middle.clone()];
    let worth: Vec<Worth> = lines
        .iter()
        .map(|number| match other_counts[*number as usize] as usize {
            0 => Worth::Missing,
            count if count >= frequent => Worth::Frequent,
            _ => Worth::Rare,
        })
        .collect();
    let mut kept = Kept { numbers: Vec::with_capacity(lines.len()), lines: Vec::with_capacity(lines.len()) };
    for (index, number) in lines.iter().enumerate() {
        let keep = match worth[index] {
            Worth::Missing => false,
            Worth::Rare => true,
            Worth::Frequent => !is_lost_among_missing(&worth, index),
        };
        if keep {
            kept.numbers.push(*number);
            kept.lines.push((middle.start + index) as u32);
        } else {
            changed[middle.start + index] = true;
        }
    }
    kept
}

/// Whether more than three quarters of the lines around, up to the next rare one, are missing lines, with
/// some on either hand.
fn is_lost_among_missing(worth: &[Worth], index: usize) -> bool {
    let before = worth[index.saturating_sub(FREQUENT_WINDOW)..index].iter().rev();
    let (missing_before, frequent_before) = run(before);
    if missing_before == 0 {
        return false;
    }
    let end = worth.len().min(index + 1 + FREQUENT_WINDOW);
    let (missing_after, frequent_after) = run(worth[index + 1..end].iter());
    if missing_after == 0 {
        return false;
    }
    // The line itself counts once for each hand.
    let frequent = frequent_before + frequent_after + 2;
    frequent * 4 < frequent + missing_before + missing_after
}

/// How many missing and how many frequent lines come before the first rare one.
fn run<'w>(worth: impl Iterator<Item = &'w Worth>) -> (usize, usize) {
    let (mut missing, mut frequent) = (0, 0);
    for worth in worth {
        match worth {
            Worth::Missing => missing += 1,
            Worth::Frequent => frequent += 1,
            Worth::Rare => break,
        }
    }
    (missing, frequent)
}

/// A power of two between the square root and four times it.
pub(super) fn power_near_sqrt(n: usize) -> usize {
    let bits = usize::BITS - n.leading_zeros();
    1 << bits.div_ceil(2)
}

fn collect(removed: &[bool], added: &[bool]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let (mut original, mut side) = (0, 0);
    loop {
        let original_end = run_end(removed, original);
        let side_end = run_end(added, side);
        if original_end > original || side_end > side {
            edits.push(Edit { original: original..original_end, side: side..side_end });
        }
        if original_end == removed.len() || side_end == added.len() {
            debug_assert_eq!(removed.len() - original_end, added.len() - side_end);
            return edits;
        }
        (original, side) = (original_end + 1, side_end + 1);
    }
}

/// The first line from `start` on that is not changed.
fn run_end(changed: &[bool], start: usize) -> usize {
    start + changed[start..].iter().take_while(|changed| **changed).count()
}
