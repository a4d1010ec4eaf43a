//! What a program wants and we lack: fetched at once, or refused by the location's policy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::fileops::{Caller, Need, Op, OpError, Provider};
use crate::model::{ContentId, ItemId, NodeId, Side};
use crate::world::{on_world, timeout};

use super::Sync;
use super::fetch::{Failure, Source};
use super::room::make_room;
use super::worker::{End, Worker};
use crate::store::persist::StoreError;

/// A program waits this long for a fetch.
const DEADLINE: Duration = Duration::from_secs(30);

/// What to do with a program whose data is not here while the location is offline. Later policies
/// (wait, ask) are decided in this one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnMiss {
    Fail,
}

#[async_trait]
impl Provider for Sync {
    fn make_room(&self) -> bool {
        // One at a time: who comes second finds the room that the first one made.
        match self.making_room.try_lock() {
            Some(_one) => make_room(&self.store),
            None => {
                drop(self.making_room.lock());
                true
            }
        }
    }

    async fn provide(&self, _caller: Caller, need: &Need) -> Op<()> {
        let item = match need {
            Need::Listing(node) => self.item_of(*node),
            Need::Bytes { node, content, .. } => self.item_with(*node, *content),
        };
        let item = item.ok_or(OpError::Unreachable)?;
        let worker = self.worker_of(item).ok_or(OpError::Unreachable)?;
        if !worker.is_online() {
            match on_miss(&worker) {
                OnMiss::Fail => return Err(OpError::Unreachable),
            }
        }
        let (wanting, need) = (worker.clone(), need.clone());
        let work = async move {
            match need {
                Need::Listing(_) => list(&wanting, item).await,
                Need::Bytes { content, range, .. } => fetch(&wanting, item, content, range).await,
            }
        };
        // Remotes live in the engine's own runtime, and programs wait in threads of the mount.
        match timeout(&self.world, DEADLINE, on_world(&self.world, work)).await {
            Some(Some(result)) => result,
            Some(None) => Err(OpError::Unreachable),
            None => Err(OpError::TimedOut),
        }
    }
}

fn on_miss(_worker: &Worker) -> OnMiss {
    OnMiss::Fail
}

async fn list(worker: &Arc<Worker>, folder: ItemId) -> Op<()> {
    match worker.look_promptly(folder).await {
        // What was found may not count, for the brake say: asking again and again would not help.
        Ok(()) if is_unlisted(worker, folder) => Err(OpError::Unreachable),
        Ok(()) => Ok(()),
        Err(End::Lost(_)) => {
            worker.doubt();
            Err(OpError::Unreachable)
        }
        Err(End::Store(error)) => Err(error.into()),
        Err(End::Asked) => Err(OpError::Unreachable),
    }
}

fn is_unlisted(worker: &Worker, folder: ItemId) -> bool {
    let tree = worker.store.read();
    let node = tree.item(folder).and_then(|item| item.entry.as_ref()).and_then(|entry| tree.node(entry.node));
    node.is_some_and(|live| !live.row.listed)
}

async fn fetch(
    worker: &Arc<Worker>,
    item: ItemId,
    content: ContentId,
    range: std::ops::Range<u64>,
) -> Op<()> {
    let source = {
        let tree = worker.store.read();
        let row = tree.item(item).ok_or(OpError::Stale)?;
        // The version that these bytes belong to must be the one the server still has.
        let state = tree.server_state(row).filter(|s| s.content == Some(content));
        let state = state.ok_or(OpError::Unreachable)?;
        let content = worker.store.contents().get(content).ok_or(OpError::Stale)?;
        let path = tree.path(item, Side::Server).ok_or(OpError::Unreachable)?;
        Source { remote: worker.for_program.clone(), path, version: state.meta.version.clone(), content }
    };
    let _first = worker.line.for_program();
    let size = source.content.size();
    let range = range.start.min(size)..range.end.min(size);
    let mut read = worker.read_all(&source, range.clone()).await;
    if matches!(read, Err(Failure::Store(StoreError::Full))) && worker.make_room().await {
        read = worker.read_all(&source, range).await;
    }
    match read {
        Ok(()) => {
            // Nothing drops it before the program comes back for it.
            source.content.use_at(worker.world.now().seconds());
            Ok(())
        }
        Err(Failure::Store(error)) => Err(error.into()),
        Err(Failure::Differs | Failure::Remote(crate::remote::RemoteError::Changed { .. })) => {
            worker.look_again(item);
            worker.look_at_hints().await.map_err(|_| OpError::Unreachable)?;
            Err(OpError::Stale)
        }
        Err(Failure::Remote(crate::remote::RemoteError::Gone { .. })) => {
            worker.doubt();
            Err(OpError::Unreachable)
        }
        Err(Failure::Remote(error)) => {
            tracing::info!(item = item.0, %error, "a program's data cannot be fetched");
            Err(OpError::Io)
        }
    }
}

impl Sync {
    fn item_of(&self, node: NodeId) -> Option<ItemId> {
        self.store.read().node(node)?.links.first().copied()
    }

    /// The item on whose server side a content hangs: of the node, else whichever has it.
    fn item_with(&self, node: NodeId, content: ContentId) -> Option<ItemId> {
        let tree = self.store.read();
        let has = |id: &ItemId| {
            let state = tree.item(*id).and_then(|i| tree.server_state(i));
            state.is_some_and(|s| s.content == Some(content))
        };
        let by_node = tree.node(node).and_then(|live| live.links.iter().copied().find(&has));
        by_node.or_else(|| tree.items().map(|i| i.id).find(|id| has(id)))
    }
}
