//! Names and contents for random operations: few names, so that operations meet each other.

use crate::rng::Rng;

const NAMES: [&str; 9] = ["a", "b", "c", "notes.txt", "main.c", "main.o", "B", "été", "x y"];

pub(crate) fn name(rng: &mut Rng) -> Vec<u8> {
    let at = rng.index(NAMES.len());
    NAMES[at].as_bytes().to_vec()
}

/// A name in one of the folders.
pub(crate) fn path_in(rng: &mut Rng, folders: &[Vec<u8>]) -> Vec<u8> {
    let mut path = rng.pick(folders).cloned().unwrap_or_default();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name(rng));
    path
}

/// Bytes that no other draw gives, of a size that is mostly small and now and then some blocks.
pub(crate) fn content(rng: &mut Rng) -> Vec<u8> {
    let size = match rng.below(10) {
        0 => 0,
        1..=7 => rng.range(1..200),
        8 => rng.range(200..20_000),
        _ => rng.range(20_000..700_000),
    };
    let mark = rng.next_u64();
    let mut bytes = format!("{mark:016x}\n").into_bytes();
    while (bytes.len() as u64) < size {
        bytes.extend_from_within(..bytes.len().min(4096));
    }
    bytes.truncate(size.max(17) as usize * usize::from(size > 0));
    bytes
}
