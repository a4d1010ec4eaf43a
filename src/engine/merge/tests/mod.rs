//! Tables, properties, and git as the judge.

mod git;
mod properties;
mod tables;

use super::text::{Limits, Merge, Region, RegionKind, merge};

fn merged<'t>(original: &'t [u8], local: &'t [u8], server: &'t [u8]) -> Merge<&'t [u8]> {
    merge(original, local, server, Limits::default()).unwrap()
}

fn region(
    kind: RegionKind,
    original: std::ops::Range<usize>,
    local: std::ops::Range<usize>,
    server: std::ops::Range<usize>,
) -> Region {
    Region { kind, original, local, server }
}
