//! Cuts texts into lines and gives equal lines equal numbers.
//!
//! A line ends behind `\n`, or where the text ends; `\r`, alone or before `\n`, is part of its line. So
//! lines joined give back the text byte for byte, and a line without its ending differs from one with it.

use std::collections::HashMap;
use std::ops::Range;

/// The places where the lines of one text begin, in bytes, and the length of the text behind them.
#[derive(Debug, Clone)]
pub(super) struct LineTable {
    starts: Vec<u32>,
}

impl LineTable {
    /// `None` where the text has more than `max_lines` lines. The text is at most `u32::MAX` bytes long.
    pub(super) fn new(text: &[u8], max_lines: usize) -> Option<LineTable> {
        let mut starts = vec![0u32];
        let mut count = 0usize;
        for_each_newline(text, |at| {
            starts.push(at as u32 + 1);
            count += 1;
            count <= max_lines
        });
        if !text.is_empty() && text.last() != Some(&b'\n') {
            starts.push(text.len() as u32);
            count += 1;
        }
        (count <= max_lines).then_some(LineTable { starts })
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Lines to bytes. Panics where the lines are not there, as slices do.
    pub(super) fn bytes(&self, lines: Range<usize>) -> Range<usize> {
        self.starts[lines.start] as usize..self.starts[lines.end] as usize
    }
}

/// Calls `found` with the place of each `\n`, eight bytes a step, until it says `false`.
fn for_each_newline(text: &[u8], mut found: impl FnMut(usize) -> bool) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const NEWLINES: u64 = 0x0a0a_0a0a_0a0a_0a0a;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mixed = u64::from_le_bytes(*word) ^ NEWLINES;
        // The high bit of each byte that is zero, exact in every byte.
        let mut zeros = !(((mixed & LOW) + LOW) | mixed | LOW);
        while zeros != 0 {
            if !found(index * 8 + zeros.trailing_zeros() as usize / 8) {
                return;
            }
            zeros &= zeros - 1;
        }
    }
    let base = words.len() * 8;
    for (index, byte) in rest.iter().enumerate() {
        if *byte == b'\n' && !found(base + index) {
            return;
        }
    }
}

/// The lines of three texts as numbers: equal number, equal bytes.
pub(super) struct Numbered {
    pub(super) original: Vec<u32>,
    pub(super) local: Vec<u32>,
    pub(super) server: Vec<u32>,
    /// All numbers are below this.
    pub(super) distinct: usize,
}

pub(super) fn number(
    original: (&[u8], &LineTable),
    local: (&[u8], &LineTable),
    server: (&[u8], &LineTable),
) -> Numbered {
    let mut numbering = Numbering::of_original(original.0, original.1);
    let local = numbering.number(local.0, local.1);
    let server = numbering.number(server.0, server.1);
    Numbered { original: numbering.original_numbers, local, server, distinct: numbering.known.len() }
}

/// Lines seen so far. The map's hash is keyed, so that texts made to collide do not.
struct Numbering<'t> {
    known: HashMap<&'t [u8], u32>,
    original: &'t [u8],
    table: &'t LineTable,
    original_numbers: Vec<u32>,
    /// By number: the first line of the original that has it, and whether it is the only one.
    places: Vec<(u32, bool)>,
}

impl<'t> Numbering<'t> {
    fn of_original(original: &'t [u8], table: &'t LineTable) -> Self {
        let mut known = HashMap::with_capacity(table.count() + table.count() / 8);
        let mut original_numbers = Vec::with_capacity(table.count());
        let mut places: Vec<(u32, bool)> = Vec::new();
        for line in 0..table.count() {
            let next = known.len() as u32;
            let number = *known.entry(&original[table.bytes(line..line + 1)]).or_insert(next);
            match places.get_mut(number as usize) {
                Some(place) => place.1 = false,
                None => places.push((line as u32, true)),
            }
            original_numbers.push(number);
        }
        Numbering { known, original, table, original_numbers, places }
    }

    /// Most lines of a side stand in the original too, and in the same order: the line behind the one
    /// matched last is tried before the map is asked.
    fn number(&mut self, side: &'t [u8], table: &LineTable) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(table.count());
        let mut expected = 0usize;
        for line in 0..table.count() {
            let bytes = &side[table.bytes(line..line + 1)];
            if expected < self.table.count()
                && self.original[self.table.bytes(expected..expected + 1)] == *bytes
            {
                numbers.push(self.original_numbers[expected]);
                expected += 1;
                continue;
            }
            let next = self.known.len() as u32;
            let number = *self.known.entry(bytes).or_insert(next);
            match self.places.get(number as usize) {
                Some((first, only)) if *only || *first as usize >= expected => {
                    expected = *first as usize + 1;
                }
                Some(_) => {}
                None => expected += 1,
            }
            numbers.push(number);
        }
        numbers
    }
}
