//! Slides runs of changed lines to a place that does not depend on the search.
//!
//! Where the line before a run equals its last line, the run may as well begin one line earlier, and the
//! other way round. Each run is moved as late as possible, or, where it can meet a run of the other text, to
//! the last place where it does; runs that meet on the way become one. After `git`'s compaction of diffs,
//! without its indent heuristic (`git merge-file` does without it too).

use std::ops::Range;

/// `numbers` and `changed` describe the text whose runs are slid, `other_changed` the other one.
pub(super) fn slide(numbers: &[u32], changed: &mut [bool], other_changed: &[bool]) {
    let mut text = Text { numbers, changed };
    // A run is what lies between two lines that are equal in both texts, so it may be empty, and the runs
    // of both texts go in step.
    let mut run = first_run(text.changed);
    let mut other = first_run(other_changed);
    loop {
        if !run.is_empty() {
            text.settle(&mut run, &mut other, other_changed);
        }
        let (Some(next), Some(next_other)) = (next_run(text.changed, &run), next_run(other_changed, &other))
        else {
            return;
        };
        (run, other) = (next, next_other);
    }
}

struct Text<'t> {
    numbers: &'t [u32],
    changed: &'t mut [bool],
}

impl Text<'_> {
    fn settle(&mut self, run: &mut Range<usize>, other: &mut Range<usize>, other_changed: &[bool]) {
        let mut earliest_end;
        let mut can_meet;
        loop {
            let length = run.len();
            while self.move_up(run) {
                *other = previous_run(other_changed, other);
            }
            earliest_end = run.end;
            can_meet = !(*other).is_empty();
            while self.move_down(run) {
                let Some(next) = next_run(other_changed, other) else {
                    break;
                };
                *other = next;
                can_meet |= !(*other).is_empty();
            }
            if run.len() == length {
                break;
            }
        }
        if run.end == earliest_end || !can_meet {
            return;
        }
        while (*other).is_empty() && self.move_up(run) {
            *other = previous_run(other_changed, other);
        }
    }

    fn move_up(&mut self, run: &mut Range<usize>) -> bool {
        if run.start == 0 || self.numbers[run.start - 1] != self.numbers[run.end - 1] {
            return false;
        }
        run.start -= 1;
        run.end -= 1;
        self.changed[run.start] = true;
        self.changed[run.end] = false;
        while run.start > 0 && self.changed[run.start - 1] {
            run.start -= 1;
        }
        true
    }

    fn move_down(&mut self, run: &mut Range<usize>) -> bool {
        if run.end == self.numbers.len() || self.numbers[run.start] != self.numbers[run.end] {
            return false;
        }
        self.changed[run.start] = false;
        self.changed[run.end] = true;
        run.start += 1;
        run.end += 1;
        while run.end < self.changed.len() && self.changed[run.end] {
            run.end += 1;
        }
        true
    }
}

fn first_run(changed: &[bool]) -> Range<usize> {
    0..changed.iter().take_while(|changed| **changed).count()
}

fn next_run(changed: &[bool], run: &Range<usize>) -> Option<Range<usize>> {
    if run.end == changed.len() {
        return None;
    }
    let start = run.end + 1;
    Some(start..start + changed[start..].iter().take_while(|changed| **changed).count())
}

fn previous_run(changed: &[bool], run: &Range<usize>) -> Range<usize> {
    // Both texts have the same number of equal lines before a run, so there is one to step over.
    let end = run.start.saturating_sub(1);
    let length = changed[..end].iter().rev().take_while(|changed| **changed).count();
    end - length..end
}
