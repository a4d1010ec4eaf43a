//! When all is done, and what is left for a person.

use std::sync::atomic::Ordering::SeqCst;

use crate::model::ItemId;
use crate::store::rows::{Aspects, ServerSide};
use crate::sync::worker::Worker;

impl Worker {
    /// Returns when that round is done and the log has nothing more to send.
    pub async fn finished(&self, round: u64) {
        loop {
            let progress = self.progress.listen();
            if self.rounds.sent.load(SeqCst) >= round
                && self.idle_at.load(SeqCst) >= self.store.item_seq()
                && !self.is_comparing()
            {
                return;
            }
            progress.await;
        }
    }

    fn is_comparing(&self) -> bool {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return false;
        };
        live.attention.iter().filter_map(|id| tree.item(*id)).any(|item| {
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let open = node.is_some_and(|l| l.writers > 0 || l.row.writing);
            if item.conflict.is_some() {
                // All three states are to be here, and what became the same is no conflict any more.
                return tree
                    .server_state(item)
                    .and_then(|s| s.content)
                    .is_some_and(|c| self.is_coming(item.id, c));
            }
            item.problem.is_none()
                && item.server != ServerSide::AsBase
                && !open
                && item.base.as_deref().is_none_or(|b| b.meta.kind == crate::model::Kind::File)
        })
    }

    /// Whether anything is left that only a person can move on.
    pub fn needs_person(&self) -> bool {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return false;
        };
        live.row.brake.is_some()
            || live
                .attention
                .iter()
                .filter_map(|id| tree.item(*id))
                .any(|i| i.conflict.is_some() || i.problem.is_some())
    }

    /// Waiting records: what would be sent if all files were closed now.
    pub fn waiting(&self) -> usize {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return 0;
        };
        let waits = |id: &&ItemId| {
            tree.item(**id).is_some_and(|i| {
                i.sending.is_some() || i.pending.is_some_and(|p| p.aspects != Aspects::empty())
            })
        };
        live.attention.iter().filter(waits).count()
    }
}
