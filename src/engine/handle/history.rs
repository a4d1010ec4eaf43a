//! What happened, what was set aside, what can be taken back.

use std::os::fd::OwnedFd;

use crate::conflict::{made, note_decision, restore, seal_local, snapshot, undo, what_was_done};
use crate::model::{
    HistoryId, HistoryKind, HistoryReport, Kind, LocPath, StashId, StashReport, Target, WhyReport,
};
use crate::store::persist::StoreError;
use crate::store::rows::{History, Stashed};
use crate::store::tree::Tree;

use super::conflicts::{bytes_descriptor, descriptor};
use super::core::Handle;
use super::{Answer, Error};

impl Handle {
    pub async fn why(&self, path: &Target) -> Answer<Vec<WhyReport>> {
        let location = self.location_id(&path.location)?;
        self.0.store.flushed().await?;
        let item = self.0.store.read().resolve_any(location, &path.path);
        let happened = self.0.store.with_database(|db| db.happened(item, &path.to_bytes()))?;
        let mut reports: Vec<WhyReport> =
            happened.into_iter().map(|h| WhyReport { at: h.at, what: h.what }).collect();
        let tree = self.0.store.read();
        if let Some(item) = item.and_then(|id| tree.item(id)) {
            if let Some(pending) = item.pending {
                reports.push(WhyReport {
                    at: pending.first_at,
                    what: "changed here, and waits to be sent".into(),
                });
            }
            if let Some(problem) = &item.problem {
                let at = reports.last().map(|r| r.at).unwrap_or_default();
                reports.push(WhyReport { at, what: format!("stands still: {}", problem.message) });
            }
        }
        if reports.is_empty() && item.is_none() {
            return Err(Error::failed(format!("nothing is known of {path}")));
        }
        reports.sort_by_key(|r| r.at);
        Ok(reports)
    }

    pub async fn stash_list(&self, under: Option<&Target>) -> Answer<Vec<StashReport>> {
        let tree = self.0.store.read();
        let report = |s: &Stashed| StashReport {
            id: s.id,
            path: target_of(s),
            side: s.side,
            size: s.size,
            digest: s.content.and_then(|c| self.0.store.contents().get(c)).and_then(|c| c.digest()),
            at: s.at,
            why: s.why.clone(),
        };
        let is_under = |path: &Target| {
            under.is_none_or(|u| u.location == path.location && path.path.starts_with(&u.path))
        };
        Ok(tree.stash().values().map(report).filter(|r| is_under(&r.path)).collect())
    }

    fn stashed(&self, id: StashId) -> Answer<Stashed> {
        let found = self.0.store.read().stash().get(&id).cloned();
        found.ok_or_else(|| {
            Error::failed(format!("there is no version {id} in the stash; `stash list` shows them"))
        })
    }

    pub async fn stash_open(&self, id: StashId) -> Answer<OwnedFd> {
        let stashed = self.stashed(id)?;
        if stashed.kind == Kind::Symlink {
            return bytes_descriptor(stashed.link_target.as_deref().unwrap_or_default());
        }
        match stashed.content.and_then(|c| self.0.store.contents().get(c)) {
            Some(content) => descriptor(&content),
            None => bytes_descriptor(b""),
        }
    }

    /// Puts it back as a local change: at its own path, or at `to`. Returns where.
    pub async fn stash_restore(&self, id: StashId, to: Option<&Target>) -> Answer<Target> {
        let stashed = self.stashed(id)?;
        let to = to.cloned().unwrap_or_else(|| target_of(&stashed));
        let (folder, name) = to
            .path
            .split_last()
            .ok_or_else(|| Error::usage("a location itself cannot be replaced; name a file"))?;
        let folder = Target { location: to.location.clone(), path: folder };
        let parent = self.find(&folder).await?;
        let replaced = {
            let tree = self.0.store.read();
            let node = crate::reconcile::local_folder(&tree, parent);
            node.and_then(|node| tree.child(node, name.as_bytes()))
        };
        seal_local(&self.0.store, replaced);
        self.0.store.write(|tx| {
            let node = crate::reconcile::local_folder(tx.tree(), parent).ok_or_else(|| {
                Error::failed(format!("the folder {folder} is not here; restore with --to elsewhere"))
            })?;
            let at = tx.tree().child(node, name.as_bytes());
            let before = at.map(|item| snapshot(tx.tree(), item));
            restore(tx, &stashed, node, &name)
                .map_err(|e| Error::failed(format!("{to} cannot be replaced: {e}")))?;
            let item = tx.tree().child(node, name.as_bytes());
            if let Some(item) = item {
                tx.happened(item, format!("put back from the stash (version {id})"));
                let before = before.unwrap_or_else(|| made(item));
                let what = format!("{to} put back from the stash");
                note_decision(tx, HistoryKind::Restored, what, vec![before]);
            }
            Ok::<_, Error>(())
        })?;
        self.0.store.flushed().await?;
        self.0.store.changed.notify(usize::MAX);
        Ok(to)
    }

    pub async fn stash_drop(&self, id: StashId) -> Answer<()> {
        self.stashed(id)?;
        self.0.store.write_in_reserve(|tx| {
            tx.remove_stash(id);
            Ok::<_, StoreError>(())
        })?;
        self.0.store.flushed().await?;
        Ok(())
    }

    pub async fn history(&self) -> Answer<Vec<HistoryReport>> {
        let tree = self.0.store.read();
        Ok(tree.history().values().rev().map(|history| report(&tree, history)).collect())
    }

    /// The newest where no id is given. Says what was taken back.
    pub async fn undo(&self, id: Option<HistoryId>) -> Answer<HistoryReport> {
        let id = match id {
            Some(id) => id,
            None => {
                let tree = self.0.store.read();
                let newest = tree.history().values().rev().find(|h| tree.can_undo(h)).map(|h| h.id);
                newest.ok_or_else(|| Error::failed("there is nothing to take back"))?
            }
        };
        let items: Vec<_> = self.0.store.read().befores(id).map(|(_, before)| before.item).collect();
        seal_local(&self.0.store, items);
        let undone = self.0.store.write(|tx| undo(tx, id).map_err(Error::failed))?;
        self.0.store.flushed().await?;
        self.0.store.changed.notify(usize::MAX);
        Ok(report(&self.0.store.read(), &undone))
    }
}

fn report(tree: &Tree, history: &History) -> HistoryReport {
    let location = history.location.and_then(|id| tree.location(id)).map(|live| live.row.name.clone());
    HistoryReport {
        id: history.id,
        at: history.at,
        what: what_was_done(tree, history),
        items: history.items,
        undone: history.undone,
        can_undo: tree.can_undo(history),
        kind: history.kind,
        location,
        left_out: history.left_out,
    }
}

fn target_of(stashed: &Stashed) -> Target {
    let at = stashed.target.iter().position(|b| *b == b':').unwrap_or(stashed.target.len());
    let location = String::from_utf8_lossy(&stashed.target[..at]).into_owned();
    let path = stashed.target.get(at + 1..).unwrap_or_default();
    Target { location, path: LocPath::parse(path).unwrap_or_default() }
}
