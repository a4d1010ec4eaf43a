//! Uploads from the engine's side: small ones in one message, large ones in pieces.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use holdfast_engine::model::Meta;
use holdfast_engine::remote::{RemoteError, Source};

use super::link::Link;
use super::protocol::{Answer, Ask, PIECE_BYTES, Upload};
use crate::supply::{Budget, clip, pieces};

/// Up to here an upload is one message and one round trip.
const SMALL_BYTES: u64 = 256 << 10;
/// Pieces of one upload under way at once.
const PIECES: usize = 4;

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
    let _one_of_few = budget.large().await?;
    let mut begun = link.call(&Ask::Begin(Box::new(request)), Vec::new()).await?;
    let session = Session { link, id: begun.id };
    begun.next().await?;
    let pieces = ranges.into_iter().flat_map(|range| pieces(range, PIECE_BYTES));
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

pub fn meta(answer: Answer) -> Result<Meta, RemoteError> {
    match answer {
        Answer::Meta(meta) => Ok(*meta),
        other => {
            tracing::error!(?other, "an answer of another kind was expected");
            Err(RemoteError::Io("the helper gave an unexpected answer".into()))
        }
    }
}
