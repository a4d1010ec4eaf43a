//! The state at a glance, what waits, what could not be done.

use std::os::fd::OwnedFd;

use crate::model::{
    ChangeReport, ConflictKind, ItemId, Kind, LocationStatus, Needs, Op, ProblemId, ProblemReport,
    RecordState, Side, Status, Target,
};
use crate::pins::{Count, count, pinned};
use crate::store::persist::StoreError;
use crate::store::rows::{Aspects, Item, ServerSide};
use crate::store::tree::Tree;

use super::core::{Handle, is_under, target_of};
use super::{Answer, Error};

impl Handle {
    pub async fn status(&self) -> Answer<Status> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            mount: self.0.mount.as_deref().map(path_bytes).unwrap_or_default(),
            locations: self.location_states(),
        })
    }

    pub(super) fn location_states(&self) -> Vec<LocationStatus> {
        let tree = self.0.store.read();
        let pins = pinned(&tree);
        let mut states = Vec::new();
        for live in tree.locations() {
            let worker = self.0.sync.worker(live.row.id);
            let mine: Vec<ItemId> = pins
                .iter()
                .copied()
                .filter(|id| tree.item(*id).is_some_and(|i| i.location == live.row.id))
                .collect();
            let mut total = Count::default();
            for id in &mine {
                total += count(&self.0.store, &tree, *id);
            }
            let items = || live.attention.iter().filter_map(|id| tree.item(*id));
            let (link, detail) = worker.as_ref().map_or_else(
                || {
                    (
                        crate::model::Link::Offline(crate::model::OfflineReason::Error),
                        "it cannot be used".into(),
                    )
                },
                |w| w.link(),
            );
            states.push(LocationStatus {
                name: live.row.name.clone(),
                url: self.0.connector.public_url(&live.row.url),
                link,
                detail,
                confidence: worker.as_ref().map_or(crate::model::Confidence::Guessed, |w| w.confidence()),
                pins: mine.len() as u64,
                files: total.files,
                bytes: total.bytes,
                present_bytes: total.present_bytes,
                changes: items().map(|i| ops_of(&tree, i).len() as u64).sum(),
                conflicts: items().filter(|i| i.conflict.is_some()).count() as u64,
                problems: items().filter(|i| i.problem.is_some()).count() as u64
                    + u64::from(live.row.brake.is_some()),
                fetching: worker.as_ref().is_some_and(|w| w.is_fetching()),
                last_sync: live.row.last_sync,
            });
        }
        states
    }

    pub async fn changes(&self, under: Option<&Target>) -> Answer<Vec<ChangeReport>> {
        if let Some(under) = under {
            self.location_id(&under.location)?;
        }
        let tree = self.0.store.read();
        let mut changes = Vec::new();
        for id in tree.locations().flat_map(|l| l.attention.iter().copied()) {
            if let Some(item) = tree.item(id).filter(|i| is_under(&tree, i.id, under)) {
                changes.extend(changes_of(&tree, item));
            }
        }
        changes.sort_by_key(|c| (c.at, c.id));
        Ok(changes)
    }

    /// The local content behind a change, for an export; `None` for what is no file.
    pub async fn open_change(&self, path: &Target) -> Answer<OwnedFd> {
        self.open_state(path, Side::Local).await
    }

    pub async fn problems(&self, under: Option<&Target>) -> Answer<Vec<ProblemReport>> {
        if let Some(under) = under {
            self.location_id(&under.location)?;
        }
        let tree = self.0.store.read();
        let mut problems = Vec::new();
        for live in tree.locations() {
            if let Some(brake) = &live.row.brake
                && is_under(&tree, live.row.root, under)
            {
                problems.push(ProblemReport {
                    id: brake.id,
                    path: target_of(&tree, live.row.root),
                    message: brake.message.clone(),
                    needs: brake.needs,
                });
            }
            for item in live.attention.iter().filter_map(|id| tree.item(*id)) {
                if let Some(problem) = item.problem.as_deref().filter(|_| is_under(&tree, item.id, under)) {
                    problems.push(ProblemReport {
                        id: problem.id,
                        path: target_of(&tree, item.id),
                        message: problem.message.clone(),
                        needs: problem.needs,
                    });
                }
            }
        }
        problems.sort_by_key(|p| p.id);
        Ok(problems)
    }

    pub async fn retry(&self, id: ProblemId) -> Answer<()> {
        let (item, needs) = self.find_problem(id)?;
        let Some(item) = item else {
            return Err(Error::failed(
                "this waits for consent; `confirm` gives it, `sync` looks at the server again",
            ));
        };
        if needs == Needs::Unfinished {
            return Err(Error::failed("a program was cut off here; `confirm` sends the file as it is"));
        }
        self.clear_problem(item)
    }

    pub async fn confirm(&self, id: ProblemId) -> Answer<()> {
        let (item, needs) = self.find_problem(id)?;
        match item {
            None => {
                let tree = self.0.store.read();
                let braked = |p: &crate::store::rows::Problem| p.id == id;
                let location =
                    tree.locations().find(|l| l.row.brake.as_ref().is_some_and(braked)).map(|l| l.row.id);
                drop(tree);
                let worker = self.worker(location.ok_or_else(|| no_problem(id))?)?;
                worker.confirm_brake();
                Ok(())
            }
            Some(item) if needs == Needs::Unfinished => self.clear_problem(item),
            Some(_) => Err(Error::failed("this does not wait for consent; `retry` tries it again")),
        }
    }

    fn find_problem(&self, id: ProblemId) -> Answer<(Option<ItemId>, Needs)> {
        let tree = self.0.store.read();
        for live in tree.locations() {
            if let Some(brake) = live.row.brake.as_ref().filter(|p| p.id == id) {
                return Ok((None, brake.needs));
            }
            for item in live.attention.iter().filter_map(|i| tree.item(*i)) {
                if let Some(problem) = item.problem.as_deref().filter(|p| p.id == id) {
                    return Ok((Some(item.id), problem.needs));
                }
            }
        }
        Err(no_problem(id))
    }

    fn clear_problem(&self, id: ItemId) -> Answer<()> {
        let location = self.0.store.write(|tx| {
            tx.edit_item(id, |item| item.problem = None);
            tx.relog(id);
            Ok::<_, StoreError>(tx.tree().item(id).map(|i| i.location))
        })?;
        if let Some(worker) = location.and_then(|l| self.0.sync.worker(l)) {
            worker.ask_round();
        }
        Ok(())
    }
}

fn no_problem(id: ProblemId) -> Error {
    Error::failed(format!("there is no open problem {id}; `problems` shows those there are"))
}

fn path_bytes(path: &std::path::Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// What an item's record does, one word for each thing the server would see.
fn ops_of(tree: &Tree, item: &Item) -> Vec<Op> {
    let aspects = item.pending.map(|p| p.aspects).unwrap_or_default()
        | item.sending.as_ref().map(|i| i.aspects).unwrap_or_default();
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    let kind = node.map(|l| l.row.kind).or(item.base.as_deref().map(|b| b.meta.kind));
    let mut ops = Vec::new();
    if aspects.contains(Aspects::REMOVE) {
        ops.push(if kind == Some(Kind::Folder) { Op::Rmdir } else { Op::Remove });
        return ops;
    }
    if aspects.contains(Aspects::CREATE) {
        let linked = node.is_some_and(|l| {
            l.links
                .iter()
                .filter_map(|other| tree.item(*other))
                // Of several new names the first makes the file.
                .any(|other| other.base.is_some() || other.id < item.id)
        });
        ops.push(match kind {
            Some(Kind::Folder) => Op::Mkdir,
            Some(Kind::Symlink) => Op::Symlink,
            _ if linked => Op::Link,
            _ => Op::Create,
        });
        return ops;
    }
    if aspects.contains(Aspects::PLACE) {
        ops.push(Op::Move);
    }
    if aspects.contains(Aspects::CONTENT) {
        ops.push(if kind == Some(Kind::Symlink) { Op::Symlink } else { Op::Write });
    } else if aspects.intersects(Aspects::MODE | Aspects::TIMES | Aspects::XATTRS) {
        ops.push(Op::Attributes);
    }
    ops
}

fn changes_of(tree: &Tree, item: &Item) -> Vec<ChangeReport> {
    let state = if item.conflict.is_some() || (item.pending.is_some() && item.server != ServerSide::AsBase) {
        RecordState::Conflict
    } else if item.problem.is_some() {
        RecordState::Problem
    } else if item.sending.is_some() {
        RecordState::Sending
    } else {
        RecordState::Waiting
    };
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    let at = item.pending.map(|p| p.last_at).unwrap_or_default();
    ops_of(tree, item)
        .into_iter()
        .map(|op| ChangeReport {
            // Stable as long as the change waits, and apart for two of one item.
            id: item.id.0 * 2 + u64::from(op == Op::Move),
            path: target_of(tree, item.id),
            op,
            from: (op == Op::Move).then(|| Target {
                location: target_of(tree, item.id).location,
                path: tree.path(item.id, Side::Original).unwrap_or_default(),
            }),
            at,
            bytes: match op {
                Op::Create | Op::Write => node.map_or(0, |l| l.row.size),
                _ => 0,
            },
            state,
            message: item.problem.as_deref().map(|p| p.message.clone()).unwrap_or_default(),
        })
        .collect()
}

/// Whether a kind of conflict is the one that was asked for.
pub(super) fn is_kind(kind: ConflictKind, wanted: Option<ConflictKind>) -> bool {
    wanted.is_none_or(|w| w == kind)
}
