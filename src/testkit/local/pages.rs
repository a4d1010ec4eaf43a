//! The kernel's pages of one file: whole pages, zero past the end, as mapped memory has them.

use std::collections::BTreeMap;

pub(super) const PAGE: u64 = 4096;

#[derive(Default)]
pub(super) struct Pages(BTreeMap<u64, Vec<u8>>);

/// (page, offset in it, offset in the range, bytes) for each page that a range touches.
pub(super) fn touched(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let end = offset + len as u64;
    (offset / PAGE..end.div_ceil(PAGE)).filter_map(move |page| {
        let start = offset.max(page * PAGE);
        let stop = end.min((page + 1) * PAGE);
        (start < stop).then(|| {
            let in_page = (start - page * PAGE) as usize;
            (page, in_page, (start - offset) as usize, (stop - start) as usize)
        })
    })
}

impl Pages {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn all(&self) -> &BTreeMap<u64, Vec<u8>> {
        &self.0
    }

    pub(super) fn has(&self, page: u64) -> bool {
        self.0.contains_key(&page)
    }

    pub(super) fn keep(&mut self, page: u64, mut bytes: Vec<u8>) {
        bytes.resize(PAGE as usize, 0);
        self.0.insert(page, bytes);
    }

    /// From pages that are all there.
    pub(super) fn copy_to(&self, offset: u64, into: &mut [u8]) -> bool {
        touched(offset, into.len()).all(|(page, in_page, at, len)| match self.0.get(&page) {
            Some(bytes) => {
                into[at..at + len].copy_from_slice(&bytes[in_page..in_page + len]);
                true
            }
            None => false,
        })
    }

    /// A write goes through to pages that are there; a page written whole is there from now on.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        for (page, in_page, at, len) in touched(offset, data.len()) {
            if len == PAGE as usize {
                self.0.insert(page, data[at..at + len].to_vec());
            } else if let Some(bytes) = self.0.get_mut(&page) {
                bytes[in_page..in_page + len].copy_from_slice(&data[at..at + len]);
            }
        }
    }

    pub(super) fn truncate(&mut self, size: u64) {
        let _ = self.0.split_off(&size.div_ceil(PAGE));
        if let Some(last) = self.0.get_mut(&(size / PAGE)) {
            last[(size % PAGE) as usize..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_writes_and_cuts() {
        let mut pages = Pages::default();
        pages.keep(0, vec![1; 4096]);
        pages.keep(1, vec![2; 100]);
        pages.write(4090, &[9; 10]);
        let mut got = [0; 12];
        assert!(pages.copy_to(4089, &mut got));
        assert_eq!(got, [1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2]);
        pages.truncate(4092);
        assert!(!pages.has(1));
        assert!(pages.copy_to(4089, &mut got[..6]));
        assert_eq!(got[..6], [1, 9, 9, 0, 0, 0]);
        assert!(!pages.copy_to(4090, &mut got));
    }
}
