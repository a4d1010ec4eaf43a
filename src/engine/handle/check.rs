//! Verifies store, log and trees against each other, and contents against their checksums.

use crate::model::{CheckReport, Kind, Side};
use crate::store::persist::StoreError;
use crate::store::tree::Tree;

use super::Answer;
use super::core::{Handle, target_of};

impl Handle {
    pub async fn check(&self, repair: bool) -> Answer<CheckReport> {
        self.0.store.flushed().await?;
        let mut findings = self.0.store.with_database(|db| db.verify())?;
        let damaged = self.damaged_contents().await;
        {
            let tree = self.0.store.read();
            findings.extend(check_trees(&tree));
            for (id, text) in &damaged {
                let users: Vec<String> = tree
                    .items()
                    .filter(|i| crate::store::tree::contents_of_item(i).any(|c| c == *id))
                    .map(|i| target_of(&tree, i.id).to_string())
                    .collect();
                findings.push(format!("{text} ({})", users.join(", ")));
            }
        }
        if repair {
            self.refetch(&damaged)?;
        }
        Ok(CheckReport { ok: findings.is_empty(), findings })
    }

    async fn damaged_contents(&self) -> Vec<(crate::model::ContentId, String)> {
        let store = self.0.store.clone();
        let work = move || {
            let mut damaged = Vec::new();
            for content in store.contents().all() {
                if content.is_sealed()
                    && let Err(error) = content.verify()
                    // Nobody may need it any more, and its file may be gone by now.
                    && store.read().is_referred(content.id())
                {
                    damaged.push((content.id(), error.to_string()));
                }
            }
            damaged
        };
        crate::world::blocking(self.0.store.world(), work).await.unwrap_or_default()
    }

    /// A damaged copy of what the server still has is dropped, to be fetched again.
    fn refetch(&self, damaged: &[(crate::model::ContentId, String)]) -> Answer<()> {
        for (id, _) in damaged {
            let Some(content) = self.0.store.contents().get(*id) else {
                continue;
            };
            let freed = self.0.store.write_in_reserve(|tx| {
                let clean = tx.tree().items().any(|i| {
                    i.pending.is_none() && i.base.as_deref().is_some_and(|b| b.content == Some(*id))
                });
                if !clean {
                    return Ok(None);
                }
                let file = tx.new_id();
                let freed = content.evict(file).ok();
                tx.touch_content(*id);
                Ok::<_, StoreError>(freed)
            })?;
            self.0.store.flush()?;
            if let Some(freed) = freed {
                self.0.store.contents().free(freed).map_err(StoreError::from)?;
            }
        }
        for worker in self.0.sync.workers() {
            worker.want_all_pinned();
        }
        Ok(())
    }
}

/// The log and the trees agree, and the trees are trees.
fn check_trees(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for item in tree.items() {
        let name = || target_of(tree, item.id);
        let aspects = crate::store::pending::aspects(tree, item);
        let logged = item.pending.map(|p| p.aspects).unwrap_or_default();
        if aspects != logged {
            findings.push(format!("{}: the log says {logged:?} and the trees say {aspects:?}", name()));
        }
        if let Some(entry) = &item.entry {
            match tree.node(entry.node) {
                None => findings.push(format!("{}: its node is missing", name())),
                Some(live) => {
                    if live.row.kind == Kind::Folder && live.links.len() != 1 {
                        findings.push(format!("{}: a folder has {} names", name(), live.links.len()));
                    }
                }
            }
            if tree.child(entry.parent, entry.name.as_bytes()) != Some(item.id) {
                findings.push(format!("{}: its folder leads to something else under its name", name()));
            }
        }
        for side in Side::ALL {
            if tree.exists(item, side) && tree.path(item.id, side).is_none() {
                findings.push(format!("{}: its place in {} leads nowhere", name(), side.word()));
            }
        }
    }
    findings
}
