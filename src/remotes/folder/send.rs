//! Uploads from the engine's side: small ones in one message, large ones in pieces, with a bound on
//! the memory of all together.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use holdfast_engine::model::Meta;
use holdfast_engine::remote::{RemoteError, Source};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::link::Link;
use super::protocol::{Answer, Ask, PIECE_BYTES, Upload};

/// Up to here an upload is one message and one round trip.
const SMALL_BYTES: u64 = 256 << 10;
/// Pieces of one upload under way at once.
const PIECES: usize = 4;
const MEMORY_KIB: usize = 32 << 10;
/// Large uploads at once: each holds open files in the helper.
const UPLOADS: usize = 32;
/// Reads of local content at once: each takes a thread.
const READS: usize = 8;

/// What all uploads of a location share.
pub struct Budget {
    memory: Semaphore,
    uploads: Semaphore,
    reads: Arc<Semaphore>,
}

impl Budget {
    pub fn new() -> Budget {
        Budget {
            memory: Semaphore::new(MEMORY_KIB),
            uploads: Semaphore::new(UPLOADS),
            reads: Arc::new(Semaphore::new(READS)),
        }
    }

    async fn memory(&self, bytes: usize) -> Result<SemaphorePermit<'_>, RemoteError> {
        let kib = u32::try_from(bytes.div_ceil(1024).clamp(1, MEMORY_KIB)).unwrap_or(u32::MAX);
        self.memory.acquire_many(kib).await.map_err(|_| closed())
    }

    async fn read(&self, source: &Arc<dyn Source>, range: Range<u64>) -> Result<Vec<u8>, RemoteError> {
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

/// Sends one upload and waits until it stands in its place.
pub async fn upload(
    link: &Arc<Link>,
    budget: &Budget,
    source: Arc<dyn Source>,
    mut request: Upload,
    ranged: bool,
) -> Result<Meta, RemoteError> {
    let size = source.size();
    let changed = if ranged && request.replaces.is_some() { source.changed_ranges() } else { None };
    request.from_old = changed.is_some();
    let ranges = clip(changed.unwrap_or_else(|| source.data_ranges()), size);
    let whole = size == 0 || (ranges.len() == 1 && ranges[0] == (0..size));
    if !request.from_old && whole && size <= SMALL_BYTES {
        let _memory = budget.memory(size as usize).await?;
        let bytes = budget.read(&source, 0..size).await?;
        return meta(link.call(&Ask::Put(Box::new(request)), bytes).await?.next().await?.0);
    }
    let _one_of_few = budget.uploads.acquire().await.map_err(|_| closed())?;
    let mut begun = link.call(&Ask::Begin(Box::new(request)), Vec::new()).await?;
    let session = Session { link, id: begun.id };
    begun.next().await?;
    let pieces = ranges.into_iter().flat_map(pieces);
    futures::stream::iter(pieces)
        .map(|piece| {
            let (source, upload) = (&source, session.id);
            async move {
                let _memory = budget.memory((piece.end - piece.start) as usize).await?;
                let offset = piece.start;
                let bytes = budget.read(source, piece).await?;
                link.call(&Ask::Write { upload, offset }, bytes).await?.next().await.map(drop)
            }
        })
        .buffer_unordered(PIECES)
        .try_collect::<()>()
        .await?;
    meta(link.call(&Ask::Finish { upload: session.id }, Vec::new()).await?.next().await?.0)
}

/// An upload that has begun; dropped before its end, it is cleared away. After its end there is
/// nothing under its number.
struct Session<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.link.tell(&Ask::Abandon { upload: self.id });
    }
}

fn clip(ranges: Vec<Range<u64>>, size: u64) -> Vec<Range<u64>> {
    ranges.into_iter().map(|r| r.start..r.end.min(size)).filter(|r| r.start < r.end).collect()
}

fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(PIECE_BYTES).map(move |at| at..end.min(at + PIECE_BYTES as u64))
}

pub fn meta(answer: Answer) -> Result<Meta, RemoteError> {
    match answer {
        Answer::Meta(meta) => Ok(*meta),
        other => {
            tracing::error!(?other, "an answer of another kind was expected");
            Err(RemoteError::Io("the helper gave an unexpected answer".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_tile_a_range() {
        let all: Vec<_> = pieces(5..(2 << 20) + 7).collect();
        assert_eq!(all, [5..(1 << 20) + 5, (1 << 20) + 5..(2 << 20) + 5, (2 << 20) + 5..(2 << 20) + 7]);
        assert_eq!(clip(vec![0..5, 8..20, 30..40], 10), [0..5, 8..10]);
    }
}
