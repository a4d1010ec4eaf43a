//! Things to upload.

use std::ops::Range;
use std::sync::Arc;

use holdfast_engine::remote::Source;

/// All of it data.
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn arc(bytes: &[u8]) -> Arc<dyn Source> {
        Arc::new(Bytes(bytes.to_vec()))
    }
}

fn read(bytes: &[u8], offset: u64, buf: &mut [u8]) -> usize {
    let rest = bytes.get(offset as usize..).unwrap_or_default();
    let n = rest.len().min(buf.len());
    buf[..n].copy_from_slice(&rest[..n]);
    n
}

impl Source for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(read(&self.0, offset, buf))
    }

    #[allow(clippy::single_range_in_vec_init)]
    fn data_ranges(&self) -> Vec<Range<u64>> {
        vec![0..self.size()]
    }

    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        None
    }
}

/// Mostly holes: 4 KiB of ones at each of the offsets. Reading a hole is an error: it is not to be
/// asked for.
pub struct Holes {
    pub size: u64,
    pub data_at: Vec<u64>,
}

pub const HOLES_DATA_BYTES: u64 = 4096;

impl Source for Holes {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let inside = self.data_at.iter().any(|at| (*at..at + HOLES_DATA_BYTES).contains(&offset));
        if !inside || buf.len() as u64 > HOLES_DATA_BYTES {
            return Err(std::io::Error::other("a hole was read"));
        }
        buf.fill(1);
        Ok(buf.len())
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.data_at.iter().map(|at| *at..at + HOLES_DATA_BYTES).collect()
    }

    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        None
    }
}

/// Differs from what it replaces only in one range; the rest may be read, too.
pub struct PatchedBytes {
    pub bytes: Vec<u8>,
    pub changed: Range<u64>,
}

impl Source for PatchedBytes {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(read(&self.bytes, offset, buf))
    }

    #[allow(clippy::single_range_in_vec_init)]
    fn data_ranges(&self) -> Vec<Range<u64>> {
        vec![0..self.size()]
    }

    #[allow(clippy::single_range_in_vec_init)]
    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        Some(vec![self.changed.clone()])
    }
}
