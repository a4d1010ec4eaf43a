//! The map of a content of more than one block: which blocks are here, and their sums.
//!
//! It is a file of its own beside the content's file N, with the number `N | MAP`:
//!
//! ```text
//! 0    8    32        64
//! +----+----+---------+---------+--
//! | T  | 0  | block 0 | block 1 | ...
//! +----+----+---------+---------+--
//! ```
//!
//! For each block 32 bytes: all zero (or past the end) where the block is not here, else the
//! chaining value that BLAKE3 gives the block as a subtree at its place in the file. So the digest of
//! the whole content follows from the sums alone, in whatever order the blocks came; and a block that
//! lies at a wrong place does not match. T is the id of the content that takes the file over (see
//! `flatten`), little endian, 0 for none: for every other content the sums then prove nothing.
//!
//! The sum is written after the block, and neither is synced on the way. After a crash of the machine
//! a sum without its block can be left; that is noticed when the block is first read.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use super::BLOCK;
use super::handles::Handles;
use crate::model::Digest;
use crate::store::persist::StoreFile;

/// Bit in the number of a file that makes it the map of the file without the bit.
pub const MAP: u64 = 1 << 62;

const HEADER: u64 = 32;
const SUM: usize = 32;

/// The chaining value of a block; all zero for none.
pub(super) type Sum = [u8; SUM];

pub(super) const ABSENT: Sum = [0; SUM];

/// Number of blocks of a content of `size` bytes.
pub(super) fn count(size: u64) -> u64 {
    size.div_ceil(BLOCK)
}

/// The bytes of a block, cut to the size.
pub(super) fn bytes_of(block: u64, size: u64) -> Range<u64> {
    block * BLOCK..(block * BLOCK + BLOCK).min(size)
}

pub(super) fn sum_of(block: u64, data: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(block * BLOCK).update(data);
    hasher.finalize_non_root()
}

/// The digest of a content of more than one block.
pub(super) fn digest_of(sums: &[Sum], size: u64) -> Digest {
    let (left, right, at) = halves(sums, size);
    let (left, right) = (subtree(left, at), subtree(right, size - at));
    Digest(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
}

fn subtree(sums: &[Sum], size: u64) -> Sum {
    if let [sum] = sums {
        return *sum;
    }
    let (left, right, at) = halves(sums, size);
    merge_subtrees_non_root(&subtree(left, at), &subtree(right, size - at), Mode::Hash)
}

fn halves(sums: &[Sum], size: u64) -> (&[Sum], &[Sum], u64) {
    let at = left_subtree_len(size);
    let (left, right) = sums.split_at((at / BLOCK) as usize);
    (left, right, at)
}

/// Reads sums; what was never written reads as absent.
pub(super) fn read_sums(handles: &Handles, file: u64, blocks: Range<u64>) -> io::Result<Vec<Sum>> {
    let mut bytes = vec![0; (blocks.end - blocks.start) as usize * SUM];
    if let Some(map) = handles.find(file | MAP)? {
        read_full(&*map, HEADER + blocks.start * SUM as u64, &mut bytes)?;
    }
    let (sums, _) = bytes.as_chunks::<SUM>();
    Ok(sums.to_vec())
}

/// Writes the sums of blocks that follow one another. The map is made where there is none.
pub(super) fn write_sums(handles: &Handles, file: u64, first: u64, sums: &[Sum]) -> io::Result<()> {
    let map = handles.open_or_create(file | MAP)?;
    map.write_at(HEADER + first * SUM as u64, sums.as_flattened())
}

/// The content that takes the file over; 0 for none.
pub(super) fn taker(handles: &Handles, file: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    if let Some(map) = handles.find(file | MAP)? {
        read_full(&*map, 0, &mut bytes)?;
    }
    Ok(u64::from_le_bytes(bytes))
}

pub(super) fn set_taker(handles: &Handles, file: u64, content: u64) -> io::Result<()> {
    handles.open_or_create(file | MAP)?.write_at(0, &content.to_le_bytes())
}

/// Fills the buffer; past the end of the file everything is zero.
pub(super) fn read_full(file: &dyn StoreFile, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(offset + done as u64, &mut buf[done..])? {
            0 => break,
            got => done += got,
        }
    }
    buf[done..].fill(0);
    Ok(())
}

/// What is known in memory of the blocks of a sealed content. Loaded when first needed.
pub(super) struct Blocks {
    /// Blocks that are here; `None` where all are.
    pub present: Option<Bits>,
    /// Blocks whose bytes matched their sums in this run.
    pub checked: Bits,
    /// Another content is taking the file over: sums prove nothing.
    pub taken: AtomicBool,
}

impl Blocks {
    pub fn load(handles: &Handles, content: u64, file: u64, size: u64, whole: bool) -> io::Result<Blocks> {
        let blocks = Blocks::new(size, whole);
        let taker = taker(handles, file)?;
        blocks.taken.store(taker != 0 && taker != content, Ordering::Relaxed);
        if let Some(present) = &blocks.present {
            let sums = read_sums(handles, file, 0..count(size))?;
            for (block, _) in sums.iter().enumerate().filter(|(_, sum)| **sum != ABSENT) {
                present.set(block as u64);
            }
        }
        Ok(blocks)
    }

    pub fn new(size: u64, whole: bool) -> Blocks {
        let bits = || Bits::new(count(size));
        Blocks { present: (!whole).then(bits), checked: bits(), taken: AtomicBool::new(false) }
    }

    pub fn is_present(&self, block: u64) -> bool {
        self.present.as_ref().is_none_or(|present| present.get(block))
    }
}

/// Bits that threads set at once.
pub(super) struct Bits {
    words: Box<[AtomicU64]>,
}

impl Bits {
    pub fn new(count: u64) -> Bits {
        Bits { words: (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    pub fn get(&self, bit: u64) -> bool {
        self.words[(bit / 64) as usize].load(Ordering::Acquire) & 1 << (bit % 64) != 0
    }

    pub fn set(&self, bit: u64) {
        self.words[(bit / 64) as usize].fetch_or(1 << (bit % 64), Ordering::AcqRel);
    }

    pub fn clear(&self, bit: u64) {
        self.words[(bit / 64) as usize].fetch_and(!(1 << (bit % 64)), Ordering::AcqRel);
    }

    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.load(Ordering::Acquire).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_give_the_digest() {
        for size in [BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 777, 8 * BLOCK] {
            let data: Vec<u8> = (0..size).map(|at| (at * 7 / 3) as u8).collect();
            let sums: Vec<Sum> = (0..count(size))
                .map(|block| {
                    let range = bytes_of(block, size);
                    sum_of(block, &data[range.start as usize..range.end as usize])
                })
                .collect();
            assert_eq!(digest_of(&sums, size), Digest::of(&data), "{size}");
        }
    }
}
