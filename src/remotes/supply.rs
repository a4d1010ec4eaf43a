//! The bytes of uploads from the engine's side: read in other threads, with a bound on the memory of
//! all together and on how many at once.

use std::ops::Range;
use std::sync::Arc;

use holdfast_engine::remote::{RemoteError, Source};
use tokio::sync::{Semaphore, SemaphorePermit};

const MEMORY_KIB: usize = 32 << 10;
/// Large uploads at once: each holds an open file on the server.
const LARGE: usize = 32;
/// Reads of local content at once: each takes a thread.
const READS: usize = 8;

/// What all uploads of a location share.
pub struct Budget {
    memory: Semaphore,
    large: Semaphore,
    reads: Arc<Semaphore>,
}

impl Budget {
    pub fn new() -> Budget {
        Budget {
            memory: Semaphore::new(MEMORY_KIB),
            large: Semaphore::new(LARGE),
            reads: Arc::new(Semaphore::new(READS)),
        }
    }

    /// One large upload's turn, until what is returned goes.
    pub async fn large(&self) -> Result<SemaphorePermit<'_>, RemoteError> {
        self.large.acquire().await.map_err(|_| closed())
    }

    /// Room for a piece, until what is returned goes.
    pub async fn memory(&self, bytes: usize) -> Result<SemaphorePermit<'_>, RemoteError> {
        let kib = u32::try_from(bytes.div_ceil(1024).clamp(1, MEMORY_KIB)).unwrap_or(u32::MAX);
        self.memory.acquire_many(kib).await.map_err(|_| closed())
    }

    /// Exactly this range, in its turn.
    pub async fn read(&self, source: &Arc<dyn Source>, range: Range<u64>) -> Result<Vec<u8>, RemoteError> {
        let piece = source.piece_bytes().max(1);
        let mut asked = range.start;
        // What the line is asked for at once is small where it is limited, whatever is sent at once.
        while asked < range.end {
            let bytes = piece.min(range.end - asked);
            source.turn(bytes).await;
            asked += bytes;
        }
        let permit = self.reads.clone().acquire_owned().await.map_err(|_| closed())?;
        let source = source.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read_exactly(&*source, range)
        });
        match read.await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(e)) => Err(RemoteError::Io(format!("the local content cannot be read: {e}"))),
            Err(_) => Err(RemoteError::Io("the local content cannot be read".into())),
        }
    }
}

fn closed() -> RemoteError {
    RemoteError::gone("the folder is not connected")
}

fn read_exactly(source: &dyn Source, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read_at(range.start + filled as u64, &mut bytes[filled..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok(bytes)
}

/// Ranges as far as a file of this size has them.
pub fn clip(ranges: Vec<Range<u64>>, size: u64) -> Vec<Range<u64>> {
    ranges.into_iter().map(|r| r.start..r.end.min(size)).filter(|r| r.start < r.end).collect()
}

/// A range cut into pieces of at most so many bytes.
pub fn pieces(range: Range<u64>, bytes: usize) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(bytes).map(move |at| at..end.min(at + bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_tile_a_range() {
        let all: Vec<_> = pieces(5..(2 << 20) + 7, 1 << 20).collect();
        assert_eq!(all, [5..(1 << 20) + 5, (1 << 20) + 5..(2 << 20) + 5, (2 << 20) + 5..(2 << 20) + 7]);
        assert_eq!(clip(vec![0..5, 8..20, 30..40], 10), [0..5, 8..10]);
    }
}
