//! A remote as one of those who share its line sees it: each call waits for its turn, is paid for, and is
//! measured.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{LocPath, Meta, Version};
use crate::remote::{Capabilities, Hint, Listed, Listing, NewMeta, Remote, RemoteError, SetMeta, Source};

use super::{Line, Way, Who};

/// From here on a piece tells how much the line carries.
const LARGE_BYTES: u64 = 64 << 10;
/// An upload has more to do than to carry bytes: only one so long tells.
const LARGE_UPLOAD_BYTES: u64 = 1 << 20;

type Answer<T> = Result<T, RemoteError>;

pub struct Metered {
    pub remote: Arc<dyn Remote>,
    pub line: Arc<Line>,
    pub who: Who,
}

impl Metered {
    /// One call, in its turn.
    async fn call<T>(&self, call: impl Future<Output = Answer<T>> + Send) -> Answer<T> {
        let _under_way = self.line.call(self.who).await;
        let answer = call.await;
        self.hear(&answer);
        answer
    }

    fn hear<T>(&self, answer: &Answer<T>) {
        if !matches!(answer, Err(RemoteError::Gone { .. })) {
            self.line.with(|state, now| state.heard = now);
        }
    }

    async fn read_piece(&self, path: &LocPath, version: &Version, range: Range<u64>) -> Answer<Vec<u8>> {
        let bytes = range.end - range.start;
        self.line.pass(Way::Down, self.who, bytes).await;
        let _under_way = self.line.call(self.who).await;
        let measured = Measured::begin(&self.line, bytes >= LARGE_BYTES, self.who == Who::Fetch);
        let began = self.line.world.elapsed();
        let answer = self.remote.read(path, version, range.start, bytes as usize).await;
        self.hear(&answer);
        if answer.is_ok() {
            self.line.with(|state, now| {
                if self.who == Who::Fetch {
                    Line::window_feedback(state, bytes, now.saturating_sub(began));
                }
                if measured.large {
                    state.measure.carried(now, bytes);
                }
            });
        }
        answer
    }

    /// New content: its bytes are paid for one piece at a time, as the remote takes them.
    async fn upload(&self, bytes: u64, send: impl Future<Output = Answer<Meta>> + Send) -> Answer<Meta> {
        let _under_way = self.line.call(self.who).await;
        let _measured = Measured::begin(&self.line, bytes >= LARGE_UPLOAD_BYTES, false);
        let answer = send.await;
        self.hear(&answer);
        answer
    }

    fn paced(&self, source: Arc<dyn Source>) -> Arc<dyn Source> {
        let large = source.size() >= LARGE_UPLOAD_BYTES;
        Arc::new(Paced { source, line: self.line.clone(), who: self.who, large })
    }
}

/// A transfer as long as it is under way.
struct Measured<'a> {
    line: &'a Line,
    large: bool,
    fetch: bool,
}

impl Measured<'_> {
    fn begin(line: &Line, large: bool, fetch: bool) -> Measured<'_> {
        line.with(|state, now| {
            state.fetches += usize::from(fetch);
            if large {
                state.measure.begin(now);
            }
        });
        Measured { line, large, fetch }
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let last = self.line.with(|state, now| {
            if self.large {
                state.measure.end(now);
            }
            state.fetches -= usize::from(self.fetch);
            self.fetch && state.fetches == 0
        });
        // Replay may go on.
        if last {
            self.line.changed.notify(usize::MAX);
        }
    }
}

/// What is uploaded.
struct Paced {
    source: Arc<dyn Source>,
    line: Arc<Line>,
    who: Who,
    large: bool,
}

#[async_trait]
impl Source for Paced {
    fn size(&self) -> u64 {
        self.source.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.source.read_at(offset, buf)
    }
    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.source.data_ranges()
    }
    fn changed_ranges(&self) -> Option<Vec<Range<u64>>> {
        self.source.changed_ranges()
    }

    async fn turn(&self, bytes: u64) {
        self.line.pass(Way::Up, self.who, bytes).await;
        if self.large {
            self.line.with(|state, now| state.measure.carried(now, bytes));
        }
    }

    fn piece_bytes(&self) -> u64 {
        self.line.piece(Way::Up)
    }
}

#[async_trait]
impl Remote for Metered {
    async fn connect(&self) -> Answer<Capabilities> {
        self.line.begin_anew();
        self.remote.connect().await
    }

    async fn list(&self, folder: &LocPath) -> Answer<Listing> {
        self.call(self.remote.list(folder)).await
    }

    async fn stat(&self, path: &LocPath) -> Answer<Meta> {
        self.call(self.remote.stat(path)).await
    }

    /// Where there is a limit, in pieces that it lets through soon: each is of exactly that version, so
    /// all of it is.
    async fn read(&self, path: &LocPath, version: &Version, offset: u64, len: usize) -> Answer<Vec<u8>> {
        let end = offset.saturating_add(len as u64);
        let mut bytes = Vec::new();
        loop {
            let at = offset + bytes.len() as u64;
            let asked = at..end.min(at.saturating_add(self.line.piece(Way::Down)));
            let more = self.read_piece(path, version, asked).await?;
            let is_end = more.is_empty();
            match bytes.is_empty() {
                true => bytes = more,
                false => bytes.extend_from_slice(&more),
            }
            if is_end || offset + bytes.len() as u64 >= end {
                return Ok(bytes);
            }
        }
    }

    async fn create_file(&self, path: &LocPath, source: Arc<dyn Source>, meta: &NewMeta) -> Answer<Meta> {
        let bytes = source.size();
        self.upload(bytes, self.remote.create_file(path, self.paced(source), meta)).await
    }

    async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Answer<Meta> {
        let bytes = source.size();
        self.upload(bytes, self.remote.replace_file(path, version, self.paced(source), meta)).await
    }

    async fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Answer<Meta> {
        self.call(self.remote.create_folder(path, meta)).await
    }

    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Answer<Meta> {
        self.call(self.remote.create_symlink(path, target)).await
    }

    async fn create_link(&self, existing: &LocPath, version: &Version, path: &LocPath) -> Answer<Meta> {
        self.call(self.remote.create_link(existing, version, path)).await
    }

    async fn remove_file(&self, path: &LocPath, version: &Version) -> Answer<()> {
        self.call(self.remote.remove_file(path, version)).await
    }

    async fn remove_folder(&self, path: &LocPath) -> Answer<()> {
        self.call(self.remote.remove_folder(path)).await
    }

    async fn rename(&self, from: &LocPath, version: Option<&Version>, to: &LocPath) -> Answer<Meta> {
        self.call(self.remote.rename(from, version, to)).await
    }

    async fn set_meta(&self, path: &LocPath, version: Option<&Version>, set: &SetMeta) -> Answer<Meta> {
        self.call(self.remote.set_meta(path, version, set)).await
    }

    async fn leftovers(&self, folder: &LocPath) -> Answer<Vec<Listed>> {
        self.call(self.remote.leftovers(folder)).await
    }

    async fn watch(&self, folder: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        self.remote.watch(folder).await
    }

    /// Not in turn: whoever stands in line may wait for ever on a line that is dead.
    async fn probe(&self, within: Duration) -> Answer<()> {
        let began = self.line.world.elapsed();
        let answer = self.remote.probe(within).await;
        self.hear(&answer);
        if answer.is_ok() {
            self.line.with(|state, now| state.measure.answered(now.saturating_sub(began)));
        }
        answer
    }

    async fn lost(&self) -> RemoteError {
        self.remote.lost().await
    }

    async fn disconnect(&self) {
        self.remote.disconnect().await;
    }
}
