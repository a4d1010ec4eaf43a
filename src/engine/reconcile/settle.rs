//! Carries out what [`reconcile`] says of one item, on the trees.
//!
//! Called in the transaction in which the server's side was noted, and again whenever something that
//! held it up has changed (a file was closed, a content was compared, another item moved out of the
//! way). The kernel is told of everything that changes here for the server's sake.

use crate::model::{ConflictId, ConflictKind, ItemId, Kind};
use crate::store::Tx;
use crate::store::rows::{Conflict, Item, ServerSide};
use crate::store::tree::Tree;

use super::facts::facts;
use super::take::{agree, merge, take_creation, take_removal};
use super::verdict::{Verdict, reconcile};

/// What became of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    Done,
    /// A conflict stands; its server content is to be fetched and held.
    Conflict,
    /// The server's content must be fetched and compared first.
    Compare,
    /// Something is in the way (a file open for writing, a name that another item has): again later.
    Later,
}

pub fn settle(tx: &mut Tx<'_>, id: ItemId) -> Settled {
    let Some(item) = tx.tree().item(id) else {
        return Settled::Done;
    };
    // What was handed to the remote must be known first.
    if item.sending.is_some() {
        return Settled::Later;
    }
    // What lives only here is none of the server's business.
    if item.local_only {
        return Settled::Done;
    }
    // Open for writing means changed: what the server does meanwhile is only noted.
    if item.server != ServerSide::AsBase && is_open_for_writing(tx.tree(), item) {
        return Settled::Later;
    }
    let facts = facts(tx, item);
    let settled = match reconcile(&facts) {
        Verdict::Quiet => {
            clear_conflict(tx, id);
            // A conflict in another respect may have kept it after all was taken.
            if facts.base && facts.server && facts.there.is_empty() {
                tx.edit_item(id, |item| item.server = ServerSide::AsBase);
            }
            Settled::Done
        }
        Verdict::Compare => Settled::Compare,
        Verdict::TakeCreation => take_creation(tx, id),
        Verdict::TakeRemoval => take_removal(tx, id),
        Verdict::Agree => agree(tx, id),
        Verdict::Merge { take, agree, conflict } => merge(tx, id, take, agree, conflict),
        Verdict::Conflict(kind) => hold(tx, id, kind),
    };
    tx.relog(id);
    settled
}

fn is_open_for_writing(tree: &Tree, item: &Item) -> bool {
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    node.is_some_and(|live| live.row.kind == Kind::File && (live.writers > 0 || live.row.writing))
}

// --- conflicts ----------------------------------------------------------------------------------

pub(super) fn hold(tx: &mut Tx<'_>, id: ItemId, kind: ConflictKind) -> Settled {
    let Some(item) = tx.tree().item(id) else {
        return Settled::Done;
    };
    if item.conflict.as_ref().is_some_and(|c| c.kind == kind) {
        return Settled::Conflict;
    }
    let is_known = item.conflict.is_some();
    let (conflict, since) = match &item.conflict {
        Some(conflict) => (conflict.id, conflict.since),
        None => (ConflictId(tx.new_id()), tx.now()),
    };
    if !is_known {
        tx.note_conflict(id);
    }
    tx.edit_item(id, |item| item.conflict = Some(Box::new(Conflict { id: conflict, kind, since })));
    tx.happened(id, format!("conflict: {}", kind.word()));
    Settled::Conflict
}

fn clear_conflict(tx: &mut Tx<'_>, id: ItemId) {
    if let Some(conflict) = tx.tree().item(id).and_then(|i| i.conflict.as_ref()).map(|c| c.id) {
        tx.note_no_conflict(id, conflict);
        tx.edit_item(id, |item| item.conflict = None);
        tx.happened(id, "the conflict went away by itself");
    }
}
