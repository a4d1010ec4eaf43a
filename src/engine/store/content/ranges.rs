//! Sets of byte offsets as sorted ranges that do not touch.

use std::ops::Range;

/// A set of offsets: ranges that are sorted, not empty and apart from one another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    pub fn new() -> RangeSet {
        RangeSet::default()
    }

    /// From any ranges, in any order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> RangeSet {
        let mut ranges: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut set = RangeSet { ranges: Vec::with_capacity(ranges.len()) };
        for range in ranges {
            match set.ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => set.ranges.push(range),
            }
        }
        set
    }

    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.ranges
    }

    pub fn into_vec(self) -> Vec<Range<u64>> {
        self.ranges
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Adds a range; tells whether anything of it was new.
    pub fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() || self.contains_all(&range) {
            return false;
        }
        let first = self.ranges.partition_point(|have| have.end < range.start);
        let last = self.ranges.partition_point(|have| have.start <= range.end);
        let mut joined = range;
        if first < last {
            joined.start = joined.start.min(self.ranges[first].start);
            joined.end = joined.end.max(self.ranges[last - 1].end);
        }
        self.ranges.splice(first..last, [joined]);
        true
    }

    /// Takes a range out; tells whether anything of it was there.
    pub fn remove(&mut self, range: Range<u64>) -> bool {
        let touched = self.touching(&range);
        if touched.is_empty() {
            return false;
        }
        let left = self.ranges[touched.start].start..range.start;
        let right = range.end..self.ranges[touched.end - 1].end;
        self.ranges.splice(touched, [left, right].into_iter().filter(|rest| rest.start < rest.end));
        true
    }

    pub fn contains_all(&self, range: &Range<u64>) -> bool {
        let touched = self.touching(range);
        range.is_empty()
            || touched.len() == 1 && {
                let have = &self.ranges[touched.start];
                have.start <= range.start && range.end <= have.end
            }
    }

    pub fn intersects(&self, range: &Range<u64>) -> bool {
        !self.touching(range).is_empty()
    }

    /// The range cut where membership changes: every piece with whether it is in the set.
    pub fn pieces(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        for have in &self.ranges[self.touching(&range)] {
            if at < have.start {
                pieces.push((at..have.start, false));
                at = have.start;
            }
            let end = have.end.min(range.end);
            pieces.push((at..end, true));
            at = end;
        }
        if at < range.end {
            pieces.push((at..range.end, false));
        }
        pieces
    }

    /// Indices of the ranges that share an offset with this one.
    fn touching(&self, range: &Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let first = self.ranges.partition_point(|have| have.end <= range.start);
        let last = self.ranges.partition_point(|have| have.start < range.end);
        first..last.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_offsets(steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 0..40)) {
            let mut set = RangeSet::new();
            let mut model = [false; 100];
            for (insert, start, len) in steps {
                let range = start..start + len;
                let cells = &mut model[start as usize..(start + len) as usize];
                let changes = cells.iter().any(|cell| *cell != insert);
                prop_assert_eq!(if insert { set.insert(range) } else { set.remove(range) }, changes);
                cells.fill(insert);
                prop_assert!(set.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert!(set.ranges.iter().all(|range| !range.is_empty()));
                for (piece, inside) in set.pieces(0..100) {
                    prop_assert!(model[piece.start as usize..piece.end as usize].iter().all(|cell| *cell == inside));
                }
                prop_assert_eq!(RangeSet::from_ranges(set.ranges.iter().rev().cloned()), set.clone());
            }
        }
    }
}
