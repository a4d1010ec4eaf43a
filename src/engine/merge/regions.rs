//! From two lists of edits to regions that tile all three texts.
//!
//! Edits of both sides that overlap or touch, with no unchanged line between them, make one region, and so
//! does all that overlaps or touches that. This is the rule of `git merge-file` (and diff3). Such a region
//! is a conflict unless both sides say the same in it: a wrong clean merge is worse than a conflict.

use std::ops::Range;

use super::diff::Edit;
use super::lines::Numbered;

/// What became of a part of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegionKind {
    /// All three texts are equal here.
    Same,
    /// Changed here; the server has the original.
    LocalOnly,
    /// Changed on the server; here is the original.
    ServerOnly,
    /// Both made the same change.
    BothSame,
    /// Both changed it, each in a way of its own.
    Conflict,
}

/// A part of the merge. The ranges count lines from 0; each may be empty, never all three.
///
/// In a list of regions each range begins where the one before it ends, so the regions tile each of the
/// three texts. Two `Same` regions are never neighbours, nor do the edges of a `Conflict` hold lines that
/// local and server have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region {
    pub kind: RegionKind,
    pub original: Range<usize>,
    pub local: Range<usize>,
    pub server: Range<usize>,
}

/// Takes time in proportion to the number of edits and of the lines in conflict.
pub(super) fn regions(texts: &Numbered, local_edits: &[Edit], server_edits: &[Edit]) -> Vec<Region> {
    let mut builder = Builder { texts, regions: Vec::new(), original: 0, local: 0, server: 0 };
    let mut local_edits = local_edits.iter().peekable();
    let mut server_edits = server_edits.iter().peekable();
    loop {
        let start = match (local_edits.peek(), server_edits.peek()) {
            (Some(local), Some(server)) => local.original.start.min(server.original.start),
            (Some(edit), None) | (None, Some(edit)) => edit.original.start,
            (None, None) => break,
        };
        let mut end = start;
        let mut local = Change::default();
        let mut server = Change::default();
        loop {
            if let Some(edit) = local_edits.next_if(|edit| edit.original.start <= end) {
                local.take(edit, &mut end);
            } else if let Some(edit) = server_edits.next_if(|edit| edit.original.start <= end) {
                server.take(edit, &mut end);
            } else {
                break;
            }
        }
        builder.same_until(start);
        builder.changed(end - start, &local, &server);
    }
    builder.same_until(texts.original.len());
    builder.regions
}

/// What the edits of one side do to the length of a region.
#[derive(Default)]
struct Change {
    edits: usize,
    removed: usize,
    added: usize,
}

impl Change {
    fn take(&mut self, edit: &Edit, end: &mut usize) {
        self.edits += 1;
        self.removed += edit.original.len();
        self.added += edit.side.len();
        *end = (*end).max(edit.original.end);
    }

    fn length(&self, original_length: usize) -> usize {
        original_length - self.removed + self.added
    }
}

struct Builder<'t> {
    texts: &'t Numbered,
    regions: Vec<Region>,
    original: usize,
    local: usize,
    server: usize,
}

impl Builder<'_> {
    fn same_until(&mut self, original_end: usize) {
        let length = original_end - self.original;
        self.push(RegionKind::Same, length, length, length);
    }

    fn changed(&mut self, original: usize, local: &Change, server: &Change) {
        let (local_length, server_length) = (local.length(original), server.length(original));
        if server.edits == 0 {
            self.push(RegionKind::LocalOnly, original, local_length, server_length);
        } else if local.edits == 0 {
            self.push(RegionKind::ServerOnly, original, local_length, server_length);
        } else {
            self.both_changed(original, local_length, server_length);
        }
    }

    /// Sets equal edges of both sides apart, as `Same` as far as the original has them too.
    fn both_changed(&mut self, original: usize, local: usize, server: usize) {
        let texts = self.texts;
        let original_lines = &texts.original[self.original..self.original + original];
        let local_lines = &texts.local[self.local..self.local + local];
        let server_lines = &texts.server[self.server..self.server + server];
        if local_lines == server_lines {
            self.push(RegionKind::BothSame, original, local, server);
            return;
        }
        let head = equal_count(local_lines.iter(), server_lines.iter());
        let same_head = equal_count(original_lines.iter(), local_lines[..head].iter());
        let (local_rest, server_rest) = (&local_lines[head..], &server_lines[head..]);
        let tail = equal_count(local_rest.iter().rev(), server_rest.iter().rev());
        let local_tail = &local_rest[local_rest.len() - tail..];
        let same_tail = equal_count(original_lines[same_head..].iter().rev(), local_tail.iter().rev());

        let (new_head, new_tail) = (head - same_head, tail - same_tail);
        self.push(RegionKind::Same, same_head, same_head, same_head);
        self.push(RegionKind::BothSame, 0, new_head, new_head);
        self.push(
            RegionKind::Conflict,
            original - same_head - same_tail,
            local - head - tail,
            server - head - tail,
        );
        self.push(RegionKind::BothSame, 0, new_tail, new_tail);
        self.push(RegionKind::Same, same_tail, same_tail, same_tail);
    }

    fn push(&mut self, kind: RegionKind, original: usize, local: usize, server: usize) {
        if original == 0 && local == 0 && server == 0 {
            return;
        }
        let region = Region {
            kind,
            original: self.original..self.original + original,
            local: self.local..self.local + local,
            server: self.server..self.server + server,
        };
        self.original = region.original.end;
        self.local = region.local.end;
        self.server = region.server.end;
        match self.regions.last_mut() {
            Some(last) if kind == RegionKind::Same && last.kind == RegionKind::Same => {
                last.original.end = region.original.end;
                last.local.end = region.local.end;
                last.server.end = region.server.end;
            }
            _ => self.regions.push(region),
        }
    }
}

fn equal_count<'n>(a: impl Iterator<Item = &'n u32>, b: impl Iterator<Item = &'n u32>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}
