//! Bringing content here: what is pinned, what a conflict holds, what must be compared, and what a
//! program wants at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::model::{ContentId, ItemId, Kind, LocPath, Meta, Side, StashId, Version};
use crate::pins::excess;
use crate::remote::{Remote, RemoteError};
use crate::store::content::{BLOCK, Content, ContentError};
use crate::store::persist::StoreError;
use crate::store::rows::{ServerSide, Stashed};

use super::worker::{End, Worker};

/// Reads under way at once.
const READS: usize = 512;
/// Most bytes of one read; whole blocks.
const READ_BYTES: u64 = 4 * BLOCK;

/// What is to be fetched in the background, the urgent first.
#[derive(Default)]
pub struct Wanted {
    urgent: VecDeque<ItemId>,
    pub(super) pinned: BTreeSet<ItemId>,
    failed: BTreeSet<ItemId>,
    /// Was no longer what was read, or not there: not read again before it was looked at.
    stale: BTreeSet<ItemId>,
    /// Contents being read in the background: wanted again, they need not be read twice.
    reading: BTreeMap<ContentId, ItemId>,
    pub under_way: usize,
    /// What is pinned does not fit into the location's limit.
    pub(super) over_limit: bool,
    /// Since the fetch began: when, and bytes.
    pub rate: Option<(std::time::Duration, u64)>,
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.pinned.is_empty() && self.under_way == 0
    }
}

/// Why something is fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Urgent,
    Pinned,
}

/// Bytes to read: where from, and where to.
pub(super) struct Source {
    /// As the one who waits for it sees it.
    pub remote: Arc<dyn Remote>,
    pub path: LocPath,
    pub version: Version,
    pub content: Arc<Content>,
}

impl Worker {
    pub fn is_fetching(&self) -> bool {
        !self.wanted.lock().is_empty()
    }

    /// Whether this content of an item is wanted at once or being read.
    pub(super) fn is_coming(&self, id: ItemId, content: ContentId) -> bool {
        let wanted = self.wanted.lock();
        wanted.urgent.contains(&id) || wanted.reading.contains_key(&content)
    }

    pub fn fetch_failed(&self) -> bool {
        !self.wanted.lock().failed.is_empty()
    }

    pub fn is_over_limit(&self) -> bool {
        self.wanted.lock().over_limit
    }

    /// A conflict, a comparison or a record needs the server's content. Who asks again and again is not
    /// woken for it. False where it could not be had; the next look lets it be tried again.
    pub(super) fn want_urgently(&self, id: ItemId) -> bool {
        let content = self.server_source(id).map(|source| source.content.id());
        let mut wanted = self.wanted.lock();
        if wanted.failed.contains(&id) || wanted.stale.contains(&id) {
            return false;
        }
        let is_coming = content.is_some_and(|content| wanted.reading.contains_key(&content));
        if is_coming || wanted.urgent.contains(&id) {
            return true;
        }
        wanted.urgent.push_back(id);
        drop(wanted);
        self.to_fetch.notify(usize::MAX);
        true
    }

    /// Fetches what a record waits for, from whichever item's place on the server has it.
    pub(super) fn want_for(&self, record: ItemId, content: ContentId) -> Result<bool, StoreError> {
        let owner = {
            let tree = self.store.read();
            let has = |id: &ItemId| {
                let state = tree.item(*id).and_then(|i| tree.server_state(i));
                state.is_some_and(|s| s.content == Some(content))
            };
            let open = tree.location(self.location).map(|live| &live.attention);
            let near = open.and_then(|open| open.iter().copied().find(has));
            near.or_else(|| tree.items().map(|i| i.id).find(has))
        };
        if let Some(owner) = owner {
            return Ok(self.want_urgently(owner));
        }
        self.store.write(|tx| {
            let message = "its bytes were not here yet when it was moved or copied, and the server no longer \
                           has them; remove it, or write it anew";
            super::replay::note_problem(tx, record, crate::model::Needs::Retry, message.into());
            Ok::<_, StoreError>(())
        })?;
        Ok(false)
    }

    /// Looks through the location for pinned files that are not wholly here.
    pub fn want_all_pinned(&self) {
        let missing: BTreeSet<ItemId> = {
            let tree = self.store.read();
            let absent = |id: ContentId| self.store.contents().get(id).is_some_and(|c| !c.is_whole());
            tree.items()
                .filter(|item| item.location == self.location)
                .filter(|item| item.base.as_deref().and_then(|b| b.content).is_some_and(absent))
                .filter(|item| item.server == ServerSide::AsBase && tree.is_pinned(item.id))
                .map(|item| item.id)
                .collect()
        };
        let mut wanted = self.wanted.lock();
        wanted.failed.clear();
        wanted.stale.clear();
        wanted.over_limit &= !missing.is_empty();
        wanted.pinned = missing;
        drop(wanted);
        self.to_fetch.notify(usize::MAX);
    }

    /// Where the bytes of an item's server state come from; `None` where nothing is missing.
    pub(super) fn server_source(&self, id: ItemId) -> Option<Source> {
        let tree = self.store.read();
        let item = tree.item(id)?;
        let state = tree.server_state(item)?;
        if state.meta.kind != Kind::File {
            return None;
        }
        let content = self.store.contents().get(state.content?)?;
        if content.is_whole() {
            return None;
        }
        Some(Source {
            remote: self.for_fetch.clone(),
            path: tree.path(id, Side::Server)?,
            version: state.meta.version.clone(),
            content,
        })
    }

    pub(super) async fn fetch_loop(self: &Arc<Self>) -> End {
        let mut reads = FuturesUnordered::new();
        let mut ranges: VecDeque<(ItemId, Arc<Source>, Range<u64>)> = VecDeque::new();
        // The loop before may have ended with reads under way, and who asked meanwhile was told that they
        // are coming.
        let left = {
            let mut wanted = self.wanted.lock();
            wanted.under_way = 0;
            std::mem::take(&mut wanted.reading)
        };
        left.into_values().for_each(|id| self.want_again(id));
        // Bytes that are on their way here.
        let mut coming = 0;
        loop {
            let woken = futures::future::select(self.wake.listen(), self.to_fetch.listen());
            while reads.len() < READS && coming < self.line.window() && !self.is_stopping() {
                let Some((id, source, range)) = ranges.pop_front() else {
                    let Some((id, wish)) = self.next_wanted() else { break };
                    let Some(source) = self.server_source(id) else {
                        self.fetched(id);
                        continue;
                    };
                    let missing = source.content.size() - source.content.present_bytes();
                    if wish == Wish::Pinned && !self.has_room_for(coming + missing).await {
                        continue;
                    }
                    if self.wanted.lock().reading.insert(source.content.id(), id).is_some() {
                        continue;
                    }
                    let source = Arc::new(source);
                    let before = ranges.len();
                    for range in in_reads(&source.content, 0..source.content.size(), self.read_bytes()) {
                        ranges.push_back((id, source.clone(), range));
                    }
                    if ranges.len() == before {
                        // Nothing is missing but the knowledge of it: an empty file.
                        ranges.push_back((id, source, 0..0));
                    }
                    continue;
                };
                self.wanted.lock().under_way += 1;
                let worker = self.clone();
                let length = range.end - range.start;
                coming += length;
                reads.push(async move {
                    let result = worker.read_into(&source, range).await;
                    (id, source, length, result)
                });
            }
            if reads.is_empty() && self.is_stopping() {
                return End::Asked;
            }
            if reads.is_empty() {
                self.wanted.lock().rate = None;
                self.progress.notify(usize::MAX);
                let _ = woken.await;
                continue;
            }
            let done = futures::select_biased! {
                done = reads.next() => done,
                _ = woken.fuse() => continue,
            };
            let Some((id, source, length, result)) = done else {
                continue;
            };
            coming -= length;
            {
                let mut wanted = self.wanted.lock();
                wanted.under_way -= 1;
                if result.is_err() || source.content.is_whole() {
                    wanted.reading.remove(&source.content.id());
                }
            }
            match result {
                Ok(()) => {
                    if source.content.is_whole() {
                        self.fetched(id);
                    }
                }
                Err(Failure::Remote(error @ RemoteError::Gone { .. })) => {
                    return End::Lost(error);
                }
                Err(Failure::Store(StoreError::Full)) if self.make_room().await => {
                    self.give_up(&mut ranges, id);
                    self.want_again(id);
                }
                Err(Failure::Store(error)) => {
                    return End::Store(error);
                }
                Err(Failure::Remote(RemoteError::Changed { .. } | RemoteError::NotFound))
                | Err(Failure::Differs) => {
                    self.give_up(&mut ranges, id);
                    self.wanted.lock().stale.insert(id);
                    self.look_again(id);
                }
                Err(Failure::Remote(error)) => {
                    self.give_up(&mut ranges, id);
                    self.wanted.lock().failed.insert(id);
                    let message = format!("cannot be fetched: {error}");
                    let noted = self.store.write(|tx| {
                        super::replay::note_problem(tx, id, crate::model::Needs::Retry, message);
                        Ok::<_, StoreError>(())
                    });
                    if let Err(error) = noted {
                        return End::Store(error);
                    }
                }
            }
            self.progress.notify(usize::MAX);
        }
    }

    fn want_again(&self, id: ItemId) {
        let is_pinned = self.store.read().is_pinned(id);
        let mut wanted = self.wanted.lock();
        match is_pinned {
            true => _ = wanted.pinned.insert(id),
            false => wanted.urgent.push_back(id),
        }
    }

    /// What is still to be read for an item is not, be it of this version or of another.
    fn give_up(&self, ranges: &mut VecDeque<(ItemId, Arc<Source>, Range<u64>)>, id: ItemId) {
        let mut wanted = self.wanted.lock();
        ranges.retain(|(other, source, _)| {
            let stays = *other != id;
            if !stays {
                wanted.reading.remove(&source.content.id());
            }
            stays
        });
    }

    fn next_wanted(&self) -> Option<(ItemId, Wish)> {
        let mut wanted = self.wanted.lock();
        let urgent = wanted.urgent.pop_front().map(|id| (id, Wish::Urgent));
        let next = urgent.or_else(|| wanted.pinned.pop_first().map(|id| (id, Wish::Pinned)));
        if next.is_some() && wanted.rate.is_none() {
            wanted.rate = Some((self.world.elapsed(), 0));
        }
        next
    }

    /// All of it is here: what waited for it may be settled.
    fn fetched(&self, id: ItemId) {
        let waits = self.store.read().item(id).is_some_and(|i| i.server != ServerSide::AsBase);
        if waits {
            self.compared(id);
        }
        // A record may have waited for the bytes.
        self.kick();
    }

    /// Reads a range and takes it in; what is on its way to the disk is recorded when it is whole.
    pub(super) async fn read_into(&self, source: &Source, range: Range<u64>) -> Result<(), Failure> {
        let len = (range.end - range.start) as usize;
        let bytes = match len {
            0 => Vec::new(),
            _ => source
                .remote
                .read(&source.path, &source.version, range.start, len)
                .await
                .map_err(Failure::Remote)?,
        };
        if bytes.len() < len {
            return Err(Failure::Remote(RemoteError::Changed { now: None }));
        }
        let filled = match source.content.fill(range.start, &bytes) {
            Ok(filled) => filled,
            Err(ContentError::Differs { .. }) => return Err(Failure::Differs),
            Err(ContentError::Full) => return Err(Failure::Store(StoreError::Full)),
            Err(ContentError::Io(error)) => return Err(Failure::Store(error.into())),
            Err(error) => return Err(Failure::Store(StoreError::Damaged(error.to_string()))),
        };
        if let Some((_, bytes)) = &mut self.wanted.lock().rate {
            *bytes += filled.new_bytes;
        }
        if filled.new_bytes > 0 && excess(&self.store, self.location) > 0 {
            self.store.crowded.notify(usize::MAX);
        }
        if filled.completed {
            self.store
                .write(|tx| {
                    tx.touch_content(source.content.id());
                    Ok::<_, StoreError>(())
                })
                .map_err(Failure::Store)?;
            self.store.relieve().map_err(Failure::Store)?;
        }
        Ok(())
    }

    /// Short on a line that carries little: what has come stays, whatever happens to the rest.
    fn read_bytes(&self) -> u64 {
        (self.line.window() / 4).clamp(BLOCK, READ_BYTES) / BLOCK * BLOCK
    }

    /// All missing bytes of a range, at once.
    pub(super) async fn read_all(&self, source: &Source, range: Range<u64>) -> Result<(), Failure> {
        let mut reads: FuturesUnordered<_> = in_reads(&source.content, range, self.read_bytes())
            .into_iter()
            .map(|range| self.read_into(source, range))
            .collect();
        while let Some(result) = reads.next().await {
            result?;
        }
        drop(reads);
        if source.content.size() == 0 && !source.content.is_whole() {
            self.read_into(source, 0..0).await?;
        }
        Ok(())
    }

    /// Keeps a version of the server's that lies under a path of no item; returns its content.
    pub(super) async fn stash_from_server(
        &self,
        path: &LocPath,
        meta: &Meta,
        why: &str,
    ) -> Result<ContentId, RemoteError> {
        let gone = |error: StoreError| RemoteError::Io(error.to_string());
        let (content, target) = {
            let tree = self.store.read();
            let name = tree.location(self.location).map(|l| l.row.name.clone()).unwrap_or_default();
            let target = crate::model::Target { location: name, path: path.clone() }.to_bytes();
            let (id, file) = (ContentId(self.store.new_id()), self.store.new_id());
            (self.store.contents().within(self.location).expect(id, file, meta.size), target)
        };
        let held = self.store.hold(content.id());
        let source = Source {
            remote: self.for_fetch.clone(),
            path: path.clone(),
            version: meta.version.clone(),
            content: content.clone(),
        };
        let mut offset = 0;
        while offset < meta.size || (meta.size == 0 && !content.is_whole()) {
            let end = (offset + READ_BYTES).min(meta.size);
            match self.read_into(&source, offset..end).await {
                Ok(()) => {}
                Err(Failure::Remote(error)) => return Err(error),
                Err(Failure::Store(error)) => return Err(gone(error)),
                Err(Failure::Differs) => return Err(RemoteError::Changed { now: None }),
            }
            offset = end;
        }
        self.store
            .write(|tx| {
                tx.add_content(held.id);
                let id = StashId(tx.new_id());
                tx.put_stash(Stashed {
                    id,
                    location: self.location,
                    target,
                    side: Side::Server,
                    kind: Kind::File,
                    mode: meta.mode,
                    mtime: meta.mtime,
                    size: meta.size,
                    content: Some(content.id()),
                    link_target: None,
                    at: tx.now(),
                    why: why.into(),
                    kept: false,
                });
                Ok(())
            })
            .map_err(gone)?;
        self.store.flushed().await.map_err(gone)?;
        Ok(content.id())
    }

    /// Files and bytes a second of the fetch under way.
    pub fn fetch_rate(&self) -> u64 {
        let wanted = self.wanted.lock();
        let Some((since, bytes)) = wanted.rate else {
            return 0;
        };
        let seconds = self.world.elapsed().saturating_sub(since).as_secs_f64();
        if seconds > 0.0 { (bytes as f64 / seconds) as u64 } else { 0 }
    }

    pub(super) fn look_again(&self, id: ItemId) {
        let folder = {
            let tree = self.store.read();
            tree.item(id)
                .and_then(|i| tree.place(i, Side::Server))
                .and_then(|(p, _)| tree.path(p, Side::Server))
        };
        let hint = folder.map_or(crate::remote::Hint::Everything, crate::remote::Hint::Folder);
        self.hints.lock().push(hint);
        self.wake.notify(usize::MAX);
    }
}

#[derive(Debug)]
pub(super) enum Failure {
    Remote(RemoteError),
    Store(StoreError),
    /// The same version has other bytes than before.
    Differs,
}

/// The missing parts of a range, cut for reading; whole blocks.
fn in_reads(content: &Content, range: Range<u64>, most: u64) -> Vec<Range<u64>> {
    let mut reads = Vec::new();
    for missing in content.missing(range) {
        let mut start = missing.start;
        while start < missing.end {
            let end = (start + most).min(missing.end);
            reads.push(start..end);
            start = end;
        }
    }
    reads
}
