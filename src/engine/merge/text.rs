//! Three-way merge of text by lines: the face of the module.
//!
//! Texts are bytes in any encoding that holds no NUL byte (so not UTF-16). Memory and time are bounded by
//! [`Limits`]; there is no deadline, so large texts are merged away from a thread that must answer.
//!
//! ```
//! use holdfast_engine::merge::text::{Take, merge, Limits};
//!
//! let merge = merge(b"one\ntwo\nthree\n", b"ONE\ntwo\nthree\n", b"one\ntwo\n3\n", Limits::default())?;
//! assert_eq!(merge.clean_text().as_deref(), Some(&b"ONE\ntwo\n3\n"[..]));
//! assert_eq!(merge.render(|_, _| Take::Server), b"one\ntwo\n3\n");
//! # Ok::<(), holdfast_engine::merge::text::MergeError>(())
//! ```

use std::ops::Range;

use super::diff;
use super::lines::{self, LineTable};
use super::regions;

pub use super::regions::{Region, RegionKind};
pub use super::render::{Labels, MarkerStyle};

/// One of the three texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    Original,
    Local,
    Server,
}

/// What stands in the result for one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Take {
    Original,
    Local,
    Server,
    LocalThenServer,
    ServerThenLocal,
}

/// The largest texts that are merged, each of the three for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub max_bytes: usize,
    pub max_lines: usize,
}

impl Default for Limits {
    /// 16 MiB and 500,000 lines.
    fn default() -> Self {
        Limits { max_bytes: 16 << 20, max_lines: 500_000 }
    }
}

impl Limits {
    /// What the number types inside can count, whatever the caller allows.
    const CEILING: Limits = Limits { max_bytes: u32::MAX as usize - 1, max_lines: 1 << 28 };
}

/// Why three texts are not merged. Permanent for these texts under these limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("{which:?} is not text: byte {at} is NUL")]
    NotText { which: Which, at: usize },
    #[error("{which:?} has {size_bytes} bytes, more than {max_bytes}")]
    TooLarge { which: Which, size_bytes: usize, max_bytes: usize },
    #[error("{which:?} has more than {max_lines} lines")]
    TooManyLines { which: Which, max_lines: usize },
}

/// Three texts cut into regions that tile each of them.
///
/// `T` is how the texts are held: borrowed (`&[u8]`) or owned (`Vec<u8>`, `Arc<[u8]>`), for a view that
/// keeps its merge.
#[derive(Debug, Clone)]
pub struct Merge<T> {
    texts: [T; 3],
    tables: [LineTable; 3],
    regions: Vec<Region>,
}

/// Merges borrowed texts; see [`Merge::new`].
pub fn merge<'t>(
    original: &'t [u8],
    local: &'t [u8],
    server: &'t [u8],
    limits: Limits,
) -> Result<Merge<&'t [u8]>, MergeError> {
    Merge::new(original, local, server, limits)
}

impl<T: AsRef<[u8]>> Merge<T> {
    /// Edits are found by the diff of `git merge-file` and put together by its rule: where git has a
    /// conflict, so has this.
    ///
    /// Time: in proportion to the texts and, for `n` lines and `d` changed ones, to `n * d` where `d` is
    /// small; for texts with little in common no worse than about `n * sqrt(n)`. Memory: up to 100 bytes a
    /// line, and 56 a region.
    ///
    /// # Errors
    ///
    /// A text that holds a NUL byte or is beyond `limits`.
    pub fn new(original: T, local: T, server: T, limits: Limits) -> Result<Self, MergeError> {
        let original_table = table(Which::Original, original.as_ref(), limits)?;
        let local_table = table(Which::Local, local.as_ref(), limits)?;
        let server_table = table(Which::Server, server.as_ref(), limits)?;
        let numbered = lines::number(
            (original.as_ref(), &original_table),
            (local.as_ref(), &local_table),
            (server.as_ref(), &server_table),
        );
        let local_edits = diff::edits(&numbered.original, &numbered.local, numbered.distinct);
        let server_edits = diff::edits(&numbered.original, &numbered.server, numbered.distinct);
        let regions = regions::regions(&numbered, &local_edits, &server_edits);
        Ok(Merge {
            texts: [original, local, server],
            tables: [original_table, local_table, server_table],
            regions,
        })
    }

    /// In the order of the texts. Equal, empty texts have none.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    pub fn is_clean(&self) -> bool {
        self.regions.iter().all(|region| region.kind != RegionKind::Conflict)
    }

    pub fn conflict_count(&self) -> usize {
        self.regions.iter().filter(|region| region.kind == RegionKind::Conflict).count()
    }

    pub fn text(&self, which: Which) -> &[u8] {
        self.texts[which.index()].as_ref()
    }

    pub fn line_count(&self, which: Which) -> usize {
        self.tables[which.index()].count()
    }

    /// Where lines stand in a text, in bytes; their endings belong to them.
    ///
    /// Panics where the text does not have these lines.
    pub fn byte_range(&self, which: Which, lines: Range<usize>) -> Range<usize> {
        self.tables[which.index()].bytes(lines)
    }

    /// What one of the texts has in a region of this merge.
    pub fn part(&self, which: Which, region: &Region) -> &[u8] {
        &self.text(which)[self.byte_range(which, region.lines(which))]
    }
}

impl Region {
    /// The lines of one of the texts.
    pub fn lines(&self, which: Which) -> Range<usize> {
        match which {
            Which::Original => self.original.clone(),
            Which::Local => self.local.clone(),
            Which::Server => self.server.clone(),
        }
    }

    /// What a merge takes here when nobody says otherwise; `None` for a conflict.
    pub fn default_take(&self) -> Option<Take> {
        match self.kind {
            RegionKind::Same | RegionKind::LocalOnly | RegionKind::BothSame => Some(Take::Local),
            RegionKind::ServerOnly => Some(Take::Server),
            RegionKind::Conflict => None,
        }
    }
}

impl Which {
    fn index(self) -> usize {
        match self {
            Which::Original => 0,
            Which::Local => 1,
            Which::Server => 2,
        }
    }
}

fn table(which: Which, text: &[u8], limits: Limits) -> Result<LineTable, MergeError> {
    let max_bytes = limits.max_bytes.min(Limits::CEILING.max_bytes);
    let max_lines = limits.max_lines.min(Limits::CEILING.max_lines);
    if text.len() > max_bytes {
        return Err(MergeError::TooLarge { which, size_bytes: text.len(), max_bytes });
    }
    // `contains` is much faster than `position`, and nearly always enough.
    if text.contains(&0)
        && let Some(at) = text.iter().position(|byte| *byte == 0)
    {
        return Err(MergeError::NotText { which, at });
    }
    LineTable::new(text, max_lines).ok_or(MergeError::TooManyLines { which, max_lines })
}
