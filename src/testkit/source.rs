//! Bytes in memory as the source of an upload.

use std::ops::Range;
use std::sync::Arc;

use holdfast_engine::remote::Source;

/// What a test sends to a remote.
#[derive(Clone, Debug, Default)]
pub struct BytesSource {
    bytes: Vec<u8>,
    changed: Option<Vec<Range<u64>>>,
}

impl BytesSource {
    pub fn new(bytes: impl AsRef<[u8]>) -> Arc<BytesSource> {
        Arc::new(BytesSource { bytes: bytes.as_ref().to_vec(), changed: None })
    }

    /// Says that only these ranges differ from what is replaced.
    pub fn changed(bytes: impl AsRef<[u8]>, changed: Vec<Range<u64>>) -> Arc<BytesSource> {
        Arc::new(BytesSource { bytes: bytes.as_ref().to_vec(), changed: Some(changed) })
    }
}

impl Source for BytesSource {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let from = &self.bytes[start..];
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.size()).filter(|r| !r.is_empty()).collect()
    }

    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        self.changed.clone()
    }
}
