//! A short edit script between two lists of numbers, in linear space and bounded time.
//!
//! The algorithm is E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), section 4b: paths
//! grow from both corners of a box, diagonal by diagonal, until they meet; the box is cut there and both
//! halves are done alike. Two shortcuts (from GNU diff, as git has them) keep texts that have little in
//! common from costing a quadratic time: after [`PATIENCE`] steps a long run of equal lines is taken for a
//! cut, and after a number of steps near the square root of the size the farthest path is. The script
//! is then not the shortest, but still right.

use super::diff::power_near_sqrt;

/// An element that has no partner, by its index.
pub(super) enum Found {
    OnlyInFirst(usize),
    OnlyInSecond(usize),
}

/// Steps from both corners before a long run of equal elements will do as a cut.
const PATIENCE: i32 = 256;

/// So many equal elements in a row are a long run.
const LONG_RUN: i32 = 20;

/// A path must have come this many times farther than the steps it took, to be a cut before the end.
const GAIN: i32 = 4;

const FEWEST_STEPS: usize = 256;

/// Calls `found` for each element without a partner. Both lists together are shorter than `i32::MAX / 2`.
pub(super) fn search(first: &[u32], second: &[u32], mut found: impl FnMut(Found)) {
    let diagonals = first.len() + second.len() + 3;
    let mut search = Search {
        first,
        second,
        forward: vec![0; diagonals],
        backward: vec![0; diagonals],
        origin: second.len() as i32 + 1,
        most_steps: power_near_sqrt(diagonals).max(FEWEST_STEPS) as i32,
    };
    let whole = Area { x: (0, first.len() as i32), y: (0, second.len() as i32) };
    let mut todo = vec![(whole, Effort::Bounded)];
    while let Some((area, effort)) = todo.pop() {
        let area = search.without_equal_ends(area);
        if area.x.0 == area.x.1 {
            (area.y.0..area.y.1).for_each(|y| found(Found::OnlyInSecond(y as usize)));
        } else if area.y.0 == area.y.1 {
            (area.x.0..area.x.1).for_each(|x| found(Found::OnlyInFirst(x as usize)));
        } else {
            let cut = search.cut(&area, effort);
            let Area { x, y } = area;
            todo.push((Area { x: (cut.x, x.1), y: (cut.y, y.1) }, cut.after));
            todo.push((Area { x: (x.0, cut.x), y: (y.0, cut.y) }, cut.before));
        }
    }
}

/// Elements `x.0..x.1` of the first list against `y.0..y.1` of the second.
#[derive(Debug)]
struct Area {
    x: (i32, i32),
    y: (i32, i32),
}

/// Whether shortcuts are allowed. On the side of a cut that one path reached by its own search the rest is
/// cheap, so it is done well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Bounded,
    Shortest,
}

struct Cut {
    x: i32,
    y: i32,
    before: Effort,
    after: Effort,
}

/// The diagonals (`x - y`) that the paths from one corner have reached: every second one of `low..=high`.
struct Front {
    start: i32,
    low: i32,
    high: i32,
}

impl Front {
    fn at(diagonal: i32) -> Front {
        Front { start: diagonal, low: diagonal, high: diagonal }
    }

    /// One step further at both ends, but not out of the box. New neighbours are set to `unreached`.
    fn widen(&mut self, reached: &mut [i32], origin: i32, limits: (i32, i32), unreached: i32) {
        if self.low > limits.0 {
            self.low -= 1;
            reached[(origin + self.low - 1) as usize] = unreached;
        } else {
            self.low += 1;
        }
        if self.high < limits.1 {
            self.high += 1;
            reached[(origin + self.high + 1) as usize] = unreached;
        } else {
            self.high -= 1;
        }
    }

    fn has(&self, diagonal: i32) -> bool {
        self.low <= diagonal && diagonal <= self.high
    }

    /// From the highest down, as the tie-breaks want it.
    fn diagonals(&self) -> impl Iterator<Item = i32> + use<> {
        (self.low..=self.high).rev().step_by(2)
    }
}

struct Search<'t> {
    first: &'t [u32],
    second: &'t [u32],
    /// By diagonal, from `origin`: the farthest `x` reached from the first corner, from the last corner.
    forward: Vec<i32>,
    backward: Vec<i32>,
    origin: i32,
    most_steps: i32,
}

impl Search<'_> {
    fn equal(&self, x: i32, y: i32) -> bool {
        self.first[x as usize] == self.second[y as usize]
    }

    fn without_equal_ends(&self, mut area: Area) -> Area {
        while area.x.0 < area.x.1 && area.y.0 < area.y.1 && self.equal(area.x.0, area.y.0) {
            area.x.0 += 1;
            area.y.0 += 1;
        }
        while area.x.0 < area.x.1 && area.y.0 < area.y.1 && self.equal(area.x.1 - 1, area.y.1 - 1) {
            area.x.1 -= 1;
            area.y.1 -= 1;
        }
        area
    }

    fn forward(&self, diagonal: i32) -> i32 {
        self.forward[(self.origin + diagonal) as usize]
    }

    fn backward(&self, diagonal: i32) -> i32 {
        self.backward[(self.origin + diagonal) as usize]
    }

    /// A point that a short path goes through. The area has no equal ends, and neither side is empty.
    fn cut(&mut self, area: &Area, effort: Effort) -> Cut {
        let limits = (area.x.0 - area.y.1, area.x.1 - area.y.0);
        let mut ahead = Front::at(area.x.0 - area.y.0);
        let mut behind = Front::at(area.x.1 - area.y.1);
        let meet_going_ahead = (ahead.start - behind.start) % 2 != 0;
        self.forward[(self.origin + ahead.start) as usize] = area.x.0;
        self.backward[(self.origin + behind.start) as usize] = area.x.1;
        let mut steps = 0;
        loop {
            steps += 1;
            let mut long_run = false;

            ahead.widen(&mut self.forward, self.origin, limits, -1);
            for diagonal in ahead.diagonals() {
                let (x, run) = self.go_ahead(area, diagonal);
                long_run |= run > LONG_RUN;
                if meet_going_ahead && behind.has(diagonal) && self.backward(diagonal) <= x {
                    return Cut { x, y: x - diagonal, before: Effort::Shortest, after: Effort::Shortest };
                }
            }
            behind.widen(&mut self.backward, self.origin, limits, i32::MAX);
            for diagonal in behind.diagonals() {
                let (x, run) = self.go_back(area, diagonal);
                long_run |= run > LONG_RUN;
                if !meet_going_ahead && ahead.has(diagonal) && x <= self.forward(diagonal) {
                    return Cut { x, y: x - diagonal, before: Effort::Shortest, after: Effort::Shortest };
                }
            }

            if effort == Effort::Shortest {
                continue;
            }
            if long_run && steps > PATIENCE {
                let cut =
                    self.run_ahead(area, &ahead, steps).or_else(|| self.run_behind(area, &behind, steps));
                if let Some(cut) = cut {
                    return cut;
                }
            }
            if steps >= self.most_steps {
                return self.farthest(area, &ahead, &behind);
            }
        }
    }

    /// One step onto a diagonal and along its equal elements: the `x` reached, and how many were equal.
    fn go_ahead(&mut self, area: &Area, diagonal: i32) -> (i32, i32) {
        let at = (self.origin + diagonal) as usize;
        let start = if self.forward[at - 1] >= self.forward[at + 1] {
            self.forward[at - 1] + 1
        } else {
            self.forward[at + 1]
        };
        let mut x = start;
        // A path may have left the box; then there is nothing to compare.
        let end = area.x.1.min(area.y.1.saturating_add(diagonal));
        while x < end && self.equal(x, x - diagonal) {
            x += 1;
        }
        self.forward[at] = x;
        (x, x - start)
    }

    fn go_back(&mut self, area: &Area, diagonal: i32) -> (i32, i32) {
        let at = (self.origin + diagonal) as usize;
        let start = if self.backward[at - 1] < self.backward[at + 1] {
            self.backward[at - 1]
        } else {
            self.backward[at + 1] - 1
        };
        let mut x = start;
        let end = area.x.0.max(area.y.0 + diagonal);
        while x > end && self.equal(x - 1, x - 1 - diagonal) {
            x -= 1;
        }
        self.backward[at] = x;
        (x, start - x)
    }

    /// The end of a long run that a path from the first corner came far with.
    fn run_ahead(&self, area: &Area, front: &Front, steps: i32) -> Option<Cut> {
        let mut best = 0;
        let mut cut = None;
        for diagonal in front.diagonals() {
            let x = self.forward(diagonal);
            let y = x - diagonal;
            let gain = (x - area.x.0) + (y - area.y.0) - (diagonal - front.start).abs();
            if gain > GAIN * steps
                && gain > best
                && (area.x.0 + LONG_RUN..area.x.1).contains(&x)
                && (area.y.0 + LONG_RUN..area.y.1).contains(&y)
                && (1..=LONG_RUN).all(|back| self.equal(x - back, y - back))
            {
                best = gain;
                cut = Some(Cut { x, y, before: Effort::Shortest, after: Effort::Bounded });
            }
        }
        cut
    }

    fn run_behind(&self, area: &Area, front: &Front, steps: i32) -> Option<Cut> {
        let mut best = 0;
        let mut cut = None;
        for diagonal in front.diagonals() {
            let x = self.backward(diagonal);
            let y = x - diagonal;
            let gain = (area.x.1 - x) + (area.y.1 - y) - (diagonal - front.start).abs();
            if gain > GAIN * steps
                && gain > best
                && area.x.0 < x
                && x <= area.x.1 - LONG_RUN
                && area.y.0 < y
                && y <= area.y.1 - LONG_RUN
                && (0..LONG_RUN).all(|ahead| self.equal(x + ahead, y + ahead))
            {
                best = gain;
                cut = Some(Cut { x, y, before: Effort::Bounded, after: Effort::Shortest });
            }
        }
        cut
    }

    /// Where the path that came farthest stands, of those from either corner.
    fn farthest(&self, area: &Area, ahead: &Front, behind: &Front) -> Cut {
        let mut far = (-1, -1);
        for diagonal in ahead.diagonals() {
            let x = self.forward(diagonal).min(area.x.1).min(area.y.1 + diagonal);
            let sum = 2 * x - diagonal;
            if far.0 < sum {
                far = (sum, x);
            }
        }
        let mut near = (i32::MAX, i32::MAX);
        for diagonal in behind.diagonals() {
            let x = self.backward(diagonal).max(area.x.0).max(area.y.0 + diagonal);
            let sum = 2 * x - diagonal;
            if sum < near.0 {
                near = (sum, x);
            }
        }
        if (area.x.1 + area.y.1) - near.0 < far.0 - (area.x.0 + area.y.0) {
            Cut { x: far.1, y: far.0 - far.1, before: Effort::Shortest, after: Effort::Bounded }
        } else {
            Cut { x: near.1, y: near.0 - near.1, before: Effort::Bounded, after: Effort::Shortest }
        }
    }
}
